"""What a view may tell D and remember: the plumbing, on views whose every number is known.

Mutations that made a test here fail: the memory moved in G's turn too; G's turn (and its fakes) meeting another memory than D left; the context
of the real row given to another fake row; packs whose contexts are strided; a chain that gives one view the other's memory; `chance` ignored.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plays import Affine, fixed_prior

from gan_jax import games, gan, objectives, views
from gan_jax.core import build, take_turn
from gan_jax.play import Look, View

BATCH = {"image": np.arange(8, dtype="float32").reshape(4, 2)}
SGD = {"generator": optax.sgd(0.0), "discriminator": optax.sgd(0.0)}


def look(memory=(), chance=None, seed=0):
  return Look(jax.random.key(seed), jnp.zeros((), jnp.int32), None, jax.random.key(seed + 50), memory, chance)


def counter(start=0.0):
  """Adds what it remembers; remembers how many turns it has seen and the last mean of D's real logits."""
  return View(
    lambda x, look: x + look.memory["turns"],
    init=lambda: {"turns": jnp.asarray(start), "logits": jnp.zeros(())},
    update=lambda play, memory: {"turns": memory["turns"] + 1, "logits": play.mean(play.real_logits)},
  )


def number(n, look):
  return look.draw_alike(lambda key, n: jax.random.uniform(key, (n, 1)), n)


teller = View(lambda x, look: x + number(len(x), look), context=number)  # adds a number to each example, and tells D which


def game_of(view, seen=None, **settings):
  note = lambda play: (seen.append(play) if seen is not None else None) or play.fake.mean()
  return gan(
    Affine(2), Affine(), objectives.hinge(), prior=fixed_prior(np.ones((4, 3))), view=view, optimizers=SGD,
    discriminator_terms={"note": note}, generator_terms={"note": note}, **settings,
  )  # fmt: skip


def test_memory_moves_in_the_discriminators_turns_alone():
  game = game_of(counter(), n_critic=2)
  state = build(game).init(jax.random.key(0), BATCH)
  assert state.model_state["discriminator"]["view"]["turns"] == 0 and "view" not in state.model_state["generator"]
  raw = float(np.sum(state.params["generator"]["kernel"])) / 2
  for turns, names in enumerate([("discriminator",), ("discriminator",), ("generator",), ("generator",)]):
    state, metrics = take_turn(game, names, state, BATCH, jax.random.key(1))
    assert float(metrics[f"{names[0]}/note"]) == pytest.approx(raw + min(turns, 2), rel=1e-5)  # the memory from before the turn
    kept = state.model_state["discriminator"]["view"]
    assert float(kept["turns"]) == min(turns + 1, 2)
  kernel = np.asarray(state.params["discriminator"]["kernel"])
  assert float(kept["logits"]) == pytest.approx(((BATCH["image"] + 1) @ kernel).mean(), rel=1e-4)


def test_a_chain_keeps_memories_apart():
  view = views.chain(counter(1.0), views.pack(2), counter(10.0))
  assert float(view.apply(jnp.zeros((2, 1)), look(view.init()))[0, 0]) == 11
  state = build(game_of(view)).init(jax.random.key(0), BATCH)
  moved, _ = take_turn(game_of(view), ("discriminator",), state, BATCH, jax.random.key(0))
  assert [float(kept["turns"]) for kept in moved.model_state["discriminator"]["view"].values()] == [2, 11]
  assert views.chain(views.pack(2)).init is None and views.chain(counter(), views.pack(2)).size == 2


def test_the_context_is_told_to_real_and_fake_alike():
  seen = []
  game = game_of(teller, seen)
  state = build(game).init(jax.random.key(0), BATCH)
  assert state.params["discriminator"]["kernel"].shape == (3, 1)
  told = jnp.array([[0.0], [0.0], [1.0]])
  state = state.replace(params={**state.params, "discriminator": {"kernel": told, "bias": jnp.zeros(1)}})
  game.players["discriminator"].loss(state.params["discriminator"], state, BATCH, jax.random.key(3))
  np.testing.assert_array_equal(seen[0].real_logits, seen[0].fake_logits)
  assert len(set(np.asarray(seen[0].real_logits))) == 4
  np.testing.assert_array_equal(seen[0].discriminate(0 * seen[0].real), seen[0].real_logits)
  raw = np.sum(state.params["generator"]["kernel"], axis=0)
  for seen_, examples in ((seen[0].real, BATCH["image"]), (seen[0].fake, raw)):
    np.testing.assert_allclose(seen_ - examples, np.tile(seen[0].real_logits[:, None], (1, 2)), atol=1e-5)


def test_the_context_of_a_pack_is_that_of_its_members():
  alone = np.asarray(views.chain(teller).context(4, look()))
  np.testing.assert_array_equal(views.chain(teller, views.pack(2)).context(4, look()), alone.reshape(2, 2))
  after = views.chain(views.pack(2), teller).context(4, look())
  assert after.shape == (2, 1)


def test_chance_is_a_coin_an_example():
  x = jnp.zeros((4000, 2))
  changed = np.asarray(views.instance_noise(1.0).apply(x, look(chance=0.25))) != 0
  assert changed.mean() == pytest.approx(0.25, abs=0.03) and (changed[:, 0] == changed[:, 1]).all()
  both = views.chain(views.instance_noise(1.0), View(lambda x, look: look.sometimes(x, x + 100))).apply(x, look(chance=0.5))
  noise, shift = np.asarray(both)[:, 0] % 100 != 0, np.asarray(both)[:, 0] > 50
  assert np.corrcoef(noise, shift)[0, 1] == pytest.approx(0, abs=0.05)


def test_other_games_refuse_a_view_that_remembers():
  with pytest.raises(ValueError, match="needs the game gan; d2gan takes views that only show"):
    games.d2gan(Affine(2), Affine(), prior=fixed_prior(np.ones((4, 3))), view=counter(), optimizers={**SGD, "second_discriminator": optax.sgd(0.0)})
