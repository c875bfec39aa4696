"""The three sides of a triangle as a point: a set in which validity is one inequality, for a minute of training."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.spatial.distance import cdist

from gan_jax.data.base import Assignment, Batch, Data, Modes, finite_rows

SHORTEST, LONGEST, MARGIN = 0.2, 1.0, 0.05
CELLS, LOW, HIGH = 7, 0.1, (1 - MARGIN) / 2  # of a side's share of the sum
CANDIDATES = 48  # of which 69 in a hundred are triangles: that none is has the chance 1e-24
LOG2_DRAWS = 17  # quasi-random draws behind the bins' probabilities


def triangle_sides() -> Data:
  """(a, b, c), uniform in [.2, 1]^3 where they make a triangle with a margin of at least .05 = (s1 + s2 - s3) / (s1 + s2 + s3), s3 the longest.

  A sample is of high quality if a triangle has such sides: all are positive, and the two shorter ones together are longer than the third. The data
  keep a distance to that border; a quarter of independent uniform sides fail. Modes are 34 shapes: the cells of a 7 x 7 grid over a / (a + b + c) and
  b / (a + b + c) in [.1, .475] that hold data, each with at least .8 % of them.

  >>> data = triangle_sides()
  >>> len(data.modes.probabilities), data.modes.assign(np.array([[3., 4., 5.], [1., 1., 2.]])).high_quality.tolist()
  (34, [True, False])
  """
  return Data("triangle_sides", (3,), draw, _modes())


def draw(table: tuple, key: Array, n: int) -> Batch:
  """`Data.draw`: of so many uniform candidates the first that is a triangle."""
  sides = jax.random.uniform(key, (n, CANDIDATES, 3), minval=SHORTEST, maxval=LONGEST)
  first = (1 - 2 * sides.max(-1) / sides.sum(-1) >= MARGIN).argmax(axis=1)
  return {"image": jnp.take_along_axis(sides, first[:, None, None], axis=1)[:, 0]}


def _modes() -> Modes:
  from scipy.stats import qmc  # half a second of import that only this data set pays

  sides = SHORTEST + (LONGEST - SHORTEST) * (qmc.Sobol(3, scramble=False).random_base2(LOG2_DRAWS) + 0.5 / 2**LOG2_DRAWS)
  shares = (sides / sides.sum(1, keepdims=True))[1 - 2 * sides.max(1) / sides.sum(1) >= MARGIN, :2]
  cells = np.clip((shares - LOW) / (HIGH - LOW) * CELLS, 0, CELLS - 1e-9).astype(int)
  held, counts = np.unique(cells @ (CELLS, 1), return_counts=True)
  centers = LOW + (np.stack([held // CELLS, held % CELLS], -1) + 0.5) * (HIGH - LOW) / CELLS

  def assign(samples: np.ndarray) -> Assignment:
    finite = finite_rows(samples)
    sides = np.where(finite[:, None], np.asarray(samples, np.float64).reshape(len(samples), 3), 0)
    whole = sides.sum(1)
    shares = np.where((whole > 0)[:, None], sides[:, :2] / np.where(whole > 0, whole, 1)[:, None], 0)
    mode = np.concatenate([cdist(part, centers).argmin(axis=1) for part in np.array_split(shares, len(shares) // 8192 + 1)])
    return Assignment(mode, finite & (sides.min(1) > 0) & (2 * sides.max(1) < whole), None)

  return Modes(counts / counts.sum(), assign, quality=1.0)
