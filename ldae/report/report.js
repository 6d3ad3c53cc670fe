// Tables that sort, filter and export. Without scripts they stay readable as they are.
"use strict";

(() => {
  const NUMBER = /^[−-]?\d[\d,]*(\.\d+)?(e[−+-]?\d+)?/i;

  // The number that a cell such as "0.73 [0.58, 0.87]" begins with; NaN for other text.
  const numberOf = (text) => {
    const found = NUMBER.exec(text.trim());
    return found ? Number(found[0].replaceAll(",", "").replaceAll("−", "-")) : NaN;
  };

  const compare = (a, b) => {
    const [x, y] = [numberOf(a), numberOf(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return a.localeCompare(b);
  };

  const cellsOf = (row) => [...row.cells].map((cell) => cell.textContent.trim());

  const sortBy = (table, column) => {
    const header = table.tHead.rows[0].cells[column];
    const descending = header.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, key: cellsOf(row)[column] }));
    rows.sort((a, b) => (descending ? -1 : 1) * compare(a.key, b.key) || a.place - b.place);
    body.append(...rows.map(({ row }) => row));
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  };

  const filter = (table, text, count) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
  };

  // Rows as they are shown, sorted and filtered, as tab-separated values.
  const asText = (table) => {
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const head = cellsOf(table.tHead.rows[0]);
    return [head, ...rows.map(cellsOf)].map((cells) => cells.join("\t")).join("\n") + "\n";
  };

  const download = (table) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([asText(table)], { type: "text/tab-separated-values" }));
    link.download = `${table.id}.tsv`;
    link.click();
    URL.revokeObjectURL(link.href);
  };

  const element = (name, properties) => Object.assign(document.createElement(name), properties);

  const equip = (table) => {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = element("button", { type: "button", textContent: cell.textContent });
      button.addEventListener("click", () => sortBy(table, column));
      cell.replaceChildren(button);
    });
    const tools = element("div", { className: "tools" });
    const input = element("input", { type: "search", placeholder: "Filter rows" });
    input.setAttribute("aria-label", `Filter the rows of ${table.getAttribute("aria-label")}`);
    const count = element("span", { role: "status" });
    const button = element("button", { type: "button", textContent: "Export as TSV" });
    input.addEventListener("input", () => filter(table, input.value, count));
    button.addEventListener("click", () => download(table));
    tools.append(input, button, count);
    table.closest(".scroll").before(tools);
  };

  document.querySelectorAll("table.data").forEach(equip);

  // A link to a part of a closed table or list opens it.
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target) target.closest("details")?.setAttribute("open", "");
  };
  addEventListener("hashchange", open);
  open();
})();
