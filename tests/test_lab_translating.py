"""translate, upscale and synthesize: on run directories and exports whose generators are as training starts, so that their answers are known.
What is refused leaves nothing behind.
"""

import csv
import functools
import json

import jax
import numpy as np
import pytest
import stored_runs
import tiny_sets
from PIL import Image

from gan_jax import data
from gan_jax.lab import config, evaluation, export, pretrained, report, rundir, stored
from gan_jax.lab.checkpoint import Checkpoints
from gan_jax.lab.cli import main
from gan_jax.lab.errors import GanJaxError
from gan_jax.lab.program import program, seed_keys
from gan_jax.lab.synthesizing import synthesize
from gan_jax.lab.translating import Model, _condition, model, translate, upscale

CONFIG = '''"""Small digits, translated."""
from ml_collections import ConfigDict

SGD = {"name": "sgd", "learning_rate": 0.1}

def get_config(arg):
  if arg == "caption":
    told = lambda network: {"name": "captioned", "vocabulary": 4, "size": 3, "of": network}
    return ConfigDict({
      "seeds": (0,), "num_steps": 20, "batch_size": 2, "data": {"name": "images", "path": "FOLDER", "condition": "caption", "length": 5},
      "generator": told({"name": "mlp", "out": (4, 4, 3), "features": (8,)}), "discriminator": told({"name": "mlp", "features": (4,)}),
      "objective": {"name": "hinge"}, "prior": {"name": "normal", "size": 4}, "optimizers": {"generator": SGD, "discriminator": SGD},
      "evaluation": {"num_samples": 100}, "arms": {"vanilla": {}},
    }, convert_dict=False)
  data = {"lowres": {"name": "lowres", "of": {"name": "sklearn_digits"}}, "hole": {"name": "hole", "of": {"name": "sklearn_digits"}}}[arg]
  generators = {"lowres": {"name": "superresolution_generator", "features": 2, "blocks": 1},
                "hole": {"name": "unet_generator", "features": (2,), "norm": None}}
  return ConfigDict({
    "seeds": (0,), "num_steps": 20, "batch_size": 16, "data": data, "generator": generators[arg],
    "discriminator": {"name": "patch_discriminator", "features": (2,), "strides": (2,), "norm": None}, "objective": {"name": "hinge"},
    "prior": {"name": "nothing"}, "optimizers": {"generator": SGD, "discriminator": SGD},
    "evaluation": {"num_samples": 100, "metrics": {"psnr": {"n": 50, "floor": "bicubic" if arg == "lowres" else "fill"}}}, "arms": {"vanilla": {}},
  }, convert_dict=False)
'''


@functools.cache
def run(argument):
  """A checkpoint of the first states. Its super-resolution is bicubic enlargement."""
  folder = stored_runs._folder()
  tiny_sets.write_captions(folder / "captions")
  (folder / "small.py").write_text(CONFIG.replace("FOLDER", str(folder / "captions")))
  resolved = config.load(f"{folder / 'small.py'}:{argument}", (), None)
  experiment = stored.resolve.build(resolved.arms["vanilla"])
  states = jax.jit(program(experiment).init)(seed_keys((0,)), experiment.data.table)
  with rundir.opened(folder / "run", resolved), Checkpoints(folder / "run/arms/vanilla/checkpoints") as checkpoints:
    checkpoints.save(7, {"states": states, "previous": np.zeros((1, 100), np.int32)})
  return folder / "run"


def picture(path, shape, seed=0):
  pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path)
  return pixels


def bicubic(pixels, factor=2):
  size = (pixels.shape[1] * factor, pixels.shape[0] * factor)
  return np.asarray(Image.fromarray(pixels.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)).clip(0, 255)


def read(path):
  return np.asarray(Image.open(path)).astype(float)


def test_upscale_answers_pictures_of_any_size_from_runs_and_exports(tmp_path):
  sizes = {"a": (4, 4), "b": (3, 5), "c": (4, 4)}
  there = {name: picture(tmp_path / "in" / f"{name}.png", size, seed) for seed, (name, size) in enumerate(sizes.items())}
  of = model(run("lowres"))
  assert upscale(of, tmp_path / "in", tmp_path / "out") == tmp_path / "out"
  assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.png"]
  for name, pixels in there.items():
    np.testing.assert_allclose(read(tmp_path / "out" / f"{name}.png"), bicubic(pixels), atol=0.51)
  alone = export.export(run("lowres"), tmp_path / "alone", arm="vanilla")
  upscale(model(alone), tmp_path / "in/b.png", tmp_path / "one.png")
  assert (tmp_path / "one.png").read_bytes() == (tmp_path / "out/b.png").read_bytes()
  translate(of, tmp_path / "in/a.png", tmp_path / "same.png")
  assert (tmp_path / "same.png").read_bytes() == (tmp_path / "out/a.png").read_bytes()


def test_translate_fills_holes_where_the_mask_is_white(tmp_path):
  pixels = picture(tmp_path / "in.png", (8, 8))
  white = np.zeros((8, 8), np.uint8)
  white[2:5, 3:6] = 255
  Image.fromarray(white).save(tmp_path / "mask.png")
  of = model(run("hole"))
  given = _condition(of, tmp_path / "in.png", tmp_path / "mask.png", size=(8, 8), fit=None)
  np.testing.assert_allclose(given[..., 0], np.where(white, 0, pixels / 127.5 - 1), atol=1e-6)
  np.testing.assert_array_equal(given[..., 1], white / 255)
  translate(of, tmp_path / "in.png", tmp_path / "out.png", mask=tmp_path / "mask.png")
  wanted = np.asarray(of.answer(jax.random.key(0), given[None]))[0, ..., 0]
  np.testing.assert_allclose(read(tmp_path / "out.png"), np.clip((wanted + 1) * 127.5, 0, 255), atol=0.51)
  (tmp_path / "in").mkdir()
  (tmp_path / "in.png").rename(tmp_path / "in/a.png")  # one mask for a folder
  translate(of, tmp_path / "in", tmp_path / "out", mask=tmp_path / "mask.png")
  assert (tmp_path / "out/a.png").read_bytes() == (tmp_path / "out.png").read_bytes()


MAPS = Model("maps", (4, 4, 3), (4, 4, 6), "float32", (), lambda key, conditions: conditions[..., :3])


def test_maps_of_classes_are_grey_levels(tmp_path):
  classes = np.arange(16, dtype=np.uint8).reshape(4, 4) % 6
  Image.fromarray(classes).save(tmp_path / "map.png")
  given = _condition(MAPS, tmp_path / "map.png", None, size=(4, 4), fit=None)
  np.testing.assert_array_equal(given.argmax(-1), classes)
  assert given.sum() == 16 and given.max() == 1
  classes[1, 2] = 6
  Image.fromarray(classes).save(tmp_path / "map.png")
  with pytest.raises(GanJaxError, match="class 6 at column 2, row 1; maps have the classes 0 to 5"):
    translate(MAPS, tmp_path / "map.png", tmp_path / "out.png")
  with pytest.raises(GanJaxError, match="maps of classes, which scaling would mix; leave --fit out"):
    translate(MAPS, tmp_path / "map.png", tmp_path / "out.png", fit="crop")
  assert not (tmp_path / "out.png").exists()


def test_large_pictures_go_through_a_few_at_once_and_too_large_ones_are_one_line(tmp_path):
  for number in range(3):
    picture(tmp_path / f"in/{number}.png", (400, 500), number)
  many = []

  def answer(key, conditions):
    many.append(len(conditions))
    return conditions.repeat(2, 1).repeat(2, 2)

  of = Model("two", (4, 4, 1), (2, 2, 1), "float32", (), answer)
  upscale(of, tmp_path / "in", tmp_path / "out")
  assert many == [1, 1, 1]
  np.testing.assert_array_equal(read(tmp_path / "out/2.png")[::2, ::2], read(tmp_path / "in/2.png"))

  def full(key, conditions):
    raise MemoryError

  with pytest.raises(GanJaxError, match="pictures of 500 x 400: out of memory, 1 at once; cut them into smaller ones"):
    upscale(of._replace(answer=full), tmp_path / "in", tmp_path / "none")
  assert not (tmp_path / "none").exists()


REFUSED = {  # what is there -> (arguments, exit code, words)
  "size": (["translate", "{}/wide.png", "{}/out.png", "--model={lowres}"], 3, "wide.png: 5 x 3 pixels, and the generator"),
  "colour": (["upscale", "{}/colour.png", "{}/out.png", "--model={lowres}"], 3, "colour.png: in colour, and the generator"),
  "one of a folder": (["upscale", "{}/mixed", "{}/out", "--model={lowres}"], 3, "mixed/2.png: in colour"),
  "nothing there": (["upscale", "{}/none.png", "{}/out.png", "--model={lowres}"], 3, "none.png: no such picture or folder"),
  "no pictures": (["upscale", "{}/empty", "{}/out", "--model={lowres}"], 3, "empty: holds no pictures"),
  "damaged": (["upscale", "{}/broken.png", "{}/out.png", "--model={lowres}"], 3, "broken.png: "),
  "two of a name": (["upscale", "{}/twice", "{}/out", "--model={lowres}"], 3, 'two pictures are called "a"'),
  "kind of file": (["upscale", "{}/grey.png", "{}/out.jpg", "--model={lowres}"], 2, "answers are written as PNG"),
  "no folder": (["upscale", "{}/grey.png", "{}/none/out.png", "--model={lowres}"], 7, "is no folder"),
  "a file for a folder": (["upscale", "{}/small", "{}/grey.png/out", "--model={lowres}"], 7, "out: cannot be made: Not a directory"),
  "no mask": (["translate", "{}/grey.png", "{}/out.png", "--model={hole}"], 2, "say where they are, --mask=FILE"),
  "mask of another size": (["translate", "{}/eight.png", "{}/out.png", "--model={hole}", "--mask={}/grey.png"], 3, "4 x 4 pixels, and its picture"),
  "a mask for nothing": (["translate", "{}/grey.png", "{}/out.png", "--model={lowres}", "--mask={}/grey.png"], 2, "it fills no holes"),
  "no enlargement": (["upscale", "{}/eight.png", "{}/out.png", "--model={hole}"], 2, "its generator enlarges nothing"),
  "classes": (["translate", "{}/grey.png", "{}/out.png", "--model={label}"], 2, "its generator is given no images"),
  "which arm": (["translate", "{}/grey.png", "{}/out.png", "--model={label}", "--arm=vanila"], 2, 'did you mean "vanilla"'),
  "no run": (["translate", "{}/grey.png", "{}/out.png", "--model={}/empty"], 2, "no run directory"),
  "no model": (["translate", "{}/grey.png", "{}/out.png"], 2, "translate needs --model=DIR"),
  "images": (["synthesize", "{lowres}", "--per-class=2", "--out={}/out"], 2, "needs one that does"),
  "class": (["synthesize", "{label}", "--per-class=2", "--out={}/out", "--classes=1,eleven"], 2, 'no class "eleven"'),
  "there already": (["synthesize", "{label}", "--per-class=2", "--out={}/empty"], 7, "is there already"),
  "how many": (["synthesize", "{label}", "--per-class=0", "--out={}/out"], 2, "at least 1"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
  there = tmp_path_factory.mktemp("pictures")
  grey = dict.fromkeys(("grey", "mixed/1", "small/1"), (4, 4))
  for name, shape in {**grey, "eight": (8, 8), "wide": (3, 5), "colour": (4, 4, 3), "mixed/2": (4, 4, 3)}.items():
    picture(there / f"{name}.png", shape)
  picture(there / "twice/a.png", (4, 4))
  picture(there / "twice/a.jpg", (4, 4))
  (there / "empty").mkdir()
  (there / "broken.png").write_bytes((there / "grey.png").read_bytes()[:50])
  return there


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_with_nothing_written(name, pictures, capsys):
  arguments, code, words = REFUSED[name]
  models = {"lowres": run("lowres"), "hole": run("hole"), "label": stored_runs.untrained("label")}
  before = sorted(pictures.rglob("*"))
  assert main([argument.format(pictures, **models) for argument in arguments]) == code
  said = capsys.readouterr().err
  assert words in said and said.count("\n") == 1 and said.startswith("gan-jax: ")
  assert sorted(pictures.rglob("*")) == before


def test_answers_are_scored_and_shown_beside_the_floor():
  """An untrained super-resolution generator is the floor."""
  folder = evaluation.evaluate(run("lowres"), name="again")
  rows = {row["metric"]: float(row["value"]) for row in csv.DictReader((folder / "results.csv").open())}
  assert rows["psnr_n50"] == pytest.approx(rows["psnr_bicubic_n50"], abs=0.05) and 10 < rows["psnr_n50"] < 40
  perfect = json.loads((folder / "perfect.json").read_text())
  assert perfect["psnr_n50"] == pytest.approx(10 * np.log10(255**2 * 64)) and perfect["psnr_bicubic_n50"] == rows["psnr_bicubic_n50"]
  shown = Image.open(folder / "arms/vanilla/samples/answers_seed0.png")
  assert shown.size[0] > 16 * 32 and shown.size[1] >= 3 * 32  # given, answer, data; beside their names
  assert report.report(folder) == folder / "report.html"
  drawn = np.asarray(Image.open(folder / "figures/answers.png").convert("RGB"))
  assert drawn.shape[1] > 1.5 * drawn.shape[0] and drawn.std() > 20 and "figures/answers.png" in (folder / "report.md").read_text()


def test_samples_of_a_caption(tmp_path, capsys):
  """Its words by number; unknown ones are named with the nearest known, and nothing is written."""
  arguments = ["sample", str(run("caption")), "--arm=vanilla", "--num=3"]
  assert main([*arguments, "--caption=a blue bird", f"--out={tmp_path / 'blue.npz'}"]) == 0
  held = np.load(tmp_path / "blue.npz")
  words = np.array([{"a": 2, "bird": 3, "blue": 4, "red": 5}[word] for word in "a blue bird".split()])
  np.testing.assert_array_equal(held["condition"], np.tile([*words, 0, 0], (3, 1)))
  assert held["samples"].shape == (3, 4, 4, 3)
  assert main([*arguments, "--caption=a blu brid", f"--out={tmp_path / 'no.npz'}"]) == 2
  said = capsys.readouterr().err
  assert 'unknown words "blu" (nearest: "blue"), "brid" (nearest: "bird"); --unknown=ignore leaves' in said and said.count("\n") == 1
  assert main([*arguments, "--caption=a very blue bird", "--unknown=ignore", f"--out={tmp_path / 'same.npz'}"]) == 0
  np.testing.assert_array_equal(np.load(tmp_path / "same.npz")["samples"], held["samples"])
  assert main(["sample", str(run("lowres")), "--arm=vanilla", "--caption=a bird", f"--out={tmp_path / 'no.npz'}"]) == 2
  assert "no captions that a generator is told" in capsys.readouterr().err and not (tmp_path / "no.npz").exists()
  alone = export.export(run("caption"), tmp_path / "alone", arm="vanilla")
  assert json.loads((alone / "config.json").read_text())["vocabulary"] == ["a", "bird", "blue", "red"]
  assert pretrained.load(alone).shape == (4, 4, 3)


def test_fit_makes_pictures_fit(pictures, tmp_path, capsys):
  arguments = [str(pictures / "colour.png"), str(tmp_path / "out.png"), f"--model={run('lowres')}", "--fit=crop"]
  assert main(["upscale", *arguments]) == 0 and capsys.readouterr().out.strip() == str(tmp_path / "out.png")
  grey = np.asarray(Image.open(pictures / "colour.png").convert("L"))
  np.testing.assert_allclose(read(tmp_path / "out.png"), bicubic(grey), atol=0.51)


def test_synthesize_writes_what_the_library_reads(tmp_path, capsys):
  where = stored_runs.untrained("label")
  assert main(["synthesize", str(where), "--per-class=3", f"--out={tmp_path / 'made'}", "--weights=ema"]) == 0
  made = data.images(str(tmp_path / "made"), condition="label")
  assert made.num_classes == 10 and made.shape == (8, 8, 1) and len(made.rows.source) == 30
  rows = list(csv.DictReader((tmp_path / "made/labels.csv").open()))
  assert [row["file"] for row in rows[:4]] == ["0/000000.png", "0/000001.png", "0/000002.png", "1/000000.png"]
  assert [int(row["label"]) for row in rows] == np.repeat(np.arange(10), 3).tolist()
  synthesize(model(where, weights="ema"), tmp_path / "two", per_class=2, classes="7,3")
  assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["3", "7", "labels.csv"]
  assert len({(tmp_path / "made" / row["file"]).read_bytes() for row in rows}) > 20  # each its own latent; untrained units may be dead
  synthesize(model(where, weights="ema"), tmp_path / "again", per_class=3)
  assert all((tmp_path / "again" / row["file"]).read_bytes() == (tmp_path / "made" / row["file"]).read_bytes() for row in rows)
