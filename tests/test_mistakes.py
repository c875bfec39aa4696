"""What people get wrong who call the step from their own code: one line each, that says what, where and how to mend it.

Mutations that made a test here fail: a check left out; dropout without a key, or with one for both forwards; a term that hides a metric.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import ADAM, LATENT, points, run_key

from gan_jax import build, gan, networks, objectives, penalties, priors, views
from gan_jax.games import veegan
from gan_jax.play import Objective

BOTH = {"generator": ADAM, "discriminator": ADAM}


class Player(nn.Module):
  out: int = 1

  @nn.compact
  def __call__(self, x, *condition, train):
    return nn.Dense(self.out)(x)


class NoTrain(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(1)(x)


class Untold(nn.Module):
  @nn.compact
  def __call__(self, x, *, train):
    return nn.Dense(1)(x)


class OwnBatches(nn.Module):
  @nn.compact
  def __call__(self, x, *, train):
    return nn.Dense(1)(nn.BatchNorm(use_running_average=not train)(x))


class Dropping(nn.Module):
  @nn.compact
  def __call__(self, x, *, train):
    self.sow("intermediates", "features", x)
    kept = nn.Dropout(0.5, deterministic=not train)(jnp.ones((len(x), 64)) + 0 * x.sum())
    return nn.Dense(1, kernel_init=nn.initializers.ones, use_bias=False)(kept)


def make(generator=None, discriminator=None, objective=None, **settings):
  settings = {"prior": priors.normal(LATENT), "optimizers": BOTH, **settings}
  return gan(generator or Player(2), discriminator or Player(), objective or objectives.non_saturating(), **settings)


def play(batch=None, **settings):
  algorithm = build(make(**settings))
  batch = points() if batch is None else batch
  state = jax.eval_shape(algorithm.init, run_key(0), batch)
  return jax.eval_shape(algorithm.step, state, batch, run_key(0))


IMAGE = points()["image"]
LABELS = np.zeros(len(IMAGE), np.int32)
MISTAKES = {
  "no image": (lambda: play({"images": IMAGE}), 'a batch is {"image": [B, ...]}, and "condition" where players are told one; this has the'),
  "an array": (lambda: play(IMAGE), "this is of type"),
  "a pair": (lambda: play((IMAGE, LABELS)), "this is of type tuple"),
  "bytes": (lambda: play({"image": IMAGE.astype(np.uint8)}), "uint8; examples are floats in the range of the generator"),
  "a label": (lambda: play({"image": IMAGE, "label": LABELS}), 'the batch has "label", at which nobody looks: what players are told is'),
  "another shape": (lambda: play(generator=Player(3)), r"the generator makes examples of shape (3,), the batch's are (2,)"),
  "no train": (lambda: play(discriminator=NoTrain()), "NoTrain is called with inputs of shape"),
  "takes no condition": (lambda: play({"image": IMAGE, "condition": LABELS}, discriminator=Untold()), "Untold is called with inputs of shape"),
  "a class": (lambda: make(generator=Player), "this is the class Player"),
  "no module": (lambda: make(discriminator=lambda x: x), "a player is a flax.linen module"),
  "a class in another game": (
    lambda: veegan(Player(2), Player, Player(LATENT), prior=priors.normal(LATENT), optimizers=dict(BOTH, reconstructor=ADAM)),
    "this is the class Player",
  ),
  "prior as a number": (lambda: make(prior=64), "prior is 64; needs a Prior, as priors.normal(64) gives one"),
  "prior uncalled": (lambda: make(prior=priors.normal), "needs a Prior"),
  "view uncalled": (lambda: make(view=views.pack), "needs a View, as views.pack(2) gives one"),
  "objective by name": (lambda: make(objective="hinge"), "objective is 'hinge'; needs an Objective"),
  "terms in a list": (lambda: make(discriminator_terms=[penalties.r1(0.1)]), "terms have names"),
  "a term called loss": (lambda: make(generator_terms={"loss": lambda play: 0.0}), 'a term called "loss" would hide the metric of that name'),
  "an objective for each example": (
    lambda: play(objective=Objective(lambda play: play.fake_logits, lambda play: play.fake_logits.mean())), "gives an array of shape (32,)",
  ),
  "an objective without a value": (lambda: play(objective=Objective(lambda play: None, lambda play: None)), "this one gives nothing"),
  "one optimizer": (lambda: make(optimizers=ADAM), "a mapping with an optax transformation for each of generator, discriminator"),
  "short names": (lambda: make(optimizers={"G": ADAM, "D": ADAM}), "optimizers has the keys generator, discriminator"),
  "half a turn": (lambda: make(n_critic=2.5), "n_critic is 2.5"),
  "an axis that is none": (lambda: play(axis_name="devices"), 'call it under pmap or vmap with axis_name="devices"'),
  "a number for rows": (lambda: (lambda a: a.sample(a.init(run_key(0), points()), run_key(1), 64))(build(make())), "this is of type int"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name):
  mistake, said = MISTAKES[name]
  with pytest.raises(ValueError) as error:
    mistake()
  assert said in str(error.value) and "\n" not in str(error.value)


def test_batch_statistics_of_one_device_alone_are_warned_of():
  make_state = lambda game: jax.eval_shape(build(game).init, run_key(0), points())
  with pytest.warns(UserWarning, match="OwnBatches keeps batch statistics and has no field axis_name"):
    make_state(make(discriminator=OwnBatches(), axis_name="devices"))
  make_state(make(discriminator=OwnBatches()))
  make_state(make(discriminator=networks.mlp(1, (4,), batch_norm=0.9), axis_name="devices"))


def test_dropout_has_other_noise_in_every_forward_and_turn_and_none_at_evaluation():
  """D's logit is the number of units kept, times 2: binomial (64, 1/2), so a mean over 32 rows is seldom the same twice."""
  seen = []

  def look(play):
    jax.debug.callback(lambda *values: seen.append([np.asarray(value) for value in values]), play.real_logits, play.fake_logits)
    return 0.0

  algorithm = build(make(discriminator=Dropping(), discriminator_terms={"look": look}))
  state = algorithm.init(run_key(0), points())
  step = jax.jit(algorithm.step)
  for _ in range(2):
    state, _ = step(state, points(), run_key(0))
  jax.effects_barrier()
  forwards = [logits for turn in seen for logits in turn]
  assert len(forwards) == 4 and len({logits.tobytes() for logits in forwards}) == 4
  assert all(48 < logits.mean() < 80 and logits.std() > 2 for logits in forwards)
  game = make(discriminator=Dropping())
  judged, _ = game.judge(state, points()["image"], points())
  first = np.asarray(judged)
  np.testing.assert_array_equal(first, np.full_like(first, first.flat[0]))
