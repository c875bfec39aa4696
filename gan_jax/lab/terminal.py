"""The comparison in a terminal: rich where it is one, plain ASCII columns where the output is a pipe or not UTF-8."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from gan_jax.lab.tables import Table, main_table

PIPE_WIDTH = 140  # columns to fill where the output is no terminal


def print_table(summary: Mapping[str, Any], file: TextIO | None = None) -> None:
  """Prints the raw and the EMA table, the perfect sampler first; it says how many columns did not fit."""
  from rich.console import Console

  file = file or sys.stdout
  fancy = file.isatty() and (getattr(file, "encoding", "") or "").lower().replace("-", "") == "utf8"
  for weights in ("raw", "ema"):
    if weights == "raw" or any(name.startswith("ema/") for metrics in summary["arms"].values() for name in metrics):
      table = main_table(summary, weights)
      if fancy:
        console = Console(file=file, highlight=False)
        console.print(rich_table(table, console.width))
      else:
        file.write(plain_text(table, PIPE_WIDTH) + "\n")


def plain_text(table: Table, width: int) -> str:
  """The table in ASCII columns, one line a row; what must be said of an arm with a "!" stands below."""
  names = [row.name + (" !" if row.mark else "") for row in table.rows]
  marks: dict[str, list[str]] = {}
  for row in table.rows:
    marks.setdefault(row.mark, []).append(row.name)
  notes = [f"! {ascii_text(mark)}: {', '.join(arms)}" for mark, arms in marks.items() if mark]
  chosen = _fitting(table, width - max(map(len, names)), gap=2, wrapped=False)
  lines = [["", *(table.columns[column][0] for column in chosen)]]
  lines += [[name, *(row.cells[column].one_line for column in chosen)] for name, row in zip(names, table.rows, strict=True)]
  lines = [[ascii_text(text) for text in line] for line in lines]
  widths = [max(len(line[column]) for line in lines) for column in range(len(chosen) + 1)]
  shown = [
    "  ".join(text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in enumerate(zip(line, widths, strict=True))).rstrip()
    for line in lines
  ]
  return "\n".join([ascii_text(table.title), shown[0], "-" * max(map(len, shown)), *shown[1:], *notes, *_left_out(table, chosen)]) + "\n"


def ascii_text(text: str) -> str:
  for sign, plain in (
    ("—", "-"),
    ("−", "-"),
    ("∞", "inf"),
    ("¼", "1/4"),
    ("Δ", "diff."),
    ("×", "x"),
    ("·", "*"),
    ("⚠", "!"),
    ("σ", "s"),
  ):
    text = text.replace(sign, plain)
  return text.encode("ascii", "replace").decode()


def rich_table(table: Table, width: int) -> Any:
  """The table for a rich console of `width` columns."""
  from rich import box
  from rich.table import Table as RichTable

  longest = max(max(len(row.name), min(len(row.mark), 20)) for row in table.rows)
  name_width = min(longest, max(20, width // 4))
  chosen = _fitting(table, width - name_width - 4, gap=3, wrapped=True)
  shown = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
  shown.add_column("", min_width=name_width, max_width=name_width, overflow="fold")
  for column in chosen:
    shown.add_column(table.columns[column][0], justify="right", min_width=_width(table, column, wrapped=True))
  styles = {"perfect": "bold green", "baseline": "bold", "arm": ""}
  for row in table.rows:
    name = f"[{styles[row.kind]}]{_escaped(row.name)}[/]" if styles[row.kind] else _escaped(row.name)
    shown.add_row(
      name + (f"\n[bold red]{_escaped(row.mark)}[/]" if row.mark else ""),
      *(_escaped(row.cells[column].one_line) for column in chosen),
    )
  shown.caption = " ".join(_left_out(table, chosen)) or None
  return shown


def _fitting(table: Table, width: int, *, gap: int, wrapped: bool) -> list[int]:
  """The columns that fit into `width`, the most telling ones first in line; in the order of the table."""
  chosen = []
  for column in _by_importance(table):
    needed = _width(table, column, wrapped=wrapped) + gap
    if needed <= width:
      chosen.append(column)
      width -= needed
  return sorted(chosen)


def _width(table: Table, column: int, *, wrapped: bool) -> int:
  heading = table.columns[column][0]
  return max(*map(len, heading.split() if wrapped else [heading]), *(len(row.cells[column].one_line) for row in table.rows))


def _left_out(table: Table, chosen: list[int]) -> list[str]:
  missing = len(table.columns) - len(chosen)
  return [f"{missing} more column{'s' if missing > 1 else ''} in the report"] if missing else []


def _by_importance(table: Table) -> list[int]:
  first = ("modes t=¼", "high quality", "failures", "Δ vs", "KL rev.", "cost per round", "modes t=1", "modes")

  def rank(column: int) -> int:
    return next((place for place, start in enumerate(first) if table.columns[column][0].startswith(start)), len(first))

  return sorted(range(len(table.columns)), key=lambda column: (rank(column), column))


def _escaped(text: str) -> str:
  from rich.markup import escape

  return escape(text)
