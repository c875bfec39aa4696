"""A generator alone: what comes back is what was trained, and nothing that a folder holds is run or half-read.

Mutations tried by hand: no look at SHA256SUMS, no look at names with a colon, network collections left out, EMA weights ignored.
"""

import json
import shutil
import struct
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy
from stored_runs import trained, untrained

import gan_jax
from gan_jax.lab import cli, export, sampling
from gan_jax.lab.errors import CheckpointError, UsageError
from gan_jax.lab.program import seed_keys


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  return export.export(trained(), tmp_path_factory.mktemp("export") / "digits", arm="vanilla", seed=5, weights="ema")


@pytest.fixture
def copy(exported, tmp_path):
  """One to damage, without its list of sums."""
  shutil.copytree(exported, tmp_path / "copy")
  (tmp_path / "copy/SHA256SUMS").unlink()
  return tmp_path / "copy"


def change(folder, **entries):
  config = json.loads((folder / "config.json").read_text())
  for key, value in entries.items():
    at = config
    *path, last = key.split("__")
    for name in path:
      at = at[name]
    at[last] = value
  (folder / "config.json").write_text(json.dumps(config))


def test_the_same_samples(exported, tmp_path):
  generator = gan_jax.load(exported)
  drawn = np.load(sampling.sample(trained(), tmp_path / "s.npz", arm="vanilla", seed=5, weights="ema"))
  key = seed_keys((5,))["evaluate"][0]
  assert np.array_equal(generator.sample(key, 80, drawn["condition"]), drawn["samples"])
  assert not np.array_equal(generator.sample(key, 80), drawn["samples"])
  assert np.array_equal(generator.sample(key, 80), generator.sample(key, 80, np.arange(80) % 10))
  latent = generator.latent(jax.random.key(1), 4)
  assert generator.generate(latent, [1, 1, 2, 2]).shape == (4, 8, 8, 1) and generator.shape == (8, 8, 1) and generator.num_classes == 10
  with pytest.raises(ValueError, match=r"condition must be of shape \(4,\), got \(3,\)"):
    generator.generate(latent, [1, 2, 3])


def test_another_game_and_points(tmp_path):
  export.export(untrained("plain", "mgan"), tmp_path / "mgan", arm="mgan", step=7)
  drawn = np.load(sampling.sample(untrained("plain", "mgan"), tmp_path / "s.npz", arm="mgan"))
  key = seed_keys((3,))["evaluate"][0]
  assert np.array_equal(gan_jax.load(tmp_path / "mgan").sample(key, 64), drawn["samples"])
  export.export(untrained("points"), tmp_path / "points", arm="vanilla")
  points = gan_jax.load(tmp_path / "points")
  assert points.sample(key, 9).shape == (9, 2)
  with pytest.raises(ValueError, match="takes no condition"):
    points.sample(key, 9, np.zeros(9, int))


def test_files(exported):
  assert sorted(path.name for path in exported.iterdir()) == ["README.md", "SHA256SUMS", "config.json", "model.safetensors"]
  assert not [path for path in exported.parent.iterdir() if path != exported]
  card = (exported / "README.md").read_text()
  rows = {line.split(" | ")[0].strip("| "): line for line in card.splitlines() if line.startswith("| ")}
  with (trained() / "results.csv").open() as file:
    held = {tuple(line.split(",")[1:3]) + tuple(line.split(",")[4:6]): float(line.split(",")[6]) for line in list(file)[1:]}
  perfect = json.loads((trained() / "perfect.json").read_text())
  for metric in ("pixel_diversity", "vendi_q1_pixels_n50"):
    own, mean = held["vanilla", "5", "ema", metric], (held["vanilla", "3", "ema", metric] + held["vanilla", "5", "ema", metric]) / 2
    assert rows[metric] == f"| {metric} | {own:.3g} | {mean:.3g} | {perfect[metric]:.3g} |".replace("| 1 |", "| 1.00 |")
  tensors = safetensors.numpy.load_file(exported / "model.safetensors")
  assert tensors["params/Dense_0/kernel"].shape == (14, 8) and "network/batch_stats/BatchNorm_0/mean" in tensors


def test_results_of_another_round_are_not_claimed(tmp_path):
  export.export(trained(), tmp_path / "x", arm="vanilla", step=15)
  assert "this arm has not been evaluated at round 15" in (tmp_path / "x/README.md").read_text()


def test_an_export_is_replaced_and_nothing_else(exported, tmp_path):
  again = tmp_path / "again"
  for _ in range(2):
    export.export(trained(), again, arm="vanilla", seed=5, weights="ema")
  assert {path.name: path.read_bytes() for path in again.iterdir()} == {path.name: path.read_bytes() for path in exported.iterdir()}
  (tmp_path / "thesis").mkdir()
  (tmp_path / "thesis/config.json").write_text("{}")
  with pytest.raises(UsageError, match="holds something else than an export"):
    export.export(trained(), tmp_path / "thesis", arm="vanilla")
  assert (tmp_path / "thesis/config.json").read_text() == "{}"


def test_changed_since(exported, tmp_path):
  for name in ("config.json", "model.safetensors"):
    shutil.copytree(exported, tmp_path / name)
    content = bytearray((tmp_path / name / name).read_bytes())
    content[-9] ^= 1
    (tmp_path / name / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: (has changed since it was exported|no JSON)"):
      gan_jax.load(tmp_path / name)


def _tensors(folder):
  return safetensors.numpy.load_file(folder / "model.safetensors")


def _save(folder, tensors):
  (folder / "model.safetensors").write_bytes(safetensors.numpy.save(tensors))


BROKEN = {
  "truncated": (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-8]), "cannot be read"),
  "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be read"),
  "missing": (lambda f: (f / "model.safetensors").unlink(), "cannot be read"),
  "a header of 2^60 bytes": (lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}"), "cannot be read"),
  "a pickle": (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."), "cannot be read"),
  "a tensor too few": (lambda f: _save(f, {k: v for k, v in _tensors(f).items() if "bias" not in k}), r"is absent there, \(8,\) by the config"),
  "a tensor too many": (lambda f: _save(f, {**_tensors(f), "more": np.zeros(3)}), r"more is \(3,\) there, absent by the config"),
  "other types": (lambda f: _save(f, {k: v.astype(np.float64) for k, v in _tensors(f).items()}), "is float64, not float32"),
  "other widths": (lambda f: change(f, sections__generator__features=[9]), r"is \(8,\) there, \(9,\) by the config"),
  "huge widths": (lambda f: change(f, sections__generator__features=[2**31 - 1]), "does not fit config.json"),
  "another shape": (lambda f: change(f, shape=[8, 8, 3]), r"makes examples of shape \(8, 8, 1\), not \(8, 8, 3\)"),
  "no shape": (lambda f: change(f, shape=[8, -8, 3]), "shape is missing or damaged"),
  "deep JSON": (lambda f: (f / "config.json").write_text("[" * 100_000), "no JSON"),
  "large JSON": (lambda f: (f / "config.json").write_text(" " * 2_000_000), "larger than"),
  "no config": (lambda f: (f / "config.json").unlink(), "not an exported generator"),
  "another format": (lambda f: change(f, format="gan_jax generator 9"), "format 'gan_jax generator 9'"),
  "no generator": (lambda f: change(f, sections={"game": {"name": "gan"}}), "sections is missing or damaged"),
  "no such network": (lambda f: change(f, sections__generator__name="mlpp"), 'did you mean "mlp"'),
  "no such setting": (lambda f: change(f, sections__generator__feature=[8]), "no such setting"),
  "no function": (lambda f: change(f, sections__generator__name="Any"), "no such name"),
  "code elsewhere": (lambda f: change(f, sections__generator__name="os:system"), r'names "os:system", code outside gan_jax'),
  "code deep inside": (lambda f: change(f, sections__optimizers={"generator": {"name": "subprocess:run"}}), "code outside gan_jax"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_refused(copy, kind):
  damage, message = BROKEN[kind]
  damage(copy)
  with pytest.raises(CheckpointError, match=message) as caught:
    gan_jax.load(copy)
  assert "\n" not in str(caught.value) and len(str(caught.value)) <= 400


def test_code_of_ones_own_only_where_trusted(copy, tmp_path, monkeypatch):
  (tmp_path / "nets_of_mine.py").write_text(
    "from gan_jax import networks\nfrom pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
    "def small(out):\n  return networks.mlp(out, (8,), 'relu', batch_norm=0.9, num_classes=10)\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  change(copy, sections__generator={"name": "nets_of_mine:small", "out": [8, 8, 1]})
  with pytest.raises(CheckpointError, match=r'load\(folder, trusted=\("nets_of_mine",\)\)'):
    gan_jax.load(copy, trusted=("nets_of",))
  assert not (tmp_path / "nets_of_mine.ran").exists() and "nets_of_mine" not in sys.modules
  assert gan_jax.load(copy, trusted=("nets_of_mine",)).sample(jax.random.key(0), 2).shape == (2, 8, 8, 1)


def test_command(tmp_path, capsys):
  assert cli.main(["export", str(trained()), "--arm=vanilla", f"--out={tmp_path / 'x'}", "--step=best"]) == 0
  assert capsys.readouterr().out == f"{tmp_path / 'x'}\n"
  assert cli.main(["export", str(trained()), "--arm=vanilla", f"--out={tmp_path / 'y'}", "--seed=9"]) == 2
  assert "has no seed 9" in capsys.readouterr().err and not (tmp_path / "y").exists()
