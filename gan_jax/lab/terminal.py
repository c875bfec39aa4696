"""The comparison in a terminal: rich where it is one, plain ASCII columns where the output is a pipe or not UTF-8."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from gan_jax.lab.tables import Table, main_table


def print_table(summary: Mapping[str, Any], file: TextIO | None = None) -> None:
  """Prints the raw and the EMA table to a terminal: rich where it is one, plain ASCII where the output is a pipe or not UTF-8."""
  from rich.console import Console
  file = file or sys.stdout
  fancy = file.isatty() and (getattr(file, "encoding", "") or "").lower().replace("-", "") == "utf8"
  console = Console(file=file, no_color=not fancy, highlight=False)
  for weights in ("raw", "ema"):
    if any(name.startswith(f"{weights}/") for metrics in summary["arms"].values() for name in metrics) or weights == "raw":
      table = main_table(summary, weights)
      if fancy:
        console.print(_rich_table(table, console.width))
      else:
        file.write(plain_text(table))
      file.write("\n")


def plain_text(table: Table) -> str:
  """The table in ASCII columns, one line a row."""
  head = ["", *(heading for heading, _ in table.columns)]
  body = [[row.name + (f" [{row.mark}]" if row.mark else ""), *(cell.text for cell in row.cells)] for row in table.rows]
  lines = [[ascii_text(text) for text in line] for line in [head, *body]]
  widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
  shown = ["  ".join(text.ljust(width) if column == 0 else text.rjust(width)
                     for column, (text, width) in enumerate(zip(line, widths, strict=True))).rstrip() for line in lines]
  return "\n".join([ascii_text(table.title), shown[0], "-" * max(map(len, shown)), *shown[1:]]) + "\n"


def ascii_text(text: str) -> str:
  for sign, plain in (("—", "-"), ("−", "-"), ("∞", "inf"), ("¼", "1/4"), ("Δ ", "diff. "), ("×", "x"), ("·", "*"), ("⚠", "!"), ("σ", "s")):
    text = text.replace(sign, plain)
  return text.encode("ascii", "replace").decode()


def _rich_table(table: Table, width: int) -> Any:
  """As many columns as the terminal holds: the rest is in the report."""
  from rich import box
  from rich.table import Table as RichTable
  name_width = min(26, max(len(row.name) for row in table.rows) + 1)
  needed = [max(len(heading.split(" vs ")[0]) if " " not in heading else max(map(len, heading.split())),
                *(len(row.cells[column].text) for row in table.rows)) + 2 for column, (heading, _) in enumerate(table.columns)]
  left, chosen = width - name_width - 4, []
  for column in _by_importance(table):
    if needed[column] <= left:
      chosen.append(column)
      left -= needed[column]
  shown = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
  shown.add_column("", max_width=name_width, overflow="fold")
  for column in sorted(chosen):
    shown.add_column(table.columns[column][0], justify="right", min_width=needed[column] - 2)
  styles = {"perfect": "bold green", "baseline": "bold", "arm": ""}
  for row in table.rows:
    name = f"[{styles[row.kind]}]{_escaped(row.name)}[/]" if styles[row.kind] else _escaped(row.name)
    shown.add_row(name + (f"\n[bold red]{_escaped(row.mark)}[/]" if row.mark else ""),
                  *(_escaped(row.cells[column].text) for column in sorted(chosen)))
  if len(chosen) < len(table.columns):
    shown.caption = f"{len(table.columns) - len(chosen)} more columns in the report (or a wider terminal)"
  return shown


def _by_importance(table: Table) -> list[int]:
  first = ("modes t=¼", "high quality", "failures", "KL rev. (nats)", "cost per round")
  rank = {heading: place for place, heading in enumerate(first)}
  return sorted(range(len(table.columns)), key=lambda column: (rank.get(table.columns[column][0], len(first)), column))


def _escaped(text: str) -> str:
  from rich.markup import escape
  return escape(text)
