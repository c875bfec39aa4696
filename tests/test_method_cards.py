"""Method cards: every method has one, with the settings that its function has, the numbers that were measured, and its own paper."""

import importlib.util
import inspect
import json
import re
from pathlib import Path

import pytest

from gan_jax.lab import cards, catalogue, cli, lookup
from gan_jax.lab.errors import UsageError

CARDS = cards.cards()
GIVEN = {  # what a config fills from other sections
  "generator", "discriminator", "reconstructor", "encoder", "optimizers", "axis_name", "game", "objective", "view", "views", "prior",
  "discriminator_terms", "generator_terms",
}  # fmt: skip


def functions(card):
  for name in card.names:
    module, _, attribute = name.partition(".")
    yield name, getattr(importlib.import_module(f"gan_jax.{module}"), attribute, None)


def section(card, title: str) -> str:
  return card.text.partition(f"## {title}\n")[2].partition("\n## ")[0].strip()


def rows(card) -> dict[str, str]:
  """Knob -> default, as the card has them."""
  table = [line.strip("| ").split(" | ") for line in section(card, "Knobs").splitlines()[2:]]  # nothing, where it says "None."
  return {line[0].strip("`"): line[1].strip() for line in table}


def test_every_listed_method_is_on_exactly_one_card():
  for entry in catalogue.entries("methods"):
    modules = [path.removeprefix("gan_jax.") for path in lookup.MODULES[entry.slot] if path != "optax"]
    found = [card.stem for card in CARDS.values() for module in modules if f"{module}.{entry.name}" in card.names]
    assert len(found) == 1, f"{entry.slot} {entry.name}: {found or 'no card names it'}"


def test_every_card_is_of_a_method_that_is_listed():
  lines = [line.split() for line in catalogue.text("methods").splitlines() if line.startswith("  ")]
  listed = {name for name, *words in lines if len(words) >= 4}
  for stem, card in CARDS.items():
    assert stem in listed or {name.rpartition(".")[2] for name in card.names} & listed, stem
  assert {"virtual_batch", "minibatch_discrimination", "spectral_norm", "ttur", "infogan", "deligan", "extra_adam"} <= listed


@pytest.mark.parametrize("stem", CARDS)
def test_a_card_has_its_sections_in_order_and_names_what_there_is(stem):
  card = CARDS[stem]
  heads = re.findall(r"^## (.*)$", card.text, re.MULTILINE)
  assert heads == ["Equation", "In a config", "Knobs", "Trap", "Paper"]
  assert all(section(card, head) for head in heads)
  facts = re.findall(r"^- \*\*(.*?):\*\* \S", card.text, re.MULTILINE)
  assert facts == ["Slot", "State beside the networks", "Cost of a round, relative to vanilla", "When it helps, and when not, by our tables"]
  for name, function in functions(card):
    assert function is not None, f"there is no {name}"


@pytest.mark.parametrize("stem", CARDS)
def test_knobs_are_the_functions_settings_with_their_defaults(stem):
  card = CARDS[stem]
  known: dict[str, list] = {}
  for _, function in functions(card):
    if not inspect.isclass(function) and callable(function):
      for name, parameter in inspect.signature(function).parameters.items():
        known.setdefault(name, []).append(parameter.default)
  on_card = rows(card)
  missing = {name for name in known if name not in on_card and name not in GIVEN}
  assert not missing - {"ema_decay"}, f"{stem}: no row for {sorted(missing)}"
  for name, default in on_card.items():
    if name in known and default != "needed":
      values = {float(v) if isinstance(v, int | float) and not isinstance(v, bool) else v for v in known[name] if v is not inspect.Parameter.empty}
      text = default.strip('"')
      number = float(text) if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e-?\d+)?|inf", text) else text
      assert not values or number in values or text in map(str, values), f"{stem}: {name} is {values}, not {default}"


ENTRY = re.compile(r"@(inproceedings|article|misc|phdthesis|techreport)\{([a-z0-9]+),\n(.*?)\n\}", re.DOTALL)


@pytest.mark.parametrize("stem", [stem for stem, card in CARDS.items() if card.bibtex])
def test_the_paper_is_an_entry_that_parses_and_the_docstrings_paper(stem):
  """Braces close, author, title and year are there; and where the docstring gives an arXiv number, it is the card's."""
  text = CARDS[stem].bibtex
  found = ENTRY.findall(text)
  assert found and ENTRY.sub("", text).strip() == "", text
  for _, _, body in found:
    assert body.count("{") == body.count("}")
    for field in ("author", "title", "year"):
      assert re.search(rf"\b{field}=\{{[^}}]", body), f"{stem}: no {field}"
    assert 1976 <= int(re.search(r"year=\{(\d{4})\}", body).group(1)) <= 2030
  numbers = set(re.findall(r"\d{4}\.\d{5}", text))
  cited = [set(re.findall(r"arXiv:(\d{4}\.\d{4,5})", inspect.getdoc(function) or "")) for _, function in functions(CARDS[stem])]
  cited = [numbers_of for numbers_of in cited if numbers_of]
  assert not cited or not numbers or all(numbers & numbers_of for numbers_of in cited), f"{stem}: {numbers} against {cited}"


def test_no_two_cards_share_a_key_for_different_papers():
  papers: dict[str, str] = {}
  for card in CARDS.values():
    for _, key, body in ENTRY.findall(card.bibtex):
      title = re.sub(r"[^a-z]", "", re.search(r"title=\{(.*?)\},?\s*(author|\n|$)", body, re.DOTALL).group(1).lower())
      assert papers.setdefault(key, title) == title, key


@pytest.fixture(scope="module")
def measured():
  """`(costs, summaries, benchmarks/methods.py)`: what the cards' two measured lines are made of."""
  root = Path(__file__).parent.parent
  specification = importlib.util.spec_from_file_location("methods_benchmark", root / "benchmarks" / "methods.py")
  benchmark = importlib.util.module_from_spec(specification)
  specification.loader.exec_module(benchmark)
  summaries = {name: json.loads((root / "experiments" / "results" / name / "summary.json").read_text()) for name in benchmark.TABLES}
  return json.loads(benchmark.RESULTS.read_text()), summaries, benchmark


@pytest.mark.parametrize("stem", CARDS)
def test_measured_lines_are_those_of_the_results(stem, measured):
  """`python benchmarks/methods.py --cards` writes them."""
  costs, summaries, benchmark = measured
  arms = benchmark.ARMS_OF.get(stem, (stem,))
  assert f"\n- **Cost of a round, relative to vanilla:** {benchmark.cost(arms, costs, summaries)}\n" in CARDS[stem].text
  assert f"\n- **When it helps, and when not, by our tables:** {benchmark.helps(arms, summaries)}\n" in CARDS[stem].text


def main(capsys, *arguments: str) -> tuple[int, str, str]:
  code = cli.main(list(arguments))
  out, err = capsys.readouterr()
  return code, out, err


def test_cite(capsys):
  code, out, _ = main(capsys, "cite", "pack")
  assert code == 0 and out.startswith("@inproceedings{lin2018pacgan,") and "Two Samples" in out
  assert main(capsys, "cite", "trained_mixture")[1] == main(capsys, "cite", "deligan")[1] != ""
  code, out, _ = main(capsys, "cite")
  assert code == 0 and "  pack " in out and "order_of_play" not in out
  assert len(out.splitlines()) == sum(bool(card.bibtex) for card in CARDS.values())
  code, out, err = main(capsys, "cite", "pacgam")
  assert (code, out) == (2, "") and err.count("\n") == 1
  code, _, err = main(capsys, "cite", "repeat")
  assert code == 2 and "no published method by itself" in err


def test_without_cards_cite_says_where_they_are(monkeypatch):
  monkeypatch.setattr(cards, "FOLDER", "/nowhere")
  with pytest.raises(UsageError, match="docs/methods of its source"):
    cards.cite("pack")
