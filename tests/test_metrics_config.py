"""Metrics in a config, and values that a report must not lay side by side."""

import pytest
from test_lab_report import make_run, write_json

from gan_jax.data import ring
from gan_jax.lab import config as configs
from gan_jax.lab import resolve, schema, tables, train
from gan_jax.lab import summary as summaries
from gan_jax.lab.errors import UsageError
from gan_jax.metrics import identities

PIXELS = {"name": "pixels"}


def load(entries: dict, num_samples: int = 10_000):
  return resolve.load_metrics({"num_samples": num_samples, "metrics": entries}, ring())


def test_sections_make_metrics_with_features_and_references_inside():
  held_out = {"name": "frechet", "features": PIXELS, "reference": {"name": "ring", "num_modes": 7}}
  made = load({"vendi": {"features": PIXELS, "n": 500}, "held_out": held_out, "ndb": None})
  found = identities(made, ring(), 10_000)
  assert set(found) == {"vendi_q1_pixels_n500", "fd_pixels_ref_n5000"} and found["fd_pixels_ref_n5000"]["split"] == "reference"
  assert load({"vendi": {"features": PIXELS}}) is load({"vendi": {"features": PIXELS}})  # arms share them
  assert resolve.load_metrics(None, ring()) == {} == load({})


@pytest.mark.parametrize("entries, message", [
  ({"vendy": {"features": PIXELS}}, 'evaluation.metrics.vendy "vendy": no such name .*did you mean "vendi"'),
  ({"vendi": {}}, "evaluation.metrics.vendi.features is missing: vendi needs it"),
  ({"vendi": {"features": "pixels"}}, 'evaluation.metrics.vendi.features = "pixels": needs a section with a name'),
  ({"vendi": {"features": {"name": "pixel"}}}, 'did you mean "pixels"'),
  ({"vendi": {"features": PIXELS, "m": 3}}, "evaluation.metrics.vendi.m: vendi has no such setting; one of: features, q, n"),
  ({"vendi": {"features": PIXELS, "q": -1.0}}, "evaluation.metrics.vendi: q must be a positive number"),
  ({"pixels": {}}, "evaluation.metrics.pixels: pixels gives a function, which is no metric"),
  ({"vendi": {"features": PIXELS, "n": 20_000}}, "vendi needs 20000 samples, the evaluation has 10000; set evaluation.num_samples or n"),
  ({"vendi": {"features": {"name": "random_conv"}}}, r"evaluation.metrics: random_conv needs images, and ring is of shape \(2,\)"),
])  # fmt: skip
def test_what_does_not_fit_is_one_line_that_names_the_key(entries, message):
  with pytest.raises(UsageError, match=message):
    load(entries)


def test_the_schema_takes_the_section_and_refuses_what_is_none():
  config = {"seeds": 1, "num_steps": 1, "batch_size": 1, "data": {"name": "ring"}}
  assert "metrics" not in schema.check(config)["evaluation"]  # so that older run directories still hold the same config
  assert schema.check({**config, "evaluation": {"metrics": {"vendi": {}}}})["evaluation"]["metrics"] == {"vendi": {}}
  for wrong in (3, {"vendi": 3}):
    with pytest.raises(UsageError, match=r"evaluation\.metrics"):
      schema.check({**config, "evaluation": {"metrics": wrong}})


def test_values_with_unlike_identities_are_not_compared(tmp_path):
  one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two")
  record = {"n_real": 5000, "n_fake": 5000, "real_source": "abc", "split": "training law", "extractor_hash": "0123"}
  write_json(one / "identities.json", {"fd_pixels_n5000": record, "only_here": {"seed": 1}})
  write_json(two / "identities.json", {"fd_pixels_n5000": record})
  read = lambda: [summaries.read_run(one), summaries.read_run(two)]
  summaries.combine(read())
  write_json(two / "identities.json", {"fd_pixels_n5000": {**record, "extractor_hash": "4567"}})
  with pytest.raises(UsageError, match=r"cannot be compared: fd_pixels_n5000 was measured with another extractor_hash \(0123 and 4567\)") as error:
    summaries.combine(read())
  assert error.value.exit_code == 2 and "\n" not in str(error.value)
  write_json(two / "identities.json", {"fd_pixels_n5000": {**record, "subset": 10}})
  with pytest.raises(UsageError, match=r"another subset \(None and 10\)"):
    summaries.combine(read())


def test_the_report_has_a_table_of_them(tmp_path):
  values = {"modes_tquarter": [8] * 5, "fd_pixels_n5000": [1.5] * 5, "class_share_3": [0.1] * 5, "modes_c0.9_t1": [7] * 5}
  run = make_run(tmp_path / "run", arms={"vanilla": values}, perfect={"modes_tquarter": 8.0, "fd_pixels_n5000": 0.25})
  names = ("fd_pixels_n5000", "class_share_3", "modes_c0.9_t1")
  write_json(run / "identities.json", {"modes_tquarter": {"n_fake": 5}, **{name: {"extractor": None} for name in names}})
  summary, _ = summaries.combine([summaries.read_run(run)])
  table = tables.measured_table(summary, "raw")
  assert [heading for heading, _ in table.columns] == ["fd_pixels_n5000"]  # the lists are in the table of every metric
  assert [[cell.text for cell in row.cells] for row in table.rows[:2]] == [["0.250"], ["1.50 (0)"]]
  (run / "identities.json").unlink()
  assert tables.measured_table(summaries.combine([summaries.read_run(run)])[0], "raw") is None


def test_a_run_computes_them_for_every_seed_and_for_a_perfect_sampler(tmp_path):
  adam, network = {"name": "adam", "learning_rate": 1e-3}, {"name": "mlp", "features": (8,)}
  settings = {
    "seeds": 2, "num_steps": 4, "batch_size": 8, "data": {"name": "ring", "num_modes": 8},
    "generator": network, "discriminator": {**network, "out": 1}, "objective": {"name": "non_saturating"},
    "prior": {"name": "normal", "size": 4}, "optimizers": {"generator": adam, "discriminator": adam},
    "evaluation": {"num_samples": 100, "every": 4, "monitor_samples": 64, "distances": False, "metrics": {
      "vendi": {"features": PIXELS, "n": 100}, "ivom": {"targets": 5, "starts": 2, "steps": 20, "held_out": {"name": "ring", "num_modes": 9}},
    }},
  }  # fmt: skip
  code = f"from ml_collections import ConfigDict\ndef get_config():\n  return ConfigDict({settings!r}, convert_dict=False)\n"
  (tmp_path / "tiny.py").write_text(code)
  train.run(configs.load(str(tmp_path / "tiny.py")), tmp_path / "run", quiet=True)
  run = summaries.read_run(tmp_path / "run")
  names = {"vendi_q1_pixels_n100", *(f"ivom_{kind}_{split}_n5" for kind in ("mse01", "sd01", "unconverged") for split in ("train", "heldout"))}
  assert names <= run.perfect.keys() == run.identities.keys()
  assert all(run.values["vanilla"][f"raw/{name}"].keys() == {0, 1} for name in names)
  assert run.perfect["vendi_q1_pixels_n100"] == pytest.approx(2, abs=0.1) and run.perfect["ivom_mse01_train_n5"] == 0
  assert run.identities["ivom_mse01_heldout_n5"]["split"] == "reference"
