"""Rows 36, 38 to 42, 44, 48, and determinism: what surrounds a run may be narrow, corrupt or absent; the result is the same, or one line says why.

The runs are processes of their own: a cold compile cache and a warm and a corrupt one, a pipe and no locale, another clock and another zone.
"""

import ast
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import oldest
import pytest
import small_run as small

import gan_jax
from gan_jax.lab import cli, machine, progress, train
from gan_jax.lab.errors import UsageError

PACKAGE = Path(gan_jax.__file__).parent
ROOT = PACKAGE.parent


def environment(**changes):
  own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]), **changes}
  return {name: value for name, value in own.items() if value is not None}


def command(folder, workdir, *options, **changes):
  line = [sys.executable, "-m", "gan_jax", "run", f"--config={folder / 'small.py'}", f"--workdir={folder / workdir}", "--arms=memory", *options]
  return subprocess.run(line, capture_output=True, env=environment(**changes), timeout=500)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
  return small.write(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def cold(lab):
  """A run whose compile cache is empty when it begins."""
  cache = lab / "cache"
  cache.mkdir(mode=0o700)
  done = command(lab, "cold", JAX_COMPILATION_CACHE_DIR=str(cache))
  assert done.returncode == 0, done.stderr.decode()
  assert len(list(cache.iterdir())) > 5
  return lab / "cold"


def test_f38_determinism_across_processes_and_surroundings(lab, cold):
  """The same bits with a warm cache, into a pipe 20 columns wide, in the C locale, in another zone, in ASCII, beside a TensorFlow."""
  for number, path in enumerate(sorted((lab / "cache").iterdir())):
    if number % 8 == 0:
      path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # a few entries are torn as well (row 39)
  (lab / "stubs/tensorflow").mkdir(parents=True)
  (lab / "stubs/tensorflow/__init__.py").write_text(f"import pathlib; pathlib.Path({str(lab)!r}, 'was_imported').touch()\n")
  path = os.pathsep.join([str(ROOT), str(lab / "stubs")])
  done = command(
    lab, "warm", JAX_COMPILATION_CACHE_DIR=str(lab / "cache"), COLUMNS="20", LINES="5", LC_ALL="C", LANG="C", PYTHONIOENCODING="ascii",
    PYTHONUTF8="0", TZ="Pacific/Kiritimati", TERM="dumb", NO_COLOR="1", PYTHONPATH=path, PYTHONHASHSEED="7",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr.decode()
  small.equal(lab / "warm", cold, ("memory",))
  for said in (done.stdout, done.stderr):
    assert all(byte in (9, 10) or 32 <= byte < 127 for byte in said), "control codes, or letters that ASCII has not, in a pipe"
  assert not (lab / "was_imported").exists()


@pytest.mark.slow
def test_f39_a_corrupt_compile_cache(lab, cold):
  """Half of its files cut, the rest with a byte changed: compiled again, with the same result."""
  broken = lab / "broken_cache"
  broken.mkdir(mode=0o700)
  for number, path in enumerate(sorted((lab / "cache").iterdir())):
    content = bytearray(path.read_bytes())
    if number % 2:
      content = content[: len(content) // 2]
    elif content:
      content[len(content) // 2] ^= 0xFF
    (broken / path.name).write_bytes(bytes(content))
  done = command(lab, "corrupt", JAX_COMPILATION_CACHE_DIR=str(broken))
  assert done.returncode == 0, done.stderr.decode()
  small.equal(lab / "corrupt", cold, ("memory",))


def test_f40_a_gpu_is_asked_for(lab):
  """On a machine whose jax has none. One line, before anything is written."""
  done = command(lab, "gpu", "--platform=gpu", JAX_PLATFORMS=None)
  said = done.stderr.decode().strip()
  if done.returncode == 0:
    pytest.skip("this machine has a GPU")
  assert done.returncode == 2 and not (lab / "gpu").exists()
  assert said.splitlines()[-1].startswith("gan-jax: --platform=gpu: jax ") and "pip install 'gan_jax[cuda12]'" in said


def test_f40_the_platform_that_is_there():
  machine.check(None)
  machine.check("cpu")
  with pytest.raises(UsageError, match=r"--platform=tpu: jax [\d.]+ sees cpu only; pip install 'gan_jax\[tpu\]' .* or leave --platform out"):
    machine.check("tpu")


def test_determinism_operations_are_recorded(monkeypatch):
  from gan_jax.lab import rundir

  monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
  machine.ask(None, deterministic=True)
  machine.ask(None, deterministic=True)
  assert os.environ["XLA_FLAGS"].split() == ["--xla_cpu_enable_fast_math=false", "--xla_gpu_deterministic_ops=true"]
  assert rundir.environment(Path.cwd())["xla_flags"] == os.environ["XLA_FLAGS"]


def test_determinism_the_flag_is_one_that_xla_knows():
  """XLA ends a process over a flag that it does not know."""
  code = "import jax; from gan_jax.lab import machine; machine.ask(None, deterministic=True); print(jax.devices())"
  subprocess.run([sys.executable, "-c", code], check=True, env=environment(JAX_PLATFORMS="cpu"), capture_output=True)


EXHAUSTED = 'jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes.")'


@pytest.mark.parametrize("error", ["MemoryError()", EXHAUSTED], ids=["host", "device"])
def test_f41_out_of_memory(lab, tmp_path, error, monkeypatch):
  """The arm is marked, the others go on; at the end one line with numbers and remedies."""
  whole = train.score

  def score(name, *rest):
    import jax

    if name == "vanilla":
      raise eval(error, {"jax": jax})
    whole(name, *rest)

  monkeypatch.setattr(train, "score", score)
  with pytest.raises(UsageError, match="arm vanilla: out of memory") as caught:
    train.run(small.load(lab, "vanilla,memory", "num_steps=20"), tmp_path / "run", quiet=True)
  said = str(caught.value)
  assert caught.value.exit_code == 2 and "\n" not in said
  for words in ("2 seeds hold", "KiB of state", "batches of 16 x 4x4x1", "batch_size", "features", "seeds", "num_samples (now 100)"):
    assert words in said, words
  assert ("16.0 GiB" in said) == ("17179869184" in error)
  assert small.log(tmp_path / "run", "memory") and "FAILED" in (tmp_path / "run/report.md").read_text()


@pytest.mark.slow
def test_f41_for_real(lab):
  """A network that does not fit into the address space that the process may have."""
  code = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); from gan_jax.lab import cli; sys.exit(cli.main(sys.argv[1:]))"
  )
  line = [sys.executable, "-c", code, "run", f"--config={lab / 'small.py'}", f"--workdir={lab / 'large'}", "--arms=vanilla"]
  done = subprocess.run([*line, "--config.generator.features=60000,60000"], capture_output=True, env=environment(), timeout=500)
  assert done.returncode == 2 and b"out of memory" in done.stderr.splitlines()[-1], done.stderr.decode()


WATCHED = """
import time
from gan_jax.lab.machine import Watchdog

def stuck_here():
  time.sleep({sleep})

with Watchdog({seconds}, abort={abort}) as dog:
  for _ in range(5):
    dog.alive()
    time.sleep(0.1)
  print("alive", flush=True)
  stuck_here()
print("went on")
"""


@pytest.mark.parametrize("abort", [False, True])
def test_f48_a_hang_is_shown(abort):
  code = WATCHED.format(sleep=300 if abort else 4, seconds=1.5, abort=abort)
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=250)
  assert "Timeout (0:00:01" in done.stderr and "in stuck_here" in done.stderr
  assert done.returncode == (1 if abort else 0) and done.stdout == ("alive\n" if abort else "alive\nwent on\n")


def test_f48_nothing_is_shown_of_a_run_that_gets_on():
  code = WATCHED.format(sleep=0.1, seconds=30, abort=True)
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=250)
  assert done.returncode == 0 and "Timeout" not in done.stderr


@pytest.mark.slow
def test_f48_a_run_that_hangs(tmp_path):
  """A callback to the host that never returns, in round 5."""
  small.write(tmp_path)
  (tmp_path / "stuck.py").write_text(textwrap.dedent("""
    import time
    import jax, jax.numpy as jnp

    def term():
      def wait(play):
        def here(step):
          while step >= 5:
            time.sleep(1)
          return jnp.float32(0).__array__()
        return jax.pure_callback(here, jax.ShapeDtypeStruct((), jnp.float32), play.state.step, vmap_method="sequential")
      return wait
  """))
  line = [sys.executable, "-m", "gan_jax", "run", f"--config={tmp_path / 'small.py'}", f"--workdir={tmp_path / 'run'}", "--arms=vanilla"]
  line += ["--watchdog=90", "--watchdog-abort", "--config.discriminator_terms={'stuck:term': {}}"]
  done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=580)
  assert done.returncode == 1 and "Timeout (0:01:30)!" in done.stderr and "stuck.py" in done.stderr


def test_f38_progress_without_a_terminal(capsys, monkeypatch):
  """A clock that jumps backwards and far ahead: lines, no error, no control codes."""
  clock = iter([0.0, 100.0, -5e9, 7e9, 7e9, 7e9, 7e9, 7e9, 7e9])
  monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
  alive = []
  with progress.display(["a"], quiet=False, alive=lambda: alive.append(1)) as show:
    show.start("a", 10)
    show.advance("a", 5, "modes 3")
    show.advance("a", 6, "modes 4")
    show.done("a")
  said = capsys.readouterr().out
  assert "round 6" in said and "done (1 of 1 arms)" in said and said.isprintable() is False and "\x1b" not in said
  assert len(alive) == 4


def test_f38_no_decision_hangs_on_the_wall_clock():
  """`time.time` and `datetime.now` jump: nothing but the stamps of event files asks for them."""
  asked = {}
  for path in PACKAGE.rglob("*.py"):
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    found = [call for call in calls if call in ("time.time", "time.time_ns", "time.localtime") or call.endswith((".now", ".utcnow", ".today"))]
    if found:
      asked[path.relative_to(PACKAGE).as_posix()] = set(found)
  assert asked == {"lab/writers.py": {"time.time"}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("line", [["list", "methods"], ["run", "--config=ünï.py", "--workdir=x"]], ids=["list", "error"])
def test_f38_every_encoding(encoding, line):
  """What a terminal cannot show becomes "?"; nothing fails."""
  around = environment(PYTHONIOENCODING=encoding, COLUMNS="20")
  done = subprocess.run([sys.executable, "-m", "gan_jax", *line], capture_output=True, env=around, timeout=250)
  assert done.returncode == (2 if line[0] == "run" else 0) and b"Traceback" not in done.stderr
  (done.stdout + done.stderr).decode(encoding)


def test_f44_no_deprecation_of_ours():
  """Every module is imported with deprecations as errors: those that our own lines cause."""
  code = "import pkgutil, importlib, gan_jax\nfor module in pkgutil.walk_packages(gan_jax.__path__, 'gan_jax.'):\n"
  code += "  if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
  flags = [f"-Werror::{kind}:gan_jax" for kind in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning")]
  subprocess.run([sys.executable, *flags, "-c", code], check=True, env=environment())


def test_f40_what_the_command_line_hands_over(lab, monkeypatch, tmp_path):
  from gan_jax.lab import cache, distributed

  given = {}
  monkeypatch.setattr(train, "run", lambda *rest, **options: given.update(options) or tmp_path)
  monkeypatch.setattr(cache, "compile_to_disk", lambda: None)
  monkeypatch.setattr(distributed, "first", lambda: False)
  line = ["run", f"--config={lab / 'small.py'}", f"--workdir={tmp_path}", "--watchdog=600", "--watchdog-abort", "--platform=cpu"]
  assert cli.main(line) == 0
  assert (given["watchdog"], given["watchdog_abort"]) == (600, True)
  assert cli.main(line[:3]) == 0 and (given["watchdog"], given["watchdog_abort"]) == (None, False)


def test_f44_every_dependency_has_a_floor():
  """`make test-oldest` installs them; what it prints is what pyproject.toml says."""
  project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
  for requirement in project["dependencies"]:
    if requirement != "importlib_resources":
      name, _, version = oldest.oldest(requirement).partition("==")
      assert requirement.startswith(name) and f">={version}" in requirement
  assert oldest.oldest("flax[all]>=0.12.8,!=0.12.11,<0.13") == "flax==0.12.8" and oldest.oldest("importlib_resources") is None


@pytest.mark.parametrize("option", ["--watchdog=0", "--watchdog=-3", "--watchdog=soon", "--watchdog", "--platform=quantum", "--wachdog=5"])
def test_f34_options(lab, option, tmp_path, capsys):
  assert cli.main(["run", f"--config={lab / 'small.py'}", f"--workdir={tmp_path / 'x'}", option]) == 2
  said = capsys.readouterr().err
  assert said.count("\n") == 1 and option.partition("=")[0].replace("wach", "watch") in said and not (tmp_path / "x").exists()
