"""Inception of 2015: the reader of torch's files, and the network against torch-fidelity's with the same random weights.

The published weights were not at hand, so what is checked is the architecture, the resize, the reader and the names, and not a published FID.
"""

import hashlib
import io

import numpy as np
import oracles
import pytest

from gan_jax.data.base import Data
from gan_jax.metrics import frechet, inception, inception_2015, kernel_distance
from gan_jax.metrics.inception_2015 import check_weights, expected_shapes, resize
from gan_jax.metrics.torch_files import read_tensors

PICTURES = Data("pictures", (8, 8, 3), lambda table, key, n: {}, None)


def saved(tensors: object, modern: bool) -> bytes:
  torch = pytest.importorskip("torch")
  file = io.BytesIO()
  torch.save(tensors, file, _use_new_zipfile_serialization=modern)
  return file.getvalue()


@pytest.mark.parametrize("modern", [True, False])
def test_files_of_torch_are_read_without_unpickling(modern):
  torch = pytest.importorskip("torch")
  from collections import OrderedDict

  base = torch.arange(12.0)
  tensors = OrderedDict({"a.weight": base.reshape(3, 4), "a.tail": base[8:], "double": torch.ones(2, dtype=torch.float64), "steps": torch.tensor(7)})
  found = read_tensors(saved(tensors, modern))
  assert found.keys() == tensors.keys()
  for name, value in tensors.items():
    np.testing.assert_array_equal(found[name], value.numpy())
  assert found["steps"].shape == () and found["double"].dtype == np.float64
  layer = torch.nn.BatchNorm1d(3).state_dict()  # of a module, with its versions
  np.testing.assert_array_equal(read_tensors(saved(layer, modern))["running_var"], np.ones(3))


@pytest.mark.parametrize("modern", [True, False])
def test_other_things_in_a_file_of_torch_are_refused_and_never_run(modern, tmp_path):
  torch = pytest.importorskip("torch")

  class Trap:
    def __reduce__(self):
      return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

  for content in (Trap(), {"a": Trap()}, {"a": torch.arange(6.0).reshape(2, 3).T}, [1, 2], {"a": 3}, None):
    with pytest.raises(ValueError, match=r"not a file of plain tensors that torch\.save wrote"):
      read_tensors(saved(content, modern))
  whole = saved({"a": torch.ones(50)}, modern)
  for broken in (b"", b"PK", whole[:40], whole[:-60], b"\x80\x02" + bytes(40), bytes(100)):
    with pytest.raises(ValueError, match="not a file of plain tensors"):
      read_tensors(broken)
  assert not (tmp_path / "ran").exists()


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(seed)
  weights = {}
  for name, shape in expected_shapes().items():
    values = rng.standard_normal(shape)
    scale = {"conv.weight": np.sqrt(2 / max(1, np.prod(shape[1:]))), "running_var": 0.2, "bn.weight": 0.2}
    values = values * next((scale[key] for key in scale if name.endswith(key)), 0.1)
    weights[name] = (abs(values) + 0.8 if name.endswith(("running_var", "bn.weight")) else values).astype(np.float32)
  return weights


def test_only_the_published_file_gives_fid(tmp_path, monkeypatch):
  weights = random_weights()
  np.savez(tmp_path / "weights.npz", **weights)
  other = inception(str(tmp_path / "weights.npz"))
  assert set(frechet(other, n=3000).identity(PICTURES)) == {"fd_inception_n3000"}
  assert set(kernel_distance(other, n=3000).identity(PICTURES)) == {"kd_inception_n3000"}

  torch = pytest.importorskip("torch")
  content = saved({name: torch.tensor(value) for name, value in weights.items()}, modern=False)
  (tmp_path / "weights.pth").write_bytes(content)
  with pytest.raises(ValueError, match=r"weights.pth: neither the published weights \(SHA-256 6726825d...\) nor a .safetensors or .npz file"):
    inception(str(tmp_path / "weights.pth"))
  monkeypatch.setattr(inception_2015, "PUBLISHED", hashlib.sha256(content).hexdigest())  # as if these were the ones
  published = inception(str(tmp_path / "weights.pth"))
  assert set(frechet(published, n=3000).identity(PICTURES)) == {"fid_n3000"} and set(kernel_distance(published).identity(PICTURES)) == {"kid_n5000"}
  assert published(PICTURES).identity == other(PICTURES).identity  # the same arrays


def test_files_that_are_no_weights_are_one_clear_line(tmp_path):
  with pytest.raises(OSError, match=r"absent\.npz"):
    inception(str(tmp_path / "absent.npz"))
  for name, message in {"w.npz": "not an npz file of plain arrays", "w.safetensors": "not a safetensors file"}.items():
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=message):
      inception(str(tmp_path / name))
  with pytest.raises(ValueError, match=r"p: not the weights of Inception-v3: Conv2d_1a_3x3.conv.weight is missing"):
    check_weights("p", {})
  weights = random_weights()
  with pytest.raises(ValueError, match=r"Mixed_7c.branch_pool.bn.bias is of shape \(3,\), not \(192,\)"):
    check_weights("p", {**weights, "Mixed_7c.branch_pool.bn.bias": np.zeros(3)})
  with pytest.raises(ValueError, match="more samples than features: inception has 2048, n = 2048"):
    np.savez(tmp_path / "w.npz", **weights)
    frechet(inception(str(tmp_path / "w.npz")), n=2048).identity(PICTURES)
  with pytest.raises(ValueError, match=r"inception needs grey or RGB images, and points is of shape \(2,\)"):
    inception(str(tmp_path / "w.npz"))(Data("points", (2,), PICTURES.draw, None))


def test_resize_by_hand():
  # Two pixels a side: output i is at i * 2 / 299, and from 1 on there is nothing above to mix with.
  image = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32).reshape(1, 2, 2, 1)
  out = np.asarray(resize(image))[0, :, :, 0]
  assert out.shape == (299, 299) and out[0, 0] == 0 and out[0, 150:].tolist() == [1.0] * 149 and out[298, 298] == 3
  np.testing.assert_allclose(out[0, :150], np.arange(150) * 2 / 299, atol=1e-6)
  np.testing.assert_allclose(out[:150, 0], np.arange(150) * 4 / 299, atol=1e-6)


def test_resize_is_torch_fidelitys():
  oracles.torch_fidelity()
  import torch
  from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

  images = np.random.default_rng(0).integers(0, 256, (2, 28, 32, 3)).astype(np.float32)
  wanted = interpolate_bilinear_2d_like_tensorflow1x(torch.tensor(images).permute(0, 3, 1, 2), size=(299, 299), align_corners=False)
  np.testing.assert_allclose(resize(images), wanted.permute(0, 2, 3, 1).numpy(), atol=2e-4)


@pytest.mark.slow
def test_the_network_is_torch_fidelitys(tmp_path):
  oracles.torch_fidelity()
  import torch
  from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

  weights = random_weights()
  tensors = {name: torch.tensor(value) for name, value in weights.items()}
  extra = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
  extra |= {name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in weights if name.endswith("running_mean")}
  torch.save({**tensors, **extra}, tmp_path / "weights.pth")
  theirs = FeatureExtractorInceptionV3("theirs", ["2048"], feature_extractor_weights_path=str(tmp_path / "weights.pth"))
  levels = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
  (wanted,) = theirs(torch.tensor(levels).permute(0, 3, 1, 2))
  np.savez(tmp_path / "weights.npz", **weights)
  ours = inception(str(tmp_path / "weights.npz"))(PICTURES._replace(shape=(32, 32, 3))).extract(levels / 127.5 - 1)
  assert wanted.std() > 0.01
  np.testing.assert_allclose(ours, wanted.numpy(), rtol=2e-3, atol=2e-3 * float(wanted.abs().max()))
