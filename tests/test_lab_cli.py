"""Bad input: exit code 2 and one line on stderr that names the key and what would be right; no run directory."""

import inspect
import os
import subprocess
import sys
import textwrap
import typing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gan_jax.lab import cli
from gan_jax.lab.errors import BusyError, Preempted

CONFIG = '''
"""Eight Gaussians: which methods keep every mode?

More words."""
import ml_collections

def get_config(arg=None):
  config = ml_collections.ConfigDict(convert_dict=False)
  config.seeds = 2
  config.num_steps = 40 if arg == "quick" else 100
  config.batch_size = 64
  config.batch_unit = "samples"
  config.data = {"name": "ring", "num_modes": 8, "sigma": .05, "radius": 2.5}
  config.generator = {"name": "mlp", "features": (8, 8), "activation": "tanh"}
  config.discriminator = {"name": "mlp", "features": (8, 8), "activation": "relu"}
  config.objective = {"name": "non_saturating"}
  config.prior = {"name": "normal", "size": 5}
  config.optimizers = {p: {"name": "adam", "learning_rate": 1e-3, "b1": .5} for p in ("generator", "discriminator")}
  config.discriminator_terms = {"r1": {"gamma": .1}}
  config.generator_terms = {}
  config.view = {}
  config.transforms = {}
  config.game = {"name": "gan", "n_critic": 1, "ema_decay": .999}
  config.evaluation = {"num_samples": 100, "thresholds": (1,), "every": 20, "monitor_samples": 100, "distances": False}
  config.arms = {
    "vanilla": {},
    "pacgan2": {"view.pack.size": 2},
    "hinge": {"objective": {"name": "hinge"}},
    "wasserstein": {"objective.name": "wasserstein"},
    "veegan": {"game": {"name": "veegan", "reconstructor": {"name": "mlp", "out": 5}}, "objective": None,
               "discriminator_terms": None, "optimizers.reconstructor": {"name": "adam", "learning_rate": 1e-3}},
  }
  CHANGE
  return config
'''


def write(folder, change="", name="ring.py"):
  path = folder / name
  path.write_text(CONFIG.replace("CHANGE", change))
  return str(path)


def main(capsys, *arguments):
  code = cli.main([str(argument) for argument in arguments])
  out, err = capsys.readouterr()
  return code, out, err


def refused(capsys, folder, path, *arguments, says):
  """`run` and `show` refuse alike: one line, code 2, no run directory."""
  workdir = folder / "run"
  code, _, err = main(capsys, "run", f"--config={path}", f"--workdir={workdir}", *arguments)
  assert code == 2, err
  assert err.count("\n") == 1 and err.startswith("gan-jax: ") and "Traceback" not in err, err
  for text in [says] if isinstance(says, str) else says:
    assert text in err, err
  assert not workdir.exists()


OVERRIDES = [
  # misspelt, and read by nobody
  ("num_step=5", ('num_step: nothing reads', 'did you mean "num_steps"')),
  ("batchsize=5", ('"batch_size"',)),
  ("sead=1", ('"seeds"',)),
  ("lambda=1", ("lambda: nothing reads", "nearest")),
  ("evaluation.evry=5", ("evaluation.evry", '"every"')),
  ("evaluation.num_sample=5", ('"num_samples"',)),
  ("generator.activaton=tanh", ("generator.activaton", '"activation"')),
  ("generator.feature=8", ("generator.feature", '"features"')),
  ("data.num_mode=8", ("data.num_mode", '"num_modes"')),
  ("objective.reallabel=.9", ("objective.reallabel", '"real_label"')),
  ("prior.sise=8", ("prior.sise", '"size"')),
  ("game.n_crtic=5", ("game.n_crtic", '"n_critic"')),
  ("game.prior=5", ("game.prior",)),
  ("game.axis_name=devices", ("game.axis_name",)),
  ("optimizers.generator.lr=.1", ("optimizers.generator.lr", "learning_rate")),
  ("optimizers.generator.learning_rat=.1", ('"learning_rate"',)),
  ("optimizers.generater.learning_rate=.1", ("optimizers.generater", '"generator"')),
  ("discriminator_terms.r1.gama=1", ("discriminator_terms.r1.gama", '"gamma"')),
  ("discriminator_terms.wgan_gp.gamma=1", ("discriminator_terms.wgan_gp.gamma", "weight")),
  ("generator.name.x=1", ("generator.name is a single value",)),
  ("num_steps.x=1", ("num_steps is a single value",)),
  ("view..size=2", ("view..size",)),
  # unknown names
  ("objective.name=hnge", ('objective "hnge": no such name in gan_jax.objectives or gan_jax.distributions; did you mean "hinge"?',)),
  ("generator.name=mpl", ('generator "mpl"', '"mlp"')),
  ("data.name=rings", ('data "rings"', '"ring"')),
  ("prior.name=gauss", ('prior "gauss"', "normal")),
  ("game.name=gann", ('game "gann"', '"gan"')),
  ("optimizers.generator.name=adamm", ('optimizers.generator "adamm"', '"adam"')),
  ("optimizers.generator.name=apply_updates", ("optimizers.generator",)),
  ("discriminator_terms.rl.gamma=1", ('discriminator_terms.rl "rl"', '"r1"')),
  ("generator_terms.mode_seking.weight=1", ('"mode_seeking"',)),
  ("view.pak.size=2", ('view.pak "pak"', '"pack"')),
  ("transforms.unrol.steps=2", ('transforms.unrol "unrol"', '"unroll"')),
  ("transforms.unroll={'steps':1,'player':'generater'}", ("transforms.unroll", "generator")),
  ("generator.activation=tahn", ("generator: ", "'tanh'")),
  ("objective.name=my_lab.terms:repel", ('no module "my_lab"',)),
  ("objective.name=json:dunps", ("json", '"dumps"')),
  ("objective.name=_raise_fakes", ("no such name",)),
  ("objective.name=jax", ("no such name",)),
  # mistyped
  ("num_steps=many", ('num_steps = "many"', "an integer of at least 1")),
  ("num_steps=1.5", ("num_steps = 1.5", "an integer")),
  ("num_steps=1e3", ("write 1000",)),
  ("num_steps=True", ("num_steps = True", "an integer")),
  ("num_steps=None", ("num_steps",)),
  ("batch_size='64'", ("batch_size",)),
  ("batch_unit=pack", ("batch_unit", "samples, packs")),
  ("seeds=(1,1)", ("seeds = (1, 1)", "distinct")),
  ("seeds=(1,-1)", ("seeds",)),
  ("seeds=()", ("seeds",)),
  ("evaluation.distances=maybe", ("evaluation.distances", "True or False")),
  ("evaluation.distances=1", ("evaluation.distances", "True or False")),
  ("evaluation.thresholds=1", ("evaluation.thresholds", "tuple")),
  ("objective=hinge", ("objective", "objective.name")),
  ("discriminator_terms=r1", ("discriminator_terms", "section")),
  ("discriminator_terms.r1=.1", ("discriminator_terms.r1",)),
  ("discriminator_terms.r1.gamma=big", ("discriminator_terms.r1.gamma", "a number")),
  ("discriminator_terms.r1.gamma=False", ("discriminator_terms.r1.gamma", "a number")),
  ("discriminator_terms.r1.gamma=None", ("discriminator_terms.r1.gamma", "a number")),
  ("generator.features=wide", ("generator.features", "tuple")),
  ("generator.features=(8,'8')", ("generator.features",)),
  ("generator.features=(8.,)", ("generator.features",)),
  ("generator.activation=3", ("generator",)),
  ("generator.out=2.5", ("generator.out", "an integer")),
  ("discriminator.across.name=3", ("discriminator.across.name",)),
  ("discriminator.across=minibatch_stddev", ("discriminator.across", "a section with a name")),
  ("discriminator.across={'name': 'minibatch_stdev'}", ("discriminator.across", '"minibatch_stddev"')),
  ("prior.size=5.0", ("prior.size = 5.0", "an integer")),
  ("optimizers.generator.b1=True", ("optimizers.generator.b1",)),
  ("optimizers.generator.b1=half", ("optimizers.generator.b1",)),
  ("transforms.unroll.steps=2.0", ("transforms.unroll.steps", "write 2")),
  # out of range, not a number
  ("num_steps=0", ("num_steps = 0", "at least 1")),
  ("num_steps=-3", ("num_steps = -3",)),
  ("num_steps=99999999999", ("num_steps",)),
  ("batch_size=0", ("batch_size = 0",)),
  ("seeds=0", ("seeds = 0",)),
  ("seeds=-1", ("seeds = -1",)),
  ("evaluation.num_samples=0", ("evaluation.num_samples",)),
  ("evaluation.every=0", ("evaluation.every",)),
  ("evaluation.thresholds=(0,)", ("evaluation.thresholds",)),
  ("discriminator_terms.r1.gamma=-1", ("discriminator_terms.r1.gamma = -1",)),
  ("discriminator_terms.r1.gamma=1e999", ("discriminator_terms.r1.gamma", "finite")),
  ("discriminator_terms.r1.gamma=nan", ("discriminator_terms.r1.gamma", "a number")),
  ("optimizers.generator.learning_rate=0", ("optimizers.generator.learning_rate", "above 0")),
  ("optimizers.generator.learning_rate=-1e-3", ("optimizers.generator.learning_rate",)),
  ("optimizers.generator.b2=1", ("optimizers.generator.b2",)),
  ("game.ema_decay=1", ("game.ema_decay", "[0, 1)")),
  ("game.ema_decay=-.1", ("game.ema_decay",)),
  ("game.n_critic=0", ("game.n_critic",)),
  ("data.sigma=0", ("data.sigma",)),
  ("data.sigma=-.1", ("data.sigma",)),
  ("data.num_modes=0", ("data.num_modes",)),
  ("data.weights=(1,2)", ("data: ",)),
  ("prior.size=0", ("prior.size",)),
  ("generator.features=(8,0)", ("generator.features",)),
  ("view.pack.size=0", ("view.pack.size",)),
  ("transforms.unroll.steps=-1", ("transforms.unroll.steps",)),
  # parts that do not fit together
  ("view.pack.size=3", ("batch_size = 64", "packs of 3", "63")),
  ("generator.out=3", ("generator", "(3,)", "(2,)")),
  ("objective=None", ("objective", '"gan"')),
  ("prior=None", ("prior", '"gan"')),
  ("data=None", ("data",)),
  ("optimizers.generator=None", ("generator",)),
  ("optimizers.encoder={'name':'sgd','learning_rate':.1}", ("encoder",)),
  ("prior={'size': 5}", ("prior.name is missing",)),
  ("prior={'nmae': 'normal', 'size': 5}", ("prior.name is missing", '"nmae"')),
  ("prior={'name': 'normal'}", ("prior.size is missing",)),
  ("prior={'name': 'normal', 'sizes': 5}", ("prior.sizes", '"size"')),
  # how an override is written
  ("arms.vanila.num_steps=3", ('"vanilla"',)),
  ("arms.vanilla.seeds=3", ("vanilla", "seeds", "share")),
]  # fmt: skip


@pytest.mark.parametrize("override, says", OVERRIDES, ids=[override for override, _ in OVERRIDES])
def test_overrides_are_refused_in_one_line(tmp_path, capsys, override, says):
  refused(capsys, tmp_path, write(tmp_path), "--arms=vanilla", f"--config.{override}", says=says)


FILES = [
  ("def get_confg(arg=None):\n  pass", ("lacks get_config", '"get_confg"')),
  ("x = 1", ("lacks get_config",)),
  ("get_config = 3", ("lacks get_config",)),
  ("def get_config(arg=None):\n  return {}", ("returned a dict",)),
  ("def get_config(arg=None):\n  pass", ("returned a NoneType",)),
  ("def get_config(arg=None):\n  x = 1\n  return 1 / 0", ("bad.py:3: ZeroDivisionError",)),
  ("import math\nmath.sqrt(-1)", ("bad.py:2: ValueError",)),
  ("def get_config(:\n  pass", ("bad.py:1: SyntaxError",)),
  ("import nosuchmodule", ("bad.py:1: ModuleNotFoundError",)),
  ("import sys\nsys.exit(0)", ("bad.py:2: SystemExit",)),
  ("raise ValueError('two\\nlines')", ("bad.py:1: ValueError: two lines",)),
  ("def f(): f()\nf()", ("bad.py:1: RecursionError",)),
  ("def get_config(arg):\n  pass", ("needs an argument",)),
  ("\0", ("bad.py",)),
  (
    "from ml_collections import *\ndef get_config():\n  c = ConfigDict()\n  c.arms = {'a': {'x.y': 2}}\n  return c",
    ("bad.py:4", "convert_dict=False"),
  ),
  ("import ml_collections\ndef get_config(arg=None):\n  return ml_collections.ConfigDict()", ("seeds is missing",)),
]


@pytest.mark.parametrize("source, says", FILES, ids=[says[0] for _, says in FILES])
def test_broken_files_are_told_with_their_line(tmp_path, capsys, source, says):
  path = tmp_path / "bad.py"
  path.write_text(source)
  refused(capsys, tmp_path, path, says=says)


CHANGES = [
  ("config.num_step = 5", ("num_step", '"num_steps"')),
  ("config.num_steps = float('nan')", ("num_steps",)),
  ("config.discriminator_terms['r1']['gamma'] = float('inf')", ("discriminator_terms.r1.gamma", "finite")),
  ("config.generator['activation'] = print", ("generator.activation", "by its name")),
  ("config.data[3] = 4", ("data", "3")),
  ("del config.seeds", ("seeds is missing",)),
  ("del config.data", ("data is missing",)),
  ("config.question = 3", ("question",)),
  ("config.arms = ('vanilla',)", ("arms",)),
  ("config.arms = {'a': {'num_step': 5}}", ('arm "a"', '"num_steps"')),
  ("config.arms = {'a': {'num_steps': -5}}", ('arm "a": num_steps = -5',)),
  ("config.arms = {'a': {'view.pak.size': 2}}", ('arm "a": view.pak "pak"', '"pack"')),
  ("config.arms = {'a': {'seeds': 3}}", ('arm "a" sets seeds', "share")),
  ("config.arms = {'a': {'evaluation.every': 3}}", ("evaluation.every", "share")),
  ("config.arms = {'a': 3}", ("arms.a = 3",)),
  ("config.arms = {'a/b': {}}", ('arm "a/b"', "letters")),
  ("config.arms = {'..': {}}", ('arm ".."',)),
  ("config.arms = {'a+b': {}}", ('arm "a+b"',)),
  (
    "config.arms['veegan']['objective'] = {'name': 'hinge'}",
    ('arm "veegan": game "veegan" takes no objective; set objective = None',),
  ),
  ("config.arms['veegan']['view.pack.size'] = 2", ('game "veegan" takes no view',)),
  ("del config.arms['veegan']['optimizers.reconstructor']", ('arm "veegan": game', "reconstructor")),
  ("config.arms['veegan']['game'] = {'name': 'veegan'}", ("game.reconstructor is missing",)),
  ("config.arms['veegan']['game']['reconstructor']['name'] = 'mpl'", ('game.reconstructor "mpl"', '"mlp"')),
  ("config.batch_size = 3; config.arms = {'a': {'generator_terms.mode_seeking.weight': 1.}}", ('arm "a"', "pairs")),
]


@pytest.mark.parametrize("change, says", CHANGES, ids=[change for change, _ in CHANGES])
def test_configs_are_refused_in_one_line(tmp_path, capsys, change, says):
  refused(capsys, tmp_path, write(tmp_path, change), says=says)


ARMS = [
  ("--arms=vanila", ('arm "vanila"', '"vanilla"')),
  ("--arms=hinge+pacgan3", ('arm "pacgan3"', '"pacgan2"')),
  ("--arms=", ("no such arm",)),
  ("--arms=vanilla,vanilla", ("twice",)),
  ("--arms=hinge+hinge", ("twice",)),
  ("--arms=hinge+wasserstein", ('"hinge" and "wasserstein"', "objective.name")),
  ("--arms=hinge+veegan", ('"hinge" and "veegan"', "objective")),
  ("--arms=pacgan2+veegan", ('arms "pacgan2" and "veegan" do not go together: game "veegan" takes no view',)),
]


@pytest.mark.parametrize("argument, says", ARMS)
def test_arms_are_refused_in_one_line(tmp_path, capsys, argument, says):
  refused(capsys, tmp_path, write(tmp_path), argument, says=says)


COMMAND_LINES = [
  ([], "no command"),
  (["rum"], '"run"'),
  (["run"], "run needs --config"),
  (["run", "--config=ring.py"], "run needs --workdir"),
  (["run", "--config"], "--config"),
  (["run", "--confg=ring.py"], '"--config"'),
  (["run", "--config=ring.py", "--workdri=x"], '"--workdir"'),
  (["run", "--config=ring.py", "--workdir=x", "--config.num_steps"], "--config.num_steps needs a value"),
  (["run", "--config=ring.py", "--workdir=x", "--config.=3"], "--config.=3"),
  (["run", "--config=ring.py", "--workdir=x", "stray"], "stray"),
  (["run", "--config=rng.py", "--workdir=x"], '"ring.py"'),
  (["run", "--config=.", "--workdir=x"], "directory"),
  (["run", "--config=nowhere/ring.py", "--workdir=x"], "nowhere/ring.py"),
  (["list"], "list needs"),
  (["list", "method"], '"methods"'),
  (["list", "methods", "--config.x=3"], "reads no config"),
  (["report"], "DIR"),
  (["report", "nowhere"], "nowhere"),
]


@pytest.mark.parametrize(
  "arguments, says", COMMAND_LINES, ids=[" ".join(arguments) or "nothing" for arguments, _ in COMMAND_LINES]
)
def test_command_lines_are_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, says):
  write(tmp_path)
  monkeypatch.chdir(tmp_path)
  code, _, err = main(capsys, *arguments)
  assert code == 2 and err.count("\n") == 1 and says in err, err
  assert not (tmp_path / "x").exists()


KEYS = ["num_steps", "batch_size", "seeds", "evaluation.every", "generator.features", "objective.name", "prior.size",
        "game.ema_decay", "discriminator_terms.r1.gamma", "data", "arms", "question", "view.pack", "x"]  # fmt: skip


@given(
  key=st.sampled_from(KEYS) | st.text(max_size=12),
  text=st.text(max_size=20) | st.floats().map(str) | st.integers().map(str),
)
@example(key="discriminator_terms.r1.gamma", text="6.805647135594673e+38")  # finite, but not in float32
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_override_escapes_as_a_traceback(tmp_path, capsys, key, text):
  """Whatever is written after --config., `show` answers with 0, or with 2 and one line."""
  code, _, err = main(capsys, "show", f"--config={write(tmp_path)}", "--arms=vanilla", f"--config.{key}={text}")
  assert (code, err) == (0, "") or (code == 2 and len(err.splitlines()) == 1), err


def test_show_prints_the_resolved_config_and_trains_nothing(tmp_path, capsys):
  arguments = ("--config.num_steps", "7", "--config.generator.features=4,4", "--arms", "vanilla,pacgan2+hinge")
  code, out, err = main(capsys, "show", "--config", write(tmp_path) + ":quick", *arguments)
  assert code == 0 and not err
  assert '"num_steps": 7' in out and "Eight Gaussians: which methods keep every mode?" in out
  assert "view.pack.size: None -> 2" in out and 'objective.name: "non_saturating" -> "hinge"' in out
  # G: 5x4 + 4 + 4x4 + 4 + 4x2 + 2; D of a pack: 4x8 + 8 + 8x8 + 8 + 8x1 + 1
  assert "generator: 54 parameters" in out and "discriminator: 121 parameters" in out
  assert "1 x discriminator, 1 x generator; 64 real samples, in packs of 2" in out


def test_run_hands_over_what_it_checked(tmp_path, capsys, monkeypatch):
  train = pytest.importorskip("gan_jax.lab.train")
  seen = []
  monkeypatch.setattr(train, "run", lambda resolved, workdir, quiet, **how: seen.append((resolved, workdir, quiet, how)))
  monkeypatch.setattr(cli, "_print_comparison", lambda directories: None)
  monkeypatch.setattr("gan_jax.lab.cache.compile_to_disk", lambda: None)
  code, _, err = main(capsys, "run", f"--config={write(tmp_path)}:quick", "--workdir", "w", "--quiet", "--arms=hinge", "--tensorboard", "--strict")
  assert code == 0, err
  ((resolved, workdir, quiet, how),) = seen
  assert how.items() >= {"strategy": "auto", "tensorboard": True, "strict": True, "allow": [], "max_seconds": None}.items()
  assert (list(resolved.arms), resolved.base.num_steps, workdir, quiet) == (["hinge"], 40, "w", True)


@pytest.mark.parametrize(
  "error, code", [(BusyError("held by 12"), 6), (Preempted("stored"), 75), (KeyboardInterrupt(), 130)]
)
def test_exit_codes(monkeypatch, capsys, error, code):
  def fail(options, overrides):
    raise error

  monkeypatch.setattr(cli, "show_list", fail)
  got, _, err = main(capsys, "list", "methods")
  assert got == code and err.count("\n") == 1


def test_a_bug_keeps_its_traceback(monkeypatch):
  def fail(options, overrides):
    raise KeyError("a bug")

  monkeypatch.setattr(cli, "show_list", fail)
  with pytest.raises(KeyError):
    cli.main(["list", "methods"])


def test_traceback_shows_where_an_error_comes_from(tmp_path, capsys):
  path = tmp_path / "bad.py"
  path.write_text("def get_config(arg=None):\n  return 1 / 0")
  code, _, err = main(capsys, "show", f"--config={path}", "--traceback")
  assert code == 2 and "ZeroDivisionError" in err.splitlines()[-1] and "Traceback" in err


def test_help_and_list_start_without_jax():
  source = """
    import sys
    from gan_jax.lab import cli
    assert cli.main(["list", "methods"]) == 0
    try:
      cli.main(["--help"])
    except SystemExit:
      pass
    for module in ("jax", "flax", "tensorflow", "torch", "matplotlib", "ml_collections"):
      assert module not in sys.modules, module
  """
  subprocess.run([sys.executable, "-c", textwrap.dedent(source)], check=True, capture_output=True)


def test_a_config_error_starts_no_backend(tmp_path):
  """The cheap checks come before JAX is imported."""
  source = f"""
    import sys
    from gan_jax.lab import cli
    assert cli.main(["run", "--config={write(tmp_path)}", "--workdir={tmp_path}/run", "--config.num_steps=-1"]) == 2
    assert "jax" not in sys.modules
  """
  subprocess.run([sys.executable, "-c", textwrap.dedent(source)], check=True, capture_output=True)


@pytest.mark.parametrize("kind, names", [
  ("methods", ["hinge", "r1", "mode_seeking", "pack", "unroll", "veegan", "normal", "adam"]),
  ("datasets", ["ring", "grid", "stacked_digits"]),
  ("metrics", ["frechet", "pixels"]),
  ("networks", ["mlp", "minibatch_stddev"]),
])  # fmt: skip
def test_list_names_each_with_a_sentence(capsys, kind, names):
  code, out, _ = main(capsys, "list", kind)
  lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith("  ")}
  assert code == 0
  for name in names:
    assert len(lines[name]) >= 3, name


def test_list_offers_what_resolve_finds():
  """The list is read from source, the config from imported modules: they must agree."""
  import importlib

  from gan_jax.lab import catalogue, lookup

  for kind in ("methods", "datasets", "networks"):
    for slot, modules in catalogue.KINDS[kind].items():
      listed = [entry.name for entry in catalogue.entries(kind) if entry.slot == slot]
      found = [name for module in modules.split() for name in lookup.public(importlib.import_module(f"gan_jax.{module}"))]
      assert sorted(listed) == sorted(found), slot


def test_list_metrics_names_what_a_config_can_and_no_more():
  from gan_jax import metrics
  from gan_jax.lab import catalogue
  from gan_jax.metrics.base import Extractor, Metric

  listed = {entry.name for entry in catalogue.entries("metrics")}
  given = {name: typing.get_type_hints(function).get("return") for name, function in vars(metrics).items() if inspect.isfunction(function)}
  assert listed == {name for name, kind in given.items() if kind in (Metric, Extractor)} > {"frechet", "pixels"}


def test_list_experiments_reads_this_folder(tmp_path, monkeypatch, capsys):
  (tmp_path / "experiments").mkdir()
  write(tmp_path / "experiments")
  (tmp_path / "experiments" / "unfinished.py").write_text("def (")
  monkeypatch.chdir(tmp_path)
  code, out, _ = main(capsys, "list", "experiments")
  assert code == 0 and f"experiments{os.sep}ring.py" in out and "Eight Gaussians" in out
