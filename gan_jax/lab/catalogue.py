"""What there is to name in a config, read from the source files without imports: `gan-jax list` answers at once."""

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gan_jax.lab.errors import UsageError, nearest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KINDS: Mapping[str, Mapping[str, str]] = {  # kind -> heading (the slot in a config) -> module, or modules
  "methods": {
    "objective": "objectives distributions",
    "discriminator_terms": "penalties",
    "generator_terms": "diversity coverage translation",
    "view": "views",
    "transforms": "transforms",
    "game": "games",
    "prior": "priors",
    "optimizers": "optimizers",
  },
  "datasets": {"data": "data"},
  "metrics": {"metrics": "metrics"},
  "networks": {"networks": "networks"},
  "experiments": {"experiments": "experiments"},
}


GIVES = {"metrics": ("Metric", "Extractor")}  # of these modules only the functions with such a result can be named in a config


class Entry(NamedTuple):
  slot: str
  name: str
  sentence: str  # the docstring's first line


def entries(kind: str) -> list[Entry]:
  """Everything of a kind, in the order of its slots.

  Raises:
    UsageError: no such kind.
  """
  if kind not in KINDS:
    raise UsageError(f"list {kind}: nothing of that kind{nearest(kind, KINDS)}")
  if kind == "experiments":
    return list(_experiments())
  return [
    Entry(slot, name, sentence)
    for slot, modules in KINDS[kind].items()
    for module in modules.split()
    for name, sentence in _public(module).items()
  ]


def text(kind: str) -> str:
  """The entries as lines of text, grouped by slot."""
  found = entries(kind)
  width = max((len(entry.name) for entry in found), default=0)
  lines: list[str] = []
  slot = None
  for entry in found:
    if entry.slot != slot and len(KINDS[kind]) > 1:
      lines += [*([""] if lines else []), f"{entry.slot}:"]
    slot = entry.slot
    lines.append(f"  {entry.name:<{width}}  {entry.sentence}".rstrip())
  lines += _methods_of_cards({entry.name for entry in found}) if kind == "methods" else []
  return "\n".join(lines) or f"no {kind} here"


def _methods_of_cards(listed: set[str]) -> list[str]:
  """Methods that are layers, settings, or several of the functions at once: known by their cards, where these are installed."""
  from gan_jax.lab import cards

  more = [card for card in cards.cards().values() if card.stem not in listed] if os.path.isdir(cards.FOLDER) else []
  width = max((len(card.stem) for card in more), default=0)
  heading = "layers, settings, and sets of the above (docs/methods has a card of every method):"
  return [*([""] if more else []), *([heading] if more else []), *(f"  {card.stem:<{width}}  {card.summary}" for card in more)]


def _public(module: str) -> dict[str, str]:
  """Name -> first line of its docstring, for what a module or package has in `__all__`, or its public functions."""
  path = os.path.join(PACKAGE, module)
  if not os.path.isdir(path):
    return _offered(path + ".py", {})
  gives = GIVES.get(module, ())
  return _offered(os.path.join(path, "__init__.py"), _defined(path, gives), gives)


def _offered(path: str, elsewhere: Mapping[str, str], gives: Sequence[str] = ()) -> dict[str, str]:
  tree = _parse(path)
  own = _definitions(tree, gives)
  found = {**elsewhere, **own}
  for node in tree.body:
    if isinstance(
      node, ast.ImportFrom
    ):  # `from layers import MinibatchStddev as minibatch_stddev`, `from gan_jax.gan import gan`
      package, *source = (node.module or "").split(".")
      there = {**elsewhere, **(_defined(os.path.join(PACKAGE, *source), gives) if package == "gan_jax" and source else {})}
      found |= {alias.asname or alias.name: there[alias.name] for alias in node.names if alias.name in there}
  names = _all(tree) or [name for name in (own or elsewhere) if name[:1].islower()]
  return {name: found[name] for name in names if name in found}


def _defined(path: str, gives: Sequence[str]) -> dict[str, str]:
  """The definitions of a module, or of all modules of a package."""
  files = [path + ".py"] if not os.path.isdir(path) else [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(".py")]
  return {name: sentence for file in files for name, sentence in _definitions(_parse(file), gives).items()}


def _all(tree: ast.Module) -> list[str] | None:
  for node in tree.body:
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
      return [
        e.value for e in getattr(node.value, "elts", []) if isinstance(e, ast.Constant) and isinstance(e.value, str)
      ]
  return None


def _definitions(tree: ast.Module, gives: Sequence[str] = ()) -> dict[str, str]:
  """Name -> first line of its docstring for what is public; where `gives` names any, only for functions annotated to give one of them."""
  kinds = (ast.FunctionDef, ast.ClassDef)
  public = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
  return {n.name: _sentence(ast.get_docstring(n)) for n in public if not gives or getattr(getattr(n, "returns", None), "id", None) in gives}


def _experiments() -> Iterator[Entry]:
  """The files in ./experiments, or else in the checkout that this package lies in."""
  for folder in ("experiments", os.path.join(os.path.dirname(PACKAGE), "experiments")):
    if os.path.isdir(folder):
      for name in sorted(os.listdir(folder)):
        if name.endswith(".py") and not name.startswith("_"):
          yield Entry(
            "experiments",
            os.path.join(os.path.relpath(folder), name),
            _sentence(ast.get_docstring(_parse(os.path.join(folder, name)))),
          )
      return


def _parse(path: str) -> ast.Module:
  try:
    with open(path, "rb") as file:
      return ast.parse(file.read())
  except (OSError, SyntaxError, ValueError):  # a user's unfinished experiment should not break the list
    return ast.Module(body=[], type_ignores=[])


def _sentence(docstring: str | None) -> str:
  return (docstring or "").strip().partition("\n")[0]
