"""The page on which all scans can be looked through and decided on.

Of cohorts of moderate size it is one self-contained HTML file. The pictures of larger ones are read
from the preprocessed data set, a page of 24 at a time.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from ldae.data.partition import REPEATS, TAKEN
from ldae.preprocessing.decisions import Agreement
from ldae.preprocessing.measures import MEASURES
from ldae.preprocessing.quality import preview_of, rank_suspects

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Quality control</title>
<style>
body{font:14px/1.4 system-ui,sans-serif;margin:0;background:#fff;color:#222}
header{position:sticky;top:0;background:#fff;border-bottom:1px solid #ccc;padding:8px 14px}
h1{font-size:17px;margin:0 0 4px} label{margin-right:14px} input,select,button{font:inherit}
#scans{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:12px;padding:14px}
figure{margin:0;border:1px solid #ddd;border-radius:4px;padding:6px;background:#fafafa}
figure.excluded{border:2px solid #b00020} figure.at{outline:3px solid #1a5fb4}
figure.keep b:after{content:" \\2714"} figure.exclude b:after{content:" \\2718"}
figure img,figure .none{width:100%;aspect-ratio:3/2;display:block;background:#000}
figure .none{color:#bbb;display:flex;align-items:center;justify-content:center}
figcaption b{font-size:14px} .reason{color:#b00020} .m{color:#555;font-size:12px}
</style>
<header><h1>Quality control: @TITLE@</h1>
<label>Sort by <select id="key"></select></label>
<label><input type="checkbox" id="down"> descending</label>
<label>Show <select id="show"><option value="">all</option><option>excluded</option>
<option>pass</option></select></label>
<label>Find <input id="find" size="14"></label>
<label>Rater <input id="rater" size="8"></label>
<button id="save">Save decisions</button> <span id="count"></span>
<button id="back">&larr;</button> <span id="where"></span> <button id="next">&rarr;</button>
<div class="m">Upper row: raw head with its brain mask. Lower row: the same on the study grid.
Sagittal (front to the left), coronal and axial (subject's right to the left).
Arrow keys turn the page. To decide: click a scan, then <b>k</b> keeps it, <b>x</b> excludes it and
asks why, <b>u</b> takes it back; each goes to the next scan. Save your decisions as a file and name
the file in the setting quality.decisions.@AGREEMENT@</div>
</header><main id="scans"></main>
<script>
const names=@NAMES@, rows=@ROWS@, units=@UNITS@, PER=24, STORE="ldae "+location.pathname;
const $=id=>document.getElementById(id); let page=0, list=rows, at=0, made={};
try{made=JSON.parse(localStorage.getItem(STORE))||{}}catch{}
function decide(r,d){if(!r)return;if(d&&!$("rater").value.trim()){$("rater").focus();return}
 const why=d==="exclude"?prompt("Why is "+r.n+" excluded?",""):"";if(why===null)return;
 if(d)made[r.n]=[d,why.replace(/\\s+/g," "),$("rater").value.trim(),new Date().toISOString()];
 else delete made[r.n];
 try{localStorage.setItem(STORE,JSON.stringify(made))}catch{}
 at++;if(at>=PER&&(page+1)*PER<list.length){page++;at=0}draw(true)}
function save(){const t=[["scan","decision","reason","rater","date"],
 ...Object.entries(made).map(([n,v])=>[n,...v])].map(r=>r.join("\\t")+"\\n").join("");
 const a=document.createElement("a");a.download="qc_decisions.tsv";
 a.href=URL.createObjectURL(new Blob([t],{type:"text/tab-separated-values"}));a.click()}
const opts=["order of suspicion","scan",...names];
opts.forEach((n,i)=>{const o=document.createElement("option");o.value=i;o.textContent=n;
 if(i>1&&units[n])o.title=units[n];$("key").append(o)});
function text(tag,value,cls){const e=document.createElement(tag);e.textContent=value;
 if(cls)e.className=cls;return e}
function select(){const k=+$("key").value, d=$("down").checked?-1:1, f=$("find").value.trim(),
 s=$("show").value;
 list=rows.filter(r=>(!s||r.s===s)&&(!f||r.n.includes(f)));
 const by=r=>k===0?r.i:k===1?r.n:r.m[k-2];
 list.sort((a,b)=>{const x=by(a),y=by(b);if(x===null||y===null)return (x===null)-(y===null);
  return d*(x<y?-1:x>y?1:0)});page=0;at=0;draw()}
function draw(stay){const n=Math.max(1,Math.ceil(list.length/PER));
 page=Math.min(Math.max(page,0),n-1);
 $("where").textContent=`page ${page+1} of ${n}, ${list.length} scans`;
 $("count").textContent=Object.keys(made).length+" decided";
 $("scans").replaceChildren(...list.slice(page*PER,(page+1)*PER).map((r,j)=>{
  const f=document.createElement("figure");f.className=r.s+" "+(made[r.n]||[""])[0];
  if(j===at)f.classList.add("at");f.onclick=()=>{at=j;draw(true)};
  if(r.p){const i=new Image();i.src=r.p;i.alt=r.n;f.append(i)}
  else f.append(text("div","no picture","none"));
  const c=document.createElement("figcaption");c.append(text("b",r.n)," "+r.s);
  if(r.r)c.append(text("div",r.r,"reason"));
  if(r.o)c.append(text("div",r.o,"m"));
  c.append(text("div",names.map((n,i)=>r.m[i]===null?null:n+" "+r.m[i])
   .filter(x=>x).join(" \\u00b7 "),"m"));
  f.append(c);return f}));if(!stay)scrollTo(0,0);
 const here=document.querySelector(".at");if(here&&stay)here.scrollIntoView({block:"nearest"})}
["key","down","show"].forEach(i=>$(i).onchange=select);$("find").oninput=select;
$("save").onclick=save;
function turn(by){page+=by;at=0;draw()}
$("back").onclick=()=>turn(-1);$("next").onclick=()=>turn(1);
addEventListener("keydown",e=>{if(e.target.tagName==="INPUT"||e.ctrlKey||e.metaKey)return;
 const word={k:"keep",x:"exclude",u:""}[e.key];
 if(word!==undefined)decide(list[page*PER+at],word);
 if(e.key==="ArrowRight")turn(1);if(e.key==="ArrowLeft")turn(-1)});
select();
</script></html>
"""


MOST_EMBEDDED = 2000
"""Scans whose pictures are put into the page; with more, a browser would open it slowly."""


def write_quality_page(
    qc: pd.DataFrame, preprocessed: Path, path: Path, agreement: Sequence[Agreement] = ()
) -> None:
    """Write the page: every scan's picture, measures and reason; excluded and unusual scans first.

    Parameters
    ----------
    qc
        Table of `quality_control`.
    preprocessed
        Data set of the preprocessed scans; their previews are put into the page, or linked from
        it if there are more than ``MOST_EMBEDDED`` scans.
    path
        File to write (.html), about 13 kB per scan, or 0.6 kB with links.
    agreement
        Of raters whose decisions are in the table.
    """
    ranked = rank_suspects(qc)
    words = ("scan", "status", "reason", "notes", "decisions", TAKEN, REPEATS)
    names = [c for c in qc.columns if c not in words]
    embedded = len(qc) <= MOST_EMBEDDED
    rows = []
    for i, (_, row) in enumerate(ranked.iterrows()):
        picture = preview_of(preprocessed, row["scan"])
        rows.append(
            {
                "i": i,
                "n": row["scan"],
                "s": row["status"],
                "r": row["reason"],
                "o": "; ".join(filter(None, [row["notes"], row.get("decisions", "")])),
                "m": [_short(row[name]) for name in names],
                "p": _source(picture, path, embedded) if picture else "",
            }
        )
    n_pass = int((qc["status"] == "pass").sum())
    title = f"{len(qc)} scans, {n_pass} passed, {len(qc) - n_pass} excluded"
    page = _PAGE.replace("@TITLE@", html.escape(title))
    page = page.replace("@AGREEMENT@", "".join(f"<br>{html.escape(str(a))}." for a in agreement))
    for key, value in (("NAMES", names), ("UNITS", MEASURES), ("ROWS", rows)):
        page = page.replace(f"@{key}@", _in_script(value))
    path.write_text(page, encoding="utf-8")


def _source(picture: Path, page: Path, embedded: bool) -> str:
    """Address of a picture: its content, or its place as seen from the page."""
    if embedded:
        return "data:image/jpeg;base64," + base64.b64encode(picture.read_bytes()).decode()
    return quote(Path(os.path.relpath(picture, page.parent)).as_posix())


def _in_script(value: Any) -> str:
    r"""JSON of a value that can stand in a script element, whatever texts it holds.

    A label with ``<!--<script`` would otherwise hide the end of the script from the browser, and
    one with ``</script`` end it. In a text of JavaScript, ``\u003c`` is the same sign.
    """
    return json.dumps(value).replace("<", "\\u003c")


def _short(value: Any) -> float | None:
    number = float(value) if value is not None else math.nan
    return float(f"{number:.4g}") if math.isfinite(number) else None
