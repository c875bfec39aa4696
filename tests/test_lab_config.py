"""Loading an experiment: files, overrides, arms and their composition, and what the names in it become."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_jax.lab import binding, config, patches, resolve, schema
from gan_jax.lab.errors import GanJaxError, UsageError, nearest, one_line, show

SOURCE = '''
"""A question?"""
import ml_collections

def get_config(arg=None):
  return ml_collections.ConfigDict(
    dict(
      seeds=3, num_steps=10, batch_size=8,
      data={"name": "ring", "sigma": 1, "num_modes": 4},
      generator={"name": "mlp", "features": (4,)}, discriminator={"name": "mlp", "features": [4]},
      objective={"name": "non_saturating"}, prior={"name": "normal", "size": 2},
      optimizers={p: {"name": "adam", "learning_rate": 1e-3} for p in ("generator", "discriminator")},
      view={"pack": {"size": 2}, "instance_noise": {"sigma": 0.1}},
      arms={"vanilla": {}, "packs": {"batch_unit": "packs"}, "plain": {"view": None}, "critic": {"game.n_critic": 5},
            "r1": {"discriminator_terms.r1.gamma": 1},
            "own": {"generator_terms.repel": {"name": "my_terms:repel", "weight": -1.0}}},
    ),
    convert_dict=False,
  )
'''


@pytest.fixture
def path(tmp_path):
  file = tmp_path / "question.py"
  file.write_text(SOURCE)
  return str(file)


def test_load_gives_a_complete_config_for_every_arm(path, tmp_path):
  (tmp_path / "my_terms.py").write_text("def repel(weight: float):\n  return lambda play: weight * play.fake.std()\n")
  resolved = config.load(path)
  assert (resolved.experiment, resolved.argument, resolved.question) == ("question", None, "A question?")
  assert list(resolved.arms) == ["vanilla", "packs", "plain", "critic", "r1", "own"]
  assert config.as_dict(resolved.arms["vanilla"]) == config.as_dict(resolved.base)
  assert resolved.arms["r1"].discriminator_terms.r1.gamma == 1 and not resolved.base.discriminator_terms
  assert resolved.base.batch_unit == "samples" and resolved.base.evaluation.every == 500  # defaults
  assert config.seeds(resolved.base) == (0, 1, 2)


@pytest.mark.parametrize("arm, size, turns", [("vanilla", 8, 2), ("packs", 16, 2), ("plain", 8, 2), ("critic", 40, 6)])
def test_batch_size_is_what_one_turn_of_the_discriminator_sees(path, arm, size, turns):
  resolved = config.load(path, arms=arm)
  experiment = resolve.build(resolved.arms[arm])
  assert experiment.round_size == size and len(experiment.game.turns) == turns


def test_views_keep_the_order_of_the_file(path):
  """A ConfigDict iterates alphabetically; packing before noise is not noise before packing."""
  resolved = config.load(path, arms="vanilla")
  assert list(config.as_dict(resolved.base)["view"]) == ["pack", "instance_noise"]
  assert list(config.as_json(resolved.base)["view"]) == ["pack", "instance_noise"]
  assert list(config.from_json(config.as_json(resolved.base)).view.to_dict()) == ["pack", "instance_noise"]


def test_json_round_trip(path):
  for arm in config.load(path, arms="vanilla,packs,plain,critic,r1").arms.values():
    text = json.dumps(config.as_json(arm), allow_nan=False)
    assert config.as_dict(config.from_json(json.loads(text))) == config.as_dict(arm)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.text()
NAMES = st.text(min_size=1, max_size=5)
TREES = st.dictionaries(NAMES, st.recursive(LEAVES, lambda t: st.lists(t) | st.dictionaries(NAMES, t), max_leaves=6))


@given(TREES)
@settings(max_examples=50, deadline=None)
def test_plain_is_idempotent_and_json_holds_it(tree):
  once = schema.plain(tree)
  assert schema.plain(once) == once
  assert schema.plain(json.loads(json.dumps(once))) == once


@pytest.mark.parametrize("text, key, expected", [
  ("5", "num_steps", 5),
  ("(4, 5)", "generator.features", (4, 5)),
  ("4,5", "generator.features", (4, 5)),
  ("[4, 5]", "generator.features", (4, 5)),
  ("2", "optimizers.generator.learning_rate", 2.0),
  ("1e-4", "optimizers.generator.learning_rate", 1e-4),
  ("hinge", "objective.name", "hinge"),
  ("'hinge'", "objective.name", "hinge"),
  ("None", "view", None),
  ("none", "view.pack", None),
  ("false", "evaluation.distances", False),
  ("{'name': 'hinge'}", "objective", {"name": "hinge"}),
  ("(7,9)", "seeds", (7, 9)),
  ("tanh", "generator.activation", "tanh"),
  ("'7'", "question", "7"),
  ("1", "discriminator_terms.r1.gamma", 1),
  ("{'name': 'sgd', 'learning_rate': {'name': 'cosine_decay_schedule', 'init_value': .1, 'decay_steps': 5}}",
   "optimizers.generator",
   {"name": "sgd", "learning_rate": {"name": "cosine_decay_schedule", "init_value": 0.1, "decay_steps": 5}}),
])  # fmt: skip
def test_overrides_are_parsed_to_the_type_they_replace(path, text, key, expected):
  resolved = config.load(path, [f"{key}={text}"], "vanilla")
  value = patches.flat(config.as_dict(resolved.base)) if not isinstance(expected, dict) else None
  got = patches.lookup(config.as_dict(resolved.base), key)
  assert got == expected and type(got) is type(expected)
  assert value is None or key in value or expected is None
  resolve.build_all(resolved)


def test_later_overrides_win_and_arms_come_after(path):
  overrides = ["game.n_critic=2", "game.n_critic=3", "arms.r1.discriminator_terms.r1.gamma=7"]
  with pytest.warns(UserWarning, match="n_critic does not reach what sets it itself, critic; .* by --config.arms.critic.game.n_critic="):
    resolved = config.load(path, overrides, "vanilla,critic,r1")
  assert [arm.game.n_critic for arm in resolved.arms.values()] == [3, 5, 3]
  assert resolved.arms["r1"].discriminator_terms.r1.gamma == 7
  assert resolved.overrides[0] == "game.n_critic=2"


def test_composition(path):
  resolved = config.load(path, arms="critic+r1,packs+plain")
  assert list(resolved.arms) == ["critic+r1", "packs+plain"]
  assert resolved.patches["critic+r1"] == {"game.n_critic": 5, "discriminator_terms.r1.gamma": 1}
  assert resolved.arms["packs+plain"].view is None


@pytest.mark.parametrize("one, two, clash", [
  ({"a.x": 1}, {"a.y": 1}, None),
  ({"a.x": 1}, {"a.x": 1}, None),
  ({"a.x": 1}, {"a.x": 2}, "a.x"),
  ({"a.x": 1}, {"a.x": True}, "a.x"),
  ({"a": {"name": "f"}}, {"a": {"name": "g"}}, "a"),
  ({"a": {"name": "f"}}, {"a.x": 1}, None),
  ({"a": {"name": "f", "x": 1}}, {"a.x": 1}, None),
  ({"a": {"name": "f", "x": 1}}, {"a.x": 2}, "a.x"),
  ({"a": {"name": "f", "b": {"x": 1}}}, {"a.b.x": 2}, "a.b.x"),
  ({"a": None}, {"a.x": 1}, "a.x"),
  ({"a": None}, {"a": None}, None),
  ({"ab": None}, {"a": {"b": 1}}, None),
])  # fmt: skip
def test_composition_is_refused_where_two_arms_disagree_whatever_their_order(one, two, clash):
  for both in ({"one": one, "two": two}, {"two": two, "one": one}):
    if clash is None:
      patches.compose(both)
    else:
      with pytest.raises(UsageError, match=f'"one".*{clash}|"two".*{clash}'):
        patches.compose(both)


def test_a_patch_replaces_sections_before_it_sets_settings():
  base = {"game": {"name": "gan", "ema_decay": 0.9}, "view": None, "objective": {"name": "hinge"}}
  patch = {"game.n_critic": 5, "game": {"name": "veegan"}, "view.pack.size": 2, "objective": None}
  out = patches.patched(base, patch)
  assert out == {"game": {"name": "veegan", "n_critic": 5}, "view": {"pack": {"size": 2}}, "objective": None}
  assert base["game"]["ema_decay"] == 0.9 and base["view"] is None


def test_differences_name_the_keys():
  old = {"a": {"x": 1, "y": 2}, "b": {}, "c": None}
  new = {"a": {"x": 1.0, "y": 2}, "b": {"z": {}}, "c": None}
  assert config.differences(old, new) == {"a.x": (1, 1.0), "b.z": (None, {})}


@pytest.mark.parametrize("text, expected", [
  ("f.py", ("f.py", None)), ("f.py:quick", ("f.py", "quick")), ("d/f.py:a:b", ("d/f.py", "a:b")),
  ("f.py:", ("f.py", None)), ("f", ("f", None)),
])  # fmt: skip
def test_split_argument(text, expected):
  assert config.split_argument(text) == expected


def test_files_of_one_name_do_not_meet(tmp_path):
  """Neither with each other nor with an installed module: a config may be called json.py."""
  for folder, seeds in (("a", 1), ("b", 2)):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "json.py").write_text(SOURCE.replace("seeds=3", f"seeds={seeds}"))
  assert [config.load(str(tmp_path / f / "json.py"), arms="vanilla").base.seeds for f in "ab"] == [1, 2]
  assert json.loads("1") == 1


def test_arms_share_their_data(path):
  resolved = config.load(path, arms="vanilla,critic")
  one, two = resolve.build_all(resolved).values()
  assert one.data is two.data


def test_own_functions_mean_what_they_like_by_a_name(path, tmp_path, monkeypatch):
  """`weight` of our terms is not negative; that of a user's function is his business."""
  (tmp_path / "my_terms.py").write_text("def repel(weight: float):\n  return lambda play: weight * play.fake.std()\n")
  monkeypatch.syspath_prepend(str(tmp_path))
  resolved = config.load(path, arms="own")
  game = resolve.build_all(resolved)["own"].game
  assert set(game.players) == {"generator", "discriminator"}
  with pytest.raises(UsageError, match=r"generator_terms\.repel\.weight = .*heavy.*: needs a number"):
    config.load(path, ["arms.own.generator_terms.repel={'name': 'my_terms:repel', 'weight': 'heavy'}"], "own")


def test_a_broken_module_of_the_users_is_told_with_its_line(path, tmp_path, monkeypatch):
  (tmp_path / "my_broken.py").write_text("x = 1\nx.y\n")
  monkeypatch.syspath_prepend(str(tmp_path))
  with pytest.raises(UsageError, match=r"my_broken.py:2: AttributeError"):
    config.load(path, ["objective.name=my_broken:loss"], "vanilla")


def test_a_term_that_fails_while_traced_is_told_with_its_line(path, tmp_path, monkeypatch):
  (tmp_path / "my_shapes.py").write_text(
    "def repel():\n  def term(play):\n    return play.fake @ play.fake\n  return term\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  resolved = config.load(path, ["generator_terms.repel={'name': 'my_shapes:repel'}"], "plain")
  with pytest.raises(UsageError, match=r'arm "plain": .*my_shapes.py:3: TypeError'):
    resolve.build_all(resolved)


def test_the_generator_gets_its_shape_from_the_data(path):
  resolved = config.load(path, arms="vanilla")
  experiment = resolve.build_all(resolved)["vanilla"]
  rows = resolve.parameter_table(experiment.shapes)
  assert sum(size for _, _, size in rows["generator"]) == 2 * 4 + 4 + 4 * 2 + 2
  assert sum(size for _, _, size in rows["discriminator"]) == 4 * 4 + 4 + 4 + 1  # sees two points at once


def sample(
  a: int, b: float, c: str | None = None, d: tuple[int, ...] = (), *, e=1.5, f: bool = False, name: str = "", **rest
) -> None:
  """Stands for a builder."""


@pytest.mark.parametrize("section, says", [
  ({"a": 1, "b": 1}, None),
  ({"a": 1, "b": 1.5, "c": None, "d": (1, 2), "e": 2, "f": True, "g": object}, None),
  ({"a": 1}, "x.b is missing"),
  ({"a": True, "b": 1}, "x.a = True: needs an integer"),
  ({"a": 1.0, "b": 1}, r"x.a = 1.0: needs an integer \(write 1\)"),
  ({"a": 1, "b": "1"}, 'x.b = "1": needs a number'),
  ({"a": 1, "b": True}, "x.b = True: needs a number"),
  ({"a": 1, "b": 1, "c": 3}, "x.c = 3: needs text or None"),
  ({"a": 1, "b": 1, "d": 3}, "x.d = 3: needs a tuple, each an integer"),
  ({"a": 1, "b": 1, "d": (1, 2.5)}, "x.d"),
  ({"a": 1, "b": 1, "e": "x"}, "x.e = .*something like 1.5"),
  ({"a": 1, "b": 1, "e": True}, "x.e = True"),
  ({"a": 1, "b": 1, "f": 1}, "x.f = 1: needs True or False"),
  ({"a": 1, "b": 1, "name": "n"}, "x.name"),
])  # fmt: skip
def test_sections_are_held_against_the_signature(section, says):
  if says is None:
    binding.check(sample, section, "x")
  else:
    with pytest.raises(UsageError, match=says):
      binding.check(sample, section, "x")


@given(st.text(), st.lists(st.text(min_size=1), max_size=30))
@settings(max_examples=50, deadline=None)
def test_messages_stay_on_one_line(name, choices):
  for text in (one_line(name), str(GanJaxError(f"{name}{nearest(name, choices)} {show(name)}"))):
    assert len(text) <= 400 and len(text.splitlines()) <= 1


@pytest.mark.parametrize("name, choice", [("rl", "r1"), ("R1", "r1"), ("hnge", "hinge"), ("wgan-gp", "wgan_gp")])
def test_nearest(name, choice):
  assert nearest(name, ["r1", "r2", "hinge", "wgan_gp", "wgan_lp"]) == f'; did you mean "{choice}"?'
