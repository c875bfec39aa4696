"""Image metrics that need no network: how far apart samples are in pixel space, relative to real ones."""

import numpy as np
from scipy.spatial.distance import pdist

NUM_IMAGES = 512


def image_metrics(samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
  """{"pixel_diversity"}: `diversity` of the first 512 of each, [N, H, W, C]. 1 is right, 0 one image; noise adds."""
  return {"pixel_diversity": diversity(samples[:NUM_IMAGES], real[:NUM_IMAGES])}


def diversity(samples: np.ndarray, real: np.ndarray) -> float:
  """Median pairwise Euclidean distance of the finite samples over that of real ones; 0 with fewer than two of them."""
  flat = np.asarray(samples, np.float64).reshape(len(samples), -1)
  flat = flat[np.isfinite(flat).all(axis=1)]
  if len(flat) < 2:
    return 0.0
  return float(np.median(pdist(flat)) / np.median(pdist(np.asarray(real, np.float64).reshape(len(real), -1))))
