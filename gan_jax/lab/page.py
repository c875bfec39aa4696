"""The report as one HTML file: no script, nothing fetched, pictures inside; for light and dark, phone and paper."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from gan_jax.lab.tables import Table

CSS = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c1d1f; --soft: #5c6066; --line: #dcdfe4; --shade: #f4f6f8;
  --good: #e8f3ec;  --bad: #b00020; --link: #0b63b0; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --ink: #e6e8eb; --soft: #a3a9b2; --line: #33383f;
  --shade: #1e2126;  --good: #1a2b21; --bad: #ff8a80; --link: #7fb8ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 88rem; padding: 1.2rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .2rem 0 .6rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p, ul { max-width: 52rem; } li { margin: .2rem 0; }
.eyebrow { color: var(--soft); font-size: .85rem; margin: 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .9rem;
  font-size: .9rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: .86em/1.45 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
pre { background: var(--shade); padding: .7rem .9rem; border-radius: 6px; overflow-x: auto; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; }
table { border-collapse: separate; border-spacing: 0; font-size: .86rem;
  width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .36rem .55rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
tr:last-child > * { border-bottom: 0; }
thead th { background: var(--shade); font-weight: 600; vertical-align: bottom; min-width: 4.2rem; }
thead th[title] { cursor: help; }
tbody th { text-align: left; font-weight: 500; background: var(--page); min-width: 8rem; max-width: 16rem;
  position: sticky; left: 0; border-right: 1px solid var(--line); overflow-wrap: break-word; }
thead th:first-child { position: sticky; left: 0; border-right: 1px solid var(--line); }
tr.perfect > * { background: var(--good); font-weight: 600; } tr.baseline > * { background: var(--shade); }
td small, th small { display: block; color: var(--soft); font-size: .78rem; font-weight: 400; }
td[title] { cursor: help; }
.mark, th small.mark { color: var(--bad); font-weight: 600; }
.note { color: var(--soft); font-size: .88rem; }
figure { margin: 1rem 0 1.8rem; }
figcaption { color: var(--soft); font-size: .88rem; max-width: 52rem; margin-top: .4rem; }
.picture { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; }
.picture img { display: block; max-width: 100%; min-width: min(38rem, 100%); height: auto; margin: 0 auto; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--link); }
@media (max-width: 40rem) { body { font-size: 15px; padding: .8rem .7rem 3rem; }
  .picture img { min-width: 34rem; max-width: none; width: 34rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin: 0 0 .5rem; }
  tbody th { min-width: 7rem; max-width: 8.5rem; }
  th, td { padding: .34rem .45rem; } }
@media print { .scroll, .picture { overflow: visible; } details > * { display: block; } }
"""


class Picture(NamedTuple):
  path: Path
  title: str
  caption: str
  width: int  # CSS pixels at which its text has the size of the page's


def page(title: str, body: Sequence[str]) -> str:
  return (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
    + "\n".join(body)
    + "\n</body>\n</html>\n"
  )


def table(shown: Table) -> str:
  head = "".join(f"<th{_title(meaning)}>{escape(heading)}</th>" for heading, meaning in shown.columns)
  rows = []
  for row in shown.rows:
    mark = f'<small class="mark">⚠ {escape(row.mark)}</small>' if row.mark else ""
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    cells = "".join(
      f"<td{_title(cell.hover)}>{escape(cell.text)}"
      + (f"<small>{escape(cell.small)}</small>" if cell.small else "")
      + "</td>"
      for cell in row.cells
    )
    rows.append(f'<tr class="{row.kind}"><th scope="row">{_breakable(row.name)}{note}{mark}</th>{cells}</tr>')
  return (
    f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(shown.title)}"><table>\n'
    f"<thead><tr><th></th>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
  )


def figure(picture: Picture) -> str:
  data = base64.b64encode(picture.path.read_bytes()).decode()
  return (
    f'<figure><div class="picture"><img width="{picture.width}" alt="{escape(picture.title)}" '
    f'src="data:image/png;base64,{data}"></div>\n<figcaption>{escape(picture.caption)}</figcaption></figure>'
  )


def heading(text: str) -> str:
  return f"<h2>{escape(text)}</h2>"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
  return (
    "<dl>"
    + "".join(
      f"<dt>{escape(name)}</dt><dd>{'<code>' + escape(value) + '</code>' if name == 'command' else escape(value)}</dd>"
      for name, value in pairs
    )
    + "</dl>"
  )


def items(lines: Sequence[str]) -> str:
  return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def note(text: str) -> str:
  return f'<p class="note">{escape(text)}</p>'


def folded(title: str, *content: str) -> str:
  return f"<details><summary>{escape(title)}</summary>\n" + "\n".join(content) + "\n</details>"


def code(text: str) -> str:
  return f"<pre>{escape(text)}</pre>"


def _breakable(name: str) -> str:
  """A long name may break after an underscore."""
  return escape(name).replace("_", "_<wbr>")


def _title(text: str) -> str:
  return f' title="{escape(text)}"' if text else ""
