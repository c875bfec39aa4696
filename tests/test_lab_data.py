"""`gan-jax data`: what verify prints, one line and exit code 3 for what is wrong, and prepare without a network."""

import os
import re

import numpy as np
import pytest
import tiny_sets

from gan_jax.lab import cli


def main(capsys, *arguments):
  code = cli.main([str(argument) for argument in arguments])
  out, err = capsys.readouterr()
  return code, out, err


@pytest.fixture(autouse=True)
def no_sets_of_this_machine(tmp_path, monkeypatch):
  monkeypatch.delenv("GAN_JAX_DATA", raising=False)
  monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path / "no_tfds"))


def test_verify_says_what_it_found(tmp_path, capsys, monkeypatch):
  made = tiny_sets.write_idx(tmp_path / "small")
  wanted = f"""\
{{}}: whole
  kind      idx: IDX files
  images    12 train, 6 test
  size      5 x 6
  channels  1 (grey)
  range     {made["train"][0].min()} to {made["train"][0].max()}, mean {made["train"][0].mean():.2f} (train); \
{made["test"][0].min()} to {made["test"][0].max()}, mean {made["test"][0].mean():.2f} (test)
  classes   3
    0          4 train          2 test
    1          4 train          2 test
    2          4 train          2 test
"""
  assert main(capsys, "data", "verify", tmp_path / "small") == (0, wanted.format(tmp_path / "small"), "")
  monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))
  assert main(capsys, "data", "verify", "small") == (0, wanted.format("small"), "")


@pytest.mark.parametrize("write, lines", [
  (tiny_sets.write_classes, ["kind      folder: pictures", "images    6 train", "channels  3 (RGB)", "classes   2", "cat          3 train"]),
  (tiny_sets.write_pairs, ["kind      pairs", "images    4 train", "size      6 x 6", "source    3 x 3, 1 (grey)", "classes   none"]),
  (tiny_sets.write_captions, ["kind      captions", "images    2 train", "classes   none"]),
  (lambda folder: np.savez(folder / "data.npz", images=np.zeros((3, 4, 4), np.float32)), ["kind      npz", "range     0 to 0, mean 0.00"]),
])  # fmt: skip
def test_verify_knows_every_kind(tmp_path, capsys, write, lines):
  write(tmp_path)
  code, out, err = main(capsys, "data", "verify", tmp_path)
  assert (code, err) == (0, "") and all(line in out for line in lines)


def test_verify_tells_of_files_that_no_caption_names(tmp_path, capsys):
  tiny_sets.write_captions(tmp_path)
  assert "not read" not in main(capsys, "data", "verify", tmp_path)[1]
  (tmp_path / "more").mkdir()
  (tmp_path / "more/forgotten.png").write_bytes(b"")
  code, out, _ = main(capsys, "data", "verify", tmp_path)
  assert code == 0 and "  not read  1 file that no line of captions.jsonl names, as more/forgotten.png" in out


def test_verify_of_the_set_that_is_always_there(capsys):
  code, out, _ = main(capsys, "data", "verify", "sklearn_digits", "--size=4")
  assert code == 0 and "1,797 train" in out and "size      4 x 4" in out


def test_verify_lists_no_thousand_classes(tmp_path, capsys):
  np.savez(tmp_path / "data.npz", images=np.zeros((300, 2, 2), np.uint8), labels=np.arange(300) % 150)
  code, out, _ = main(capsys, "data", "verify", tmp_path)
  assert code == 0 and "... and 110 more, of 2 to 2 images" in out and len(out.splitlines()) == 48


@pytest.mark.parametrize("what, words", [
  ("/nothing/here", "/nothing/here: no such file or folder"),
  ("cycle_gan/horse2zebra", "as a TFDS set: cycle_gan/horse2zebra is not prepared"),
  ("./x", "./x: no such file or folder"),
  ("ring", "ring is no set of files"),
  ("mnist", "GAN_JAX_DATA is not set, and as a TFDS set: mnist is not prepared in .*; run: gan-jax data prepare mnist"),
  ("Mnist!", "Mnist!: no such file or folder"),
])  # fmt: skip
def test_verify_of_nothing(capsys, what, words):
  code, out, err = main(capsys, "data", "verify", what)
  assert (code, out) == (3, "") and err.count("\n") == 1
  assert re.search(words, err)


def test_verify_reads_the_last_picture_too(tmp_path, capsys):
  tiny_sets.write_classes(tmp_path)
  path = tmp_path / "dog" / "2.png"
  path.write_bytes(path.read_bytes()[:-20])
  code, out, err = main(capsys, "data", "verify", tmp_path)
  assert (code, out) == (3, "") and err.count("\n") == 1 and "dog/2.png: chunk IDAT at byte" in err


@pytest.mark.parametrize("arguments, words", [
  ((), "required"),
  (("verify",), "required"),
  (("check", "mnist"), "invalid choice"),
  (("verify", "mnist", "--size=0"), "--size=0: needs a whole number"),
  (("verify", "mnist", "--sise=8"), 'knows no --sise=8; did you mean "--size"'),
])  # fmt: skip
def test_usage(capsys, arguments, words):
  code, out, err = main(capsys, "data", *arguments)
  assert (code, out) == (2, "") and words in err and err.count("\n") == 1


CONFIG = """
import ml_collections
def get_config():
  network = {"name": "mlp", "features": (4,)}
  adam = {"name": "adam", "learning_rate": 1e-3}
  return ml_collections.ConfigDict({
    "seeds": 1, "num_steps": 1, "batch_size": 16, "data": {"name": "images", "path": SET}, "generator": network, "discriminator": network,
    "objective": {"name": "non_saturating"}, "prior": {"name": "normal", "size": 2}, "optimizers": {"generator": adam, "discriminator": adam},
    "arms": {"vanilla": {}}}, convert_dict=False)
"""


@pytest.mark.parametrize("write, words", [
  (lambda folder: None, "set: no such file or folder"),
  (lambda folder: tiny_sets.write_classes(folder), "data: images holds 6 examples, fewer than a batch of 16"),
  (lambda folder: tiny_sets.write_classes(folder, each=9) is None or (folder / "cat" / "0.png").write_bytes(b""), "cat/0.png: not a PNG"),
])  # fmt: skip
def test_a_run_on_such_data_is_refused_before_anything_is_written(tmp_path, capsys, monkeypatch, write, words):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "config.py").write_text(CONFIG.replace("SET", repr(str(tmp_path / "set"))))
  write(tmp_path / "set")
  code, out, err = main(capsys, "run", "--config=config.py", "--workdir=run")
  assert (code, out) == (3, "") and words in err and err.count("\n") == 1 and not (tmp_path / "run").exists()


def failing(error, *leftovers):
  """A `download_and_prepare` that leaves something half-built and fails."""

  def download_and_prepare(builder):
    for path in leftovers:
      full = os.path.join(str(builder.data_dir_root), path)
      os.makedirs(os.path.dirname(full), exist_ok=True)
      with open(full, "w") as file:
        file.write("half")
    raise error

  return download_and_prepare


BUILDER = "tensorflow_datasets.core.dataset_builder.DatasetBuilder.download_and_prepare"


def test_prepare_that_fails_leaves_nothing_half_built(tmp_path, capsys, monkeypatch):
  import requests

  leftovers = ("mnist/3.0.1.incomplete.X/x", "downloads/a.tmp.123/a", "downloads/extracted/incomplete.b/b")
  monkeypatch.setattr(BUILDER, failing(requests.exceptions.ConnectionError("no route"), *leftovers))
  code, out, err = main(capsys, "data", "prepare", "mnist", f"--data-dir={tmp_path / 'sets'}")
  assert (code, out, err) == (3, "", "gan-jax: mnist: cannot be downloaded: no route\n") and os.listdir(tmp_path) == []

  (tmp_path / "sets" / "downloads").mkdir(parents=True)
  (tmp_path / "sets" / "downloads" / "x.tmp.9").write_text("another process")
  monkeypatch.setattr(BUILDER, failing(KeyboardInterrupt(), *leftovers, "downloads/whole.zip"))
  assert main(capsys, "data", "prepare", "mnist", f"--data-dir={tmp_path / 'sets'}")[0] == 130
  left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
  assert left == ["sets", "sets/downloads", "sets/downloads/whole.zip", "sets/downloads/x.tmp.9"]  # the next attempt has use for what is whole


def test_prepare_says_what_to_install(tmp_path, capsys, monkeypatch):
  error = ModuleNotFoundError("Failed to encode example: No module named 'tensorflow'", name="tensorflow")
  monkeypatch.setattr(BUILDER, failing(error))
  monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
  code, _, err = main(capsys, "data", "prepare", "mnist", f"--data-dir={tmp_path / 'sets'}")
  assert code == 3 and err == ("gan-jax: mnist: TFDS needs TensorFlow to build this set (not to read it): pip install 'gan_jax[tf]', "
                               "then again: gan-jax data prepare mnist\n")


@pytest.mark.parametrize("name, words", [("mnsit", 'TFDS has no such set; did you mean "mnist"?'), ("../x", "not the name of a TFDS set")])
def test_prepare_of_no_set(tmp_path, capsys, name, words):
  code, out, err = main(capsys, "data", "prepare", name, f"--data-dir={tmp_path / 'sets'}")
  assert (code, out) == (3, "") and words in err and err.count("\n") == 1 and os.listdir(tmp_path) == []
