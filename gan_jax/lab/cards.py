"""The method cards, docs/methods/*.md: what `gan-jax cite` prints of them."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from gan_jax.lab import catalogue
from gan_jax.lab.errors import UsageError, nearest

FOLDER = os.path.join(os.path.dirname(catalogue.PACKAGE), "docs", "methods")


class Card(NamedTuple):
  """`names`: the functions that its slot line names, as "module.function"; `bibtex`: the entries of its paper, "" where there is none."""

  stem: str
  title: str
  names: tuple[str, ...]
  text: str
  bibtex: str

  @property
  def summary(self) -> str:
    """What the method is, in a sentence."""
    return next(line for line in self.text.splitlines()[1:] if line)


def cards() -> Mapping[str, Card]:
  """Every card, by its file's name.

  Raises:
    UsageError: this installation has no cards.
  """
  if not os.path.isdir(FOLDER):
    raise UsageError("cite: the method cards are not installed with the package; they are in docs/methods of its source")
  found = {}
  for file in sorted(os.listdir(FOLDER)):
    if file.endswith(".md"):
      with open(os.path.join(FOLDER, file), encoding="utf-8") as opened:
        found[file[:-3]] = _read(file[:-3], opened.read())
  return found


def cite(method: str | None) -> str:
  """BibTeX of a method, by its card's name or by a function's; with None the methods that can be cited, a line each.

  Raises:
    UsageError: no card of that name, or a method of no paper.
  """
  known = cards()
  if method is None:
    width = max(map(len, known))
    return "\n".join(f"  {stem:<{width}}  {card.title}" for stem, card in known.items() if card.bibtex)
  by_function = {name.rpartition(".")[2]: card for card in known.values() for name in card.names}
  card = known.get(method) or by_function.get(method)
  if card is None:
    plain = lambda text: re.sub(r"[^a-z0-9]", "", text.lower())
    titled = [stem for stem, one in known.items() if method and plain(method) in plain(one.title)]
    hint = f'; did you mean "{titled[0]}"?' if len(titled) == 1 else nearest(method, titled or sorted({*known, *by_function}))
    raise UsageError(f"cite {method}: no card of that name{hint}")
  if not card.bibtex:
    raise UsageError(f"cite {method}: no published method by itself; see docs/methods/{card.stem}.md")
  return card.bibtex


def _read(stem: str, text: str) -> Card:
  title = text.partition("\n")[0].removeprefix("# ").strip()
  slot = next((line for line in text.splitlines() if line.startswith("- **Slot:**")), "")
  names = tuple(name for name in re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", slot) if name.partition(".")[0] != "experiments")
  return Card(stem, title, names, text, "\n".join(re.findall(r"```bibtex\n(.*?)\n```", text, re.DOTALL)))
