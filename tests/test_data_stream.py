"""A streamed set gives, bit for bit, the batches that it would give on the device, whoever reads them and wherever a run goes on."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_sets

from gan_jax.data import base, sources, stream
from gan_jax.data.base import DataFormatError, Rows, from_rows, pixels, uniform

KEYS = jax.random.split(jax.random.key(7), 2)
N = 6


def labelled(examples):
  return {"image": pixels(examples["image"]), "condition": examples["label"]}


def stacked(examples):
  return {"image": jnp.moveaxis(pixels(examples["image"])[..., 0], 1, -1)}


SOURCE = sources.memory(tiny_sets.images(40, (5, 4)), np.arange(40) % 4)
LAWS = {
  "plain": Rows(SOURCE, uniform(40), labelled, ("image", "label")),
  "three of each": Rows(SOURCE, lambda key, n: jax.random.randint(key, (n, 3), 0, 40), stacked),
}


def test_documentation_examples():
  assert doctest.testmod(stream).failed == 0


@pytest.mark.parametrize("law", LAWS)
def test_streamed_batches_are_those_of_the_device_bit_for_bit(law):
  rows = LAWS[law]
  shape = (5, 4, 3) if law == "three of each" else (5, 4, 1)
  device, streamed = from_rows(law, shape, rows), from_rows(law, shape, rows, device_bytes=0)
  assert not device.streamed and streamed.streamed and streamed.table == () and set(device.table) == set(rows.columns)
  spans = stream.spans(3, 10, 3)

  # As the runner does it: on the device inside one program over rounds and seeds, streamed through `collate` alone.
  def on_device(table, keys):
    one = lambda key, number: device.draw(table, jax.random.fold_in(key, number), N)
    return jax.vmap(lambda number: jax.vmap(lambda key: one(key, number))(keys))(jnp.arange(3, 10))

  wanted = jax.tree.map(np.asarray, jax.jit(on_device)(device.table, KEYS))
  collate = jax.jit(jax.vmap(jax.vmap(rows.collate)))
  read = [jax.tree.map(np.asarray, collate(span)) for span in stream.batches(rows, KEYS, spans, N)]
  for name, values in wanted.items():
    found = np.concatenate([part[name][: stop - start] for part, (start, stop) in zip(read, spans, strict=True)])
    assert found.dtype == values.dtype and found.shape == values.shape
    np.testing.assert_array_equal(found.view(np.uint8), values.view(np.uint8))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), streamed.abstract(N)) == jax.tree.map(lambda x: (x.shape[2:], x.dtype), wanted)
  sample = streamed.sample(jax.random.fold_in(KEYS[1], 4), N)
  np.testing.assert_array_equal(sample["image"], wanted["image"][1, 1])
  with pytest.raises(ValueError, match="is streamed: its batches come from the host"):
    streamed.draw((), KEYS[0], N)


def collected(rows, spans, **settings):
  parts = list(stream.batches(rows, KEYS, spans, N, **settings))
  return {name: np.concatenate([part[name][: stop - start] for part, (start, stop) in zip(parts, spans, strict=True)]) for name in rows.columns}


def test_order_does_not_hang_on_threads_spans_or_restarts():
  rows = LAWS["plain"]
  wanted = collected(rows, [(0, 12)])
  assert wanted["image"].shape == (12, 2, N, 5, 4, 1) and wanted["image"].dtype == np.uint8
  assert not np.array_equal(wanted["label"][0], wanted["label"][1]) and not np.array_equal(wanted["label"][:, 0], wanted["label"][:, 1])
  for spans, settings in [
    (stream.spans(0, 12, 1), {"threads": 1}),
    (stream.spans(0, 12, 5), {"threads": 1, "read_ahead": 1}),
    ([(0, 2), (2, 7), (7, 12)], {"threads": 16, "read_ahead": 3}),
  ]:
    found = collected(rows, spans, **settings)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
  later = collected(rows, stream.spans(8, 12, 3), threads=3)  # a run that goes on at round 8
  assert all(np.array_equal(later[name], wanted[name][8:]) for name in wanted)


def test_what_a_shorter_span_lacks_is_zero():
  parts = list(stream.batches(LAWS["plain"], KEYS, [(0, 3), (3, 4)], N))
  assert parts[1]["image"].shape[0] == 3 and not parts[1]["image"][1:].any() and parts[1]["image"][0].any()


def test_a_file_that_breaks_under_way_says_so(tmp_path):
  tiny_sets.write_classes(tmp_path)
  source = sources.source(str(tmp_path))
  waiting = stream.batches(Rows(source, uniform(6), labelled, ("image", "label")), KEYS, stream.spans(0, 50, 1), N, threads=2, read_ahead=1)
  next(waiting)
  for file in (tmp_path / "cat").iterdir():
    file.write_bytes(b"broken")
  with pytest.raises(DataFormatError, match=r"cat/[0-9]\.png: not a PNG or JPEG"):
    list(waiting)


def test_a_set_is_streamed_from_the_byte_on_that_does_not_fit():
  rows = LAWS["plain"]
  size = 40 * (5 * 4 + 4)
  assert not from_rows("x", (5, 4, 1), rows, device_bytes=size).streamed
  assert from_rows("x", (5, 4, 1), rows, device_bytes=size - 1).streamed
  only_images = rows._replace(columns=("image",), collate=base.unconditional)
  assert not from_rows("x", (5, 4, 1), only_images, device_bytes=40 * 20).streamed
