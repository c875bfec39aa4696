"""Metrics, each with the value that a perfect sampler of the training law would get in the same evaluation.

>>> import jax, numpy as np
>>> from gan_jax import data
>>> ring = data.ring()
>>> samples = np.asarray(ring.sample(jax.random.key(1), 2500)["image"])
>>> values, counts = evaluate(samples, ring)
>>> values["modes_t1"], perfect(ring, 2500)["modes_t1"], counts.shape
(8.0, 8.0, (8,))

Modes and distances of points come by themselves. The others are named, with the features they are measured in, and
can stand in a config: evaluation = {"metrics": {"vendi": {"features": {"name": "pixels"}, "n": 500}}}.

>>> values, _ = evaluate(samples[:1] + np.zeros((500, 2)), ring, metrics={"vendi": vendi(pixels(), n=500)})
>>> round(values["vendi_q1_pixels_n500"], 2)
1.0
"""

from gan_jax.metrics.answers import answer_diversity, consistency, hole_error, psnr, ssim
from gan_jax.metrics.bins import ndb
from gan_jax.metrics.caption_scores import caption_scores
from gan_jax.metrics.classes import confidence_sweep, per_class
from gan_jax.metrics.duplicates import birthday
from gan_jax.metrics.evaluation import evaluate, identities, perfect
from gan_jax.metrics.feature_distances import frechet, kernel_distance
from gan_jax.metrics.features import classifier, pixels, random_conv
from gan_jax.metrics.gan_train import balancing, gan_test, gan_train
from gan_jax.metrics.inception_2015 import inception
from gan_jax.metrics.monitor import kmeans_modes, monitor
from gan_jax.metrics.neighbours import density_coverage, precision_recall
from gan_jax.metrics.recovery import ivom
from gan_jax.metrics.similarity import ms_ssim
from gan_jax.metrics.spectra import vendi
from gan_jax.metrics.triangle_answers import triangle_answers
from gan_jax.metrics.triangle_layers import triangle_layers
from gan_jax.metrics.triangle_scores import triangle_scores

__all__ = [
  "answer_diversity", "balancing", "birthday", "caption_scores", "classifier", "confidence_sweep", "consistency", "density_coverage", "evaluate",
  "frechet", "gan_test", "gan_train", "hole_error", "identities", "inception", "ivom", "kernel_distance", "kmeans_modes", "monitor", "ms_ssim", "ndb",
  "per_class", "perfect", "pixels", "precision_recall", "psnr", "random_conv", "ssim", "triangle_answers", "triangle_layers", "triangle_scores",
  "vendi",
]  # fmt: skip
