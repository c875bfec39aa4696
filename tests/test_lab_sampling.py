"""gan-jax sample and evaluate, from checkpoints alone, and what they refuse.

Mutations tried by hand: one_seed that always takes the first seed, raw weights for averaged ones, a walk that does not close, samples drawn
with another key than the evaluation's.
"""

import csv
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from stored_runs import trained, untrained
from test_lab_writers import numbers

from gan_jax import priors
from gan_jax.lab import cli, evaluation, sampling, stored
from gan_jax.lab.errors import CheckpointError, StorageError, UsageError
from gan_jax.lab.program import program, seed_keys


def rows(path) -> list[tuple]:
  with path.open() as file:
    return sorted(tuple(row.values()) for row in csv.DictReader(file))


def test_samples_are_those_of_the_seed_and_the_weights(tmp_path):
  run, drawn = trained(), {}
  for seed, weights, step in ((3, "raw", None), (5, "raw", None), (5, "ema", None), (5, "raw", 15)):
    path = sampling.sample(run, tmp_path / "s.npz", arm="vanilla", seed=seed, weights=weights, step=step, num=40)
    drawn[seed, weights, step] = np.load(path)
  assert list(drawn[3, "raw", None]["condition"]) == [label for label in range(10) for _ in range(4)]
  assert len({archive["samples"].tobytes() for archive in drawn.values()}) == 4
  one = stored.restore(run, "vanilla", stored.read(run).arms["vanilla"])
  asked = jnp.asarray([drawn[3, "raw", None]["condition"]] * 2)
  whole = program(one.experiment).sample(one.states, seed_keys((3, 5))["evaluate"], 40, {"condition": asked})
  assert np.array_equal(whole[1], drawn[5, "raw", None]["samples"]) and one.step == 20
  sampling.sample(run, tmp_path / "again.npz", arm="vanilla", seed=5, num=40)
  sampling.sample(run, tmp_path / "first.npz", arm="vanilla", num=40)
  assert np.array_equal(np.load(tmp_path / "again.npz")["samples"], drawn[5, "raw", None]["samples"])
  assert np.array_equal(np.load(tmp_path / "first.npz")["samples"], drawn[3, "raw", None]["samples"])


def test_best_is_the_round_that_the_log_says(tmp_path):
  run = trained()
  means: dict[int, list] = {}
  for line in map(json.loads, (run / "arms/vanilla/metrics.jsonl").read_text().splitlines()):
    means.setdefault(line["step"], []).append(line["diversity"])
  best = max(means, key=lambda step: np.mean(means[step]))
  assert stored.restore(run, "vanilla", stored.read(run).arms["vanilla"], "best").step == best


def test_tensorboard_shows_the_log():
  run = trained()
  lines = [json.loads(line) for line in (run / "arms/vanilla/metrics.jsonl").read_text().splitlines()]
  own = {line["step"]: line["diversity"] for line in lines if line["seed"] == 5}
  shown = {step: value for (step, name), value in numbers(run / "tensorboard/vanilla/seed5").items() if name == "diversity"}
  assert shown == pytest.approx(own) and len(own) == 4


def test_pictures(tmp_path):
  """One row a class, its name before it; a class alone; a walk that closes; points over their centres."""
  run = trained()
  grid = Image.open(sampling.sample(run, tmp_path / "rows.png", arm="vanilla"))
  assert grid.height == 10 * 33 + 1 and grid.width > 8 * 33 + 1
  alone = Image.open(sampling.sample(run, tmp_path / "one.png", arm="vanilla", condition="7", num=16))
  assert alone.size == (8 * 33 + 1, 2 * 33 + 1)
  walk = Image.open(sampling.sample(run, tmp_path / "walk.gif", arm="vanilla", num=10))
  assert walk.n_frames == sampling.STOPS * sampling.FRAMES_BETWEEN and walk.size == (34, 10 * 33 + 1)
  frames = []
  for number in range(walk.n_frames):
    walk.seek(number)
    frames.append(np.asarray(walk.convert("L"), int))
  steps = [np.abs(frames[number] - frames[number - 1]).mean() for number in range(len(frames))]  # the first: from the last
  assert 0 < steps[0] < 2 * np.median(steps) and max(steps) < np.abs(frames[24] - frames[0]).mean()
  assert Image.open(sampling.sample(untrained("points"), tmp_path / "points.png", arm="vanilla")).width > 500


def test_a_walk_of_several_generators_keeps_to_one_each(tmp_path):
  walk = Image.open(sampling.sample(untrained("plain", "mgan"), tmp_path / "walk.gif", arm="mgan", num=6))
  assert walk.n_frames == 48


def test_ways_between_latents():
  normal, start, end = priors.normal(2), jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
  assert np.allclose(normal.between(start, end, 0.5), [[0.5**0.5, 0.5**0.5]])
  assert np.allclose(normal.between(start, end, 1 / 3), [[3**0.5 / 2, 0.5]], atol=1e-6)
  assert np.allclose(normal.between(start, 3 * end, 0.5), [[0.5**0.5, 3 * 0.5**0.5]])
  assert np.allclose(normal.between(start, start, 0.3), start) and np.isfinite(normal.between(start, -start, 0.5)).all()
  assert np.allclose(priors.uniform(2).between(start, end, 0.25), [[0.75, 0.25]])
  between = priors.indexed(normal, 4).between((start, jnp.array([2])), (end, jnp.array([3])), 0.5)
  assert np.allclose(between[0], 0.5**0.5) and between[1] == 2
  long = priors.normal(400)
  norms = jnp.linalg.norm(long.between(long.sample(jax.random.key(0), 50), long.sample(jax.random.key(1), 50), 0.5), axis=1)
  assert 18 < norms.min() and norms.max() < 22  # the chord's middle would be at 14


def test_evaluating_again_gives_the_numbers_of_the_run():
  run = trained()
  before = (run / "results.csv").read_bytes()
  folder = evaluation.evaluate(run)
  assert folder == run / "evaluations" / "n200_vendi"
  assert rows(folder / "results.csv") == rows(run / "results.csv") and (run / "results.csv").read_bytes() == before
  assert json.loads((folder / "perfect.json").read_text()) == json.loads((run / "perfect.json").read_text())
  assert (folder / "identities.json").read_bytes() == (run / "identities.json").read_bytes()


def test_evaluating_otherwise(capsys):
  run = trained()
  settings = ("--config.evaluation.metrics.birthday.features.name=pixels", "--config.evaluation.metrics.birthday.n=50")
  assert cli.main(["evaluate", str(run), "--num-samples=300", "--metrics=birthday", "--step=15", *settings]) == 0
  shown = capsys.readouterr().out
  assert "perfect sampler" in shown and "birthday" in shown and "vendi" not in shown
  found = rows(run / "evaluations/n300_birthday_round15/results.csv")
  assert {row[3] for row in found} == {"15"} and {row[2] for row in found} == {"3", "5"} and {row[4] for row in found} == {"raw", "ema"}
  identities = json.loads((run / "evaluations/n300_birthday_round15/identities.json").read_text())
  assert all(identity["n_fake"] in (300, 50) for identity in identities.values())
  with pytest.raises(UsageError, match=r"num_samples: 200 there, 250 here"):
    evaluation.evaluate(run, overrides=("evaluation.num_samples=250",), name="n200_vendi")


def test_arms_without_a_checkpoint(tmp_path, capsys):
  run = tmp_path / "run"
  shutil.copytree(untrained("plain", "vanilla,still"), run)
  shutil.rmtree(run / "arms/still/checkpoints")
  with pytest.raises(CheckpointError, match=r'arm "still" has no checkpoint yet'):
    evaluation.evaluate(run, arms="vanilla,still")
  folder = evaluation.evaluate(run, metrics="", overrides=("evaluation.distances=False",))
  assert "left out: still" in capsys.readouterr().err
  assert {row[1] for row in rows(folder / "results.csv")} == {"vanilla"}
  assert json.loads((folder / "arms/vanilla/status.json").read_text())["status"] == "unfinished"  # 7 of 20 rounds
  with pytest.raises(CheckpointError, match=r'arm "still" has no checkpoint yet'):
    sampling.sample(run, tmp_path / "x.png", arm="still")


REFUSED = [
  (("trained", "vanila", "x.png"), {}, UsageError, r'no arm "vanila"; did you mean "vanilla"\?'),
  (("trained", "vanilla", "x.png"), {"seed": 4}, UsageError, "has no seed 4; one of: 3, 5"),
  (("trained", "vanilla", "x.png"), {"step": 11}, CheckpointError, "no checkpoint of round 11; there are "),
  (("trained", "vanilla", "x.png"), {"condition": "10"}, UsageError, "sklearn_digits has no such class; "),
  (("trained", "vanilla", "x.png"), {"condition": "-1"}, UsageError, "has no such class"),
  (("trained", "vanilla", "x.jpg"), {}, UsageError, r"needs one of \.png, \.npz, \.gif"),
  (("trained", "vanilla", "x"), {}, UsageError, "needs one of"),
  (("trained", "vanilla", "no/such/x.png"), {}, StorageError, "is no folder"),
  (("plain", "still", "x.png"), {"weights": "ema"}, UsageError, "keeps no average of its weights"),
  (("plain", "still", "x.png"), {"step": "best"}, CheckpointError, "no best checkpoint"),
  (("plain", "still", "x.png"), {"condition": "1"}, UsageError, "has no classes"),
  (("points", "vanilla", "x.gif"), {}, UsageError, r"holds points of shape \(2,\), and a \.gif shows images; use \.npz"),
]


@pytest.mark.parametrize("what, settings, error, message", REFUSED)
def test_refused(tmp_path, what, settings, error, message):
  kind, arm, out = what
  run = trained() if kind == "trained" else untrained(kind, "vanilla,still" if kind == "plain" else "vanilla")
  with pytest.raises(error, match=message) as caught:
    sampling.sample(run, tmp_path / out, arm=arm, **settings)
  assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_refused_by_the_command(tmp_path, capsys):
  for arguments, code, said in (
    (["sample", str(tmp_path), "--arm=a", "--out=x.png"], 2, "no run directory"),
    (["sample", str(untrained("plain", "vanilla,still")), "--out=x.png"], 2, "which arm? --arm=NAME, one of: vanilla, still"),
    (["sample", str(tmp_path), "--arm=a", "--out=x.png", "--num=0"], 2, "needs a whole number of at least 1"),
    (["sample", str(tmp_path), "--arm=a", "--out=x.png", "--step=last"], 2, 'needs a round or "best"'),
    (["evaluate", str(trained()), "--config.num_steps=3"], 2, "only evaluation.* can be changed"),
    (["evaluate", str(trained()), "--metrics=fretchet"], 2, 'did you mean "frechet"?'),
    (["evaluate", str(trained()), "--name=../x"], 2, "names a folder"),
    (["evaluate", str(trained()), "--step=3"], 4, "no checkpoint of round 3"),
    (["export", str(trained()), "--arm=vanilla"], 2, "export needs --out=FOLDER"),
  ):
    assert cli.main(arguments) == code, arguments
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1, (arguments, error)


def test_a_checkpoint_of_something_else(tmp_path):
  """Copied by hand from another arm."""
  run = tmp_path / "run"
  shutil.copytree(untrained("plain", "vanilla,still"), run)
  shutil.rmtree(run / "arms/still/checkpoints")
  shutil.copytree(trained() / "arms/vanilla/checkpoints", run / "arms/still/checkpoints")
  with pytest.raises(CheckpointError, match="is not of this experiment"):
    sampling.sample(run, tmp_path / "x.png", arm="still")
