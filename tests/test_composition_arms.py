"""Arms compose: any methods of the field that `_methods.py` has, as `gan-jax run --arms=a+b+c` puts them together, on tiny networks.

A set of up to four methods is built and keeps its state's tree and types (so a second round is no second trace), or is refused in one line before
anything compiles: 4 random sets by default, 200 with the slow tests, which also play three rounds of each and hold every number finite. And the
settings that leagues are tuned by are settings of these arms.
"""

import random
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from games import jit

from gan_jax import core, transforms, views
from gan_jax.lab import config, patches, resolve, schema
from gan_jax.lab.errors import UsageError

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
WIDTHS, LATENT, BATCH = (4, 4), 3, 16
ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5}
SMALLER = {  # settings of the arms that make for large programs or need many examples; what is composed stays the same
  "transforms.self_conditioned.examples": 32, "transforms.ridge_leverage.pool": 2, "transforms.unroll.steps": 2, "generator_terms.imle.pool": 2,
}  # fmt: skip
# They put whole rounds inside a round, and multiply each other's programs: at most one a set.
NESTING = {"unrolled5", "consensus", "extragradient", "extra_adam", "symplectic", "competitive"}


@pytest.fixture(scope="module")
def tuning():
  sys.path.insert(0, str(EXPERIMENTS))
  try:
    import _methods
  finally:
    sys.path.remove(str(EXPERIMENTS))
  return _methods


@pytest.fixture(scope="module")
def arms(tuning) -> dict[str, dict]:
  return {name: small(patch) for name, patch in tuning.methods(adam=ADAM, hidden=WIDTHS, latent=LATENT, batch=BATCH).items()}


def small(patch: dict) -> dict:
  changed = {key: SMALLER.get(key, value) for key, value in patch.items()}
  if "transforms.self_conditioned" in patch or any(key.startswith("transforms.self_conditioned") for key in patch):
    changed = {key: value for key, value in changed.items() if key != "transforms.self_conditioned"}
    changed |= {"transforms.self_conditioned.examples": 32, "transforms.self_conditioned.num_clusters": 3, "transforms.self_conditioned.every": 2}
  if any(key.startswith("transforms.ridge_leverage") for key in patch):
    changed = {key: value for key, value in changed.items() if key != "transforms.ridge_leverage"}
    changed |= {"transforms.ridge_leverage.pool": 2, "batch_size": 2 * BATCH}
  return changed


def base() -> dict:
  return {
    "seeds": 1, "num_steps": 3, "batch_size": BATCH, "data": {"name": "ring", "num_modes": 8}, "batch_unit": "samples",
    "generator": {"name": "mlp", "out": 2, "features": WIDTHS, "activation": "tanh"},
    "discriminator": {"name": "mlp", "features": WIDTHS, "activation": "tanh"}, "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": LATENT}, "optimizers": {"generator": ADAM, "discriminator": ADAM}, "discriminator_terms": {},
    "generator_terms": {}, "view": {}, "transforms": {}, "game": {"name": "gan", "ema_decay": 0.999},
    "evaluation": {"num_samples": 100, "thresholds": (1,)},
  }  # fmt: skip


def built(arms: dict, names: tuple[str, ...]) -> resolve.Experiment:
  """As `--arms=a+b` builds it: composed, checked, traced; UsageError where it is refused."""
  whole = "+".join(names)
  chosen = patches.select(arms, whole)
  values = config._for_arm({name: arms[name] for name in names}, chosen[whole], base(), schema.check)
  parts = {whole: {name: arms[name] for name in names}}
  resolved = config.Resolved("", None, "", config.as_config(base()), {whole: config.as_config(values)}, chosen, "", parts=parts)
  return resolve.build_all(resolved)[whole]


def traced(arms: dict, names: tuple[str, ...]) -> resolve.Experiment | None:
  """The set, whose state keeps its tree and types; None where it is refused, in one line that is no accident."""
  try:
    experiment = built(arms, names)
  except UsageError as error:
    assert "\n" not in str(error) and len(str(error)) < 300, error
    assert sum(f'"{name}"' in str(error) for name in names) >= 2, f"{names} are refused without a word of which: {error}"
    assert ".py:" not in str(error), f"{'+'.join(names)}: not a refusal but an accident: {error}"
    return None
  step = core.build(experiment.game).step
  after, _ = jax.eval_shape(step, experiment.shapes, experiment.data.abstract(experiment.round_size), jax.random.key(0))
  assert jax.tree.structure(after) == jax.tree.structure(experiment.shapes)
  for (path, new), old in zip(jax.tree_util.tree_leaves_with_path(after), jax.tree.leaves(experiment.shapes), strict=True):
    assert (new.shape, new.dtype) == (old.shape, old.dtype), f"{'+'.join(names)}: {jax.tree_util.keystr(path)} changes its type"
  return experiment


def play(experiment: resolve.Experiment, names: tuple[str, ...]) -> None:
  """Three rounds, one trace: finite numbers, and players that move."""
  algorithm, data, size = core.build(experiment.game), experiment.data, experiment.round_size
  traces = []

  def rounds(key):
    traces.append(names)
    batch = lambda number: data.draw(data.table, jax.random.fold_in(key, number), size)
    first = algorithm.init(key, batch(0))
    last, logs = jax.lax.scan(lambda state, _: algorithm.step(state, batch(state.step), key), first, None, length=3)
    return first, last, logs

  played = jit(rounds)
  first, last, logs = played(jax.random.key(0))
  played(jax.random.key(1))
  assert len(traces) == 1
  for path, leaf in jax.tree_util.tree_leaves_with_path((last, logs)):
    assert np.isfinite(leaf).all(), f"{'+'.join(names)}: {jax.tree_util.keystr(path)} is not finite"
  for player, params in last.params.items():
    moved = [(a != b).any() for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(first.params[player]), strict=True)]
    assert any(moved), f"{'+'.join(names)}: {player} never moved"


def random_sets(arms: dict, count: int) -> list[tuple[str, ...]]:
  """Two to four arms each, whose patches do not clash: those are refused without a look at what they are."""
  draw = random.Random(0)
  names, sets = [name for name in arms if name != "vanilla"], []
  while len(sets) < count:
    chosen = tuple(draw.sample(names, draw.randint(2, 4)))
    if len(NESTING & set(chosen)) > 1:
      continue
    try:
      patches.compose({name: arms[name] for name in chosen})
    except UsageError as error:
      assert sum(f'"{name}"' in str(error) for name in chosen) == 2, error  # it names the two
    else:
      sets.append(chosen)
  return sets


def test_a_sensible_set(arms):
  names = ("unrolled5", "pacgan2", "r1")
  experiment = traced(arms, names)
  assert experiment is not None and experiment.game.pack_size == 2
  play(experiment, names)


@pytest.mark.parametrize(
  ("names", "says"),
  [
    (("hinge", "least_squares"), '"hinge" and "least_squares" both set objective'),
    (("veegan", "r1"), "game \"veegan\" takes no discriminator_terms"),
    (("mgan", "ali"), '"mgan" and "ali" both set game'),
    (("pacgan2", "pacgan4"), '"pacgan2" and "pacgan4" both set view.pack.size'),
    (("pacgan2", "self_conditioned"), 'arms "pacgan2" and "self_conditioned" do not go together: '),
    (("self_conditioned", "r1", "pacgan2"), 'arms "self_conditioned" and "pacgan2" do not go together: '),
    (("historical_averaging", "competitive"), "give the generator plain sgd"),
    (("wgan_gp", "consensus"), 'arms "wgan_gp" and "consensus" do not go together: '),
    (("mmd", "truncation", "rejection_sampling"), 'arms "mmd" and "rejection_sampling" do not go together: '),
    (("infogan", "pacgan2"), 'arms "infogan" and "pacgan2" do not go together: '),
    (("minibatch_stddev", "minibatch_discrimination"), "both set discriminator.across"),
    (("infogan", "deligan"), "both set prior"),
  ],
  ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_nonsense_is_refused_in_one_line(arms, names, says):
  with pytest.raises(UsageError) as refusal:
    built(arms, names)  # before anything is compiled
  assert says in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
  "names",
  [
    ("truncation", "rejection_sampling"), ("historical_averaging", "extragradient"), ("self_conditioned", "rejection_sampling"),
    ("unrolled5", "wgan_clip"), ("unrolled5", "self_conditioned"), ("instance_noise", "pacgan2"),
  ],
  ids="+".join,
)  # fmt: skip
def test_the_order_in_which_arms_are_named_does_not_matter(arms, names):
  """Also where one of them has no settings of its own, and so a shorter key than the other."""
  one, two = (patches.patched(base(), patches.select(arms, "+".join(order))["+".join(order)]) for order in (names, names[::-1]))
  assert repr(one["transforms"]) == repr(two["transforms"]) and repr(one["view"]) == repr(two["view"])
  assert traced(arms, names) is not None


def test_the_order_of_transforms_and_views_is_known_of_all_of_them():
  assert {*schema.TRANSFORMS} - {""} == {*transforms.__all__} and {*schema.VIEWS} - {""} < {*views.__all__}  # images otherwise
  section = {"transforms.my_lab:own": {}, "transforms.unroll.steps": 2, "transforms.lookahead": {}}
  assert list(patches.patched(base(), section)["transforms"]) == ["lookahead", "my_lab:own", "unroll"]
  given = {"transforms": {"unroll": {"steps": 2}, "lookahead": {}}}  # a section as it stands is a choice
  assert list(patches.patched(base(), given)["transforms"]) == ["unroll", "lookahead"]


@pytest.mark.parametrize(("first", "last"), [(0, 4), pytest.param(4, 200, marks=pytest.mark.slow)])
def test_random_sets_are_built_or_refused(arms, first, last):
  found = [traced(arms, names) for names in random_sets(arms, last)[first:]]
  assert sum(experiment is not None for experiment in found) >= len(found) / 3  # the test is about something


@pytest.mark.slow
@pytest.mark.parametrize("number", range(200))
def test_random_sets_play(arms, number):
  names = random_sets(arms, number + 1)[number]
  experiment = traced(arms, names)
  if experiment is not None:
    play(experiment, names)


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_three_settings_of_every_method(arms, tuning, every):
  """The default comes first, the others differ from it in their knob alone, and each is a value that the method takes."""
  rates = {"generator": 1e-3, "discriminator": 1e-3}
  for number, (method, patch) in enumerate(arms.items()):
    three = tuning.settings(method, patch, rates)
    assert len(three) == 3 and next(iter(three)) == method and three[method] == patch
    plain, *others = (patches.patched(base(), each) for each in three.values())
    changed = [{path for path in flat(plain) | flat(other) if flat(plain).get(path) != flat(other).get(path)} for other in others]
    assert (all(changed) or method == "unrolled5") and others[0] != others[1], method  # here it is unrolled by 2, one of the others
    if method in tuning.KNOBS or method in tuning.WEIGHTS:
      paths = (tuning.KNOBS[method][0],) if method in tuning.KNOBS else tuning.WEIGHTS[method]
      assert all(each <= set(paths) for each in changed), (method, changed)
      if method in tuning.KNOBS and paths[0] in flat(plain) and method not in ("unrolled5", "self_conditioned"):  # made smaller here
        assert flat(plain)[paths[0]] == tuning.KNOBS[method][1][0], method
      for other in others if method in tuning.KNOBS and number % every == 0 else ():  # a weight may be any number
        resolve.build(config.as_config(schema.check(other)))
    else:
      for factor, each, other in zip((1 / 3, 3), changed, others, strict=True):
        assert {path.split(".")[1] for path in each} == set(plain["optimizers"]), method
        assert all(flat(other)[path] == pytest.approx(factor * flat(plain)[path]) for path in each), method


def flat(section: dict, before: str = "") -> dict:
  found = {}
  for key, value in section.items():
    found |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
  return found


def test_the_best_setting_wins_and_the_default_wins_ties(tuning):
  three = {"a": {"a": {}, "a_1": {"x": 1}, "a_2": {"x": 2}}, "b": {"b": {}, "b_1": {"y": 1}, "b_2": {"y": 2}}, "c": {"c": {}, "c_1": {}, "c_2": {}}}
  tried = {"a": 5.0, "a_1": 5.0, "a_2": 4.0, "b": 5.0, "b_1": 6.0, "b_2": 7.5, "c": 1.0, "c_1": 2.0}  # of c not all have been tried
  assert tuning.best(three, tried) == {"b_2": {"y": 2}}
