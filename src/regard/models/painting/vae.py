"""A variational autoencoder with attention; Kingma and Welling 2014, arXiv:1312.6114."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from regard.models.model import Batch
from regard.models.options import VaeOptions
from regard.models.painting.autoencoder import Decoder, Encoder, Latent, Posterior
from regard.models.painting.likelihood import levels_of
from regard.models.painting.painter import Classes, Noise, Painted, Painter, PaintSizes, Pixels
from regard.models.painting.prior import Mixture, StandardNormal, log_normal


class Vae(Painter):
    """A picture becomes a normal distribution of a few numbers, and numbers become a logistic distribution of each value."""

    num_losses: Tensor
    """Of training so far."""

    def __init__(self, options: VaeOptions, sizes: PaintSizes) -> None:
        super().__init__(sizes)
        self.options, self.d_latent = options, options.d_latent
        self.encoder, self.decoder = Encoder(options, sizes), Decoder(options, sizes)
        is_fitted = options.prior == "fitted"
        self.prior = Mixture(self.d_latent, options.num_components, sizes.num_classes) if is_fitted else StandardNormal()
        self.register_buffer("num_losses", torch.zeros((), dtype=torch.int64))
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def loss(self, batch: Batch) -> Tensor:
        """The negative bound of the likelihood under a standard normal prior, bits per dimension.

        While training, the divergence is weighted by `beta`, and no number's is less than the free bits, in the mean of the
        batch; Kingma et al. 2016, arXiv:1606.04934, eq. 15.
        """
        pixels, classes = batch["pixels"], batch.get("classes")
        posterior = self.encoder(pixels, classes)
        latent = posterior.at(torch.randn_like(posterior.mean))
        divergences = posterior.divergences().mean(0)
        if self.training:
            divergences = self._next_beta() * divergences.clamp(min=self.options.free_bits * math.log(2))
        return self._bits(divergences.sum() - self.log_likelihood(pixels, latent, classes).mean())

    def codes_of(self, noise: Noise, classes: Classes | None = None) -> Latent:
        return self.prior.latent_of(noise, classes)

    def render(self, codes: Latent, classes: Classes | None = None) -> Pixels:
        """The median of each pixel, without the noise that the likelihood allows for."""
        return self.decoder(codes, classes).median

    def observe(self, pixels: Pixels, classes: Classes | None = None) -> Latent:
        return self.encode(pixels, classes)

    def encode(self, pixels: Pixels, classes: Classes | None = None) -> Latent:
        """The mean of the numbers of each picture."""
        return self.encoder(pixels, classes).mean

    def judge(self, pixels: Pixels, classes: Classes | None = None) -> list[Painted]:
        """The importance-weighted bound, Burda et al. 2016, arXiv:1509.00519, eq. 8, and a copy from the mean.

        The draws are the same for every picture and in every call.
        """
        posterior, num_draws = self.encoder(pixels, classes), self.options.num_importance
        draws = torch.randn(num_draws, self.d_latent, generator=torch.Generator().manual_seed(0)).to(posterior.mean)
        weights = torch.stack([self.log_weights(pixels, classes, posterior, draw) for draw in draws.split(1)])
        bits = self._bits(math.log(num_draws) - weights.logsumexp(0)).tolist()
        copies = self.render(posterior.mean, classes)
        return [Painted(copy=copy, bits_per_dimension=one) for copy, one in zip(copies, bits, strict=True)]

    def log_weights(
        self, pixels: Pixels, classes: Classes | None, posterior: Posterior, draw: Float[Tensor, "#batch d_latent"]
    ) -> Float[Tensor, " batch"]:
        """Nats of p(pixels, latent) / q(latent | pixels) where draws of normal numbers lie in the posteriors."""
        latent = posterior.at(draw)
        log_posterior = log_normal(draw.expand_as(latent)) - posterior.std.log().sum(1)
        return self.log_likelihood(pixels, latent, classes) + self.prior.log_density(latent, classes) - log_posterior

    def log_likelihood(self, pixels: Pixels, latent: Latent, classes: Classes | None) -> Float[Tensor, " batch"]:
        """Nats of the 8-bit values of each picture."""
        return self.decoder(latent, classes).log_probability(levels_of(pixels.to(latent)))

    @torch.no_grad()
    def fit_prior(self, batches: Iterable[Batch]) -> None:
        """Fit a prior that can be to pictures that the model was trained on; the decoder stays as it is.

        Numbers are drawn from the posteriors, not their means, which are narrower. The prior of `loss` stays the normal one.
        """
        if not isinstance(self.prior, Mixture):
            return
        generator = torch.Generator().manual_seed(0)
        latents, classes = [], []
        for batch in batches:
            posterior = self.encoder(batch["pixels"], batch.get("classes"))
            latents.append(posterior.at(torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)))
            classes.append(batch["classes"] if self.sizes.num_classes else torch.zeros(len(latents[-1])).long())
        self.prior.fit(torch.cat(latents), torch.cat(classes))

    def _next_beta(self) -> Tensor:
        """Of this step; the next one's is larger, up to what was chosen."""
        self.num_losses += 1
        return self.options.beta * (self.num_losses / max(1, self.options.beta_steps)).clamp(max=1)

    def _bits(self, nats: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Per dimension, from nats of a picture."""
        return nats / (math.log(2) * self.sizes.channels * self.sizes.size**2)
