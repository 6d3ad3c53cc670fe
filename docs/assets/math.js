// Typesets the formulas that pymdownx.arithmatex marked as \(…\) or \[…\].
document.querySelectorAll(".arithmatex").forEach((element) => {
  katex.render(element.textContent.trim().slice(2, -2), element, {
    displayMode: element.tagName === "DIV",
    throwOnError: false,
  });
});
