"""The cache on disk: private, whole files only, and never a reason to fail."""

import stat

import numpy as np
import pytest

from gan_jax.data.digits import Cache
from gan_jax.lab.cache import ArrayCache

ARRAYS = {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.zeros(3)}


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "deep"))
  return tmp_path / "deep" / "arrays"


def test_round_trip_in_a_private_folder(home):
  cache: Cache = ArrayCache("arrays")
  assert cache.get("ab12") is None
  cache.put("ab12", ARRAYS)
  found = cache.get("ab12")
  assert set(found) == set(ARRAYS) and all((found[name] == ARRAYS[name]).all() for name in ARRAYS)
  assert stat.S_IMODE(home.stat().st_mode) == 0o700
  assert [path.name for path in home.iterdir()] == ["ab12.npz"]


def test_damage_and_pickles_are_a_miss(home):
  cache = ArrayCache("arrays")
  cache.put("aa", ARRAYS)
  path = home / "aa.npz"
  whole = path.read_bytes()
  for content in (b"", b"rubbish", whole[: len(whole) // 2]):
    path.write_bytes(content)
    assert cache.get("aa") is None
  np.savez(path, kernel=np.array([{"a": 1}], dtype=object))
  assert cache.get("aa") is None


@pytest.mark.filterwarnings("ignore:no cache")
def test_a_folder_that_others_can_write_is_not_trusted(home):
  cache = ArrayCache("arrays")
  cache.put("aa", ARRAYS)
  home.chmod(0o777)
  assert cache.get("aa") is None
  cache.put("bb", ARRAYS)
  assert not (home / "bb.npz").exists()


@pytest.mark.filterwarnings("ignore:no cache")
def test_a_folder_that_cannot_be_made_keeps_nothing(home):
  home.parent.write_text("a file where the folder would be")
  cache = ArrayCache("arrays")
  cache.put("aa", ARRAYS)
  assert cache.get("aa") is None
