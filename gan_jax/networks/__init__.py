"""Players' networks and the layers they are made of. All are linen modules that take `train` and sow their last hidden layer as `features`."""

from gan_jax.networks.dcgan import dcgan_discriminator, dcgan_generator
from gan_jax.networks.layered import layered
from gan_jax.networks.layers import MinibatchDiscrimination as minibatch_discrimination
from gan_jax.networks.layers import MinibatchStddev as minibatch_stddev
from gan_jax.networks.layers import Recognition as recognition
from gan_jax.networks.layers import leaky as leaky_relu
from gan_jax.networks.mlp import mlp
from gan_jax.networks.patch import multiscale_discriminator, patch_discriminator
from gan_jax.networks.r3gan import r3gan_discriminator, r3gan_generator
from gan_jax.networks.resnet import resnet_discriminator, resnet_generator
from gan_jax.networks.superresolution import superresolution_generator
from gan_jax.networks.text import captioned
from gan_jax.networks.translator import residual_translator
from gan_jax.networks.unet import filled, unet_generator
from gan_jax.networks.virtual import virtual_batch

__all__ = [
  "captioned", "dcgan_discriminator", "dcgan_generator", "filled", "layered", "leaky_relu", "minibatch_discrimination", "minibatch_stddev",
  "mlp", "multiscale_discriminator", "patch_discriminator", "r3gan_discriminator", "r3gan_generator", "recognition", "residual_translator",
  "resnet_discriminator", "resnet_generator", "superresolution_generator", "unet_generator", "virtual_batch",
]  # fmt: skip
