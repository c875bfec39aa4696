"""Players' networks and the layers they are made of. All are linen modules that take `train` and sow their last hidden layer as `features`."""

from gan_jax.networks.layers import MinibatchDiscrimination as minibatch_discrimination
from gan_jax.networks.layers import MinibatchStddev as minibatch_stddev
from gan_jax.networks.mlp import mlp

__all__ = ["minibatch_discrimination", "minibatch_stddev", "mlp"]
