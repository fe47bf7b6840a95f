"""What the numbers that a picture is written down in are like, before the picture is known."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.special import ndtr, ndtri

from regard.models.painting.autoencoder import Latent
from regard.models.painting.mixture import Normals, fit_normals
from regard.models.painting.painter import Classes, Noise

NEAR = 1e-9
"""How near to 0 and 1 a share may be, so that it has a finite normal number."""


class Prior(nn.Module, ABC):
    """A distribution of the numbers of a picture, where classes are known one for each class."""

    @abstractmethod
    def latent_of(self, noise: Noise, classes: Classes | None) -> Latent:
        """Numbers of this distribution from independent normal ones; the same from the same."""

    @abstractmethod
    def log_density(self, latent: Latent, classes: Classes | None) -> Float[Tensor, " batch"]:
        """Nats."""


class StandardNormal(Prior):
    """Independent normal numbers, whatever there is to fit."""

    def latent_of(self, noise: Noise, classes: Classes | None) -> Latent:
        return noise

    def log_density(self, latent: Latent, classes: Classes | None) -> Float[Tensor, " batch"]:
        return log_normal(latent)


class Mixture(Prior):
    """Normal components, standard normal until they are fitted to the numbers of pictures that the model was trained on.

    Ghosh et al. 2020, arXiv:1903.12436, section 4 (ex-post density estimation).
    """

    shares: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, d_latent: int, num_components: int, num_classes: int) -> None:
        super().__init__()
        num_mixtures = max(1, num_classes)
        self.register_buffer("shares", torch.eye(num_components)[:1].repeat(num_mixtures, 1))
        self.register_buffer("means", torch.zeros(num_mixtures, num_components, d_latent))
        self.register_buffer("factors", torch.eye(d_latent).repeat(num_mixtures, num_components, 1, 1))

    def latent_of(self, noise: Noise, classes: Classes | None) -> Latent:
        """The first number chooses the component; its place within that component's share is a normal number there."""
        mixture = self._mixture(noise, classes)
        share = self.shares[mixture].double()
        ends = share.cumsum(1) / share.sum(1, keepdim=True)
        place = ndtr(noise[:, :1].double()).clamp(NEAR, 1 - NEAR)
        chosen = (place > ends[:, :-1]).sum(1, keepdim=True)
        starts = pad(ends, (1, 0)).gather(1, chosen)
        inside = (place - starts) / (ends.gather(1, chosen) - starts)
        inner = torch.cat([ndtri(inside.clamp(NEAR, 1 - NEAR)).to(noise.dtype), noise[:, 1:]], 1)
        component = mixture, chosen.squeeze(1)
        return self.means[component] + (self.factors[component] * inner.unsqueeze(1)).sum(2)

    def log_density(self, latent: Latent, classes: Classes | None) -> Float[Tensor, " batch"]:
        with torch.autocast(latent.device.type, enabled=False):
            density = Normals(self.shares, self.means, self.factors).log_density(latent)
        return density.gather(0, self._mixture(latent, classes).unsqueeze(0)).squeeze(0)

    def fit(self, latent: Latent, classes: Classes | None) -> None:
        """A class without pictures stays as it is."""
        mixture = self._mixture(latent, classes)
        for number in mixture.unique().tolist():
            found = fit_normals(latent[mixture == number], self.shares.shape[1])
            for kept, one in zip((self.shares, self.means, self.factors), found, strict=True):
                kept[number] = one.to(kept)

    def _mixture(self, latent: Latent, classes: Classes | None) -> Int[Tensor, " batch"]:
        """Which belongs to each."""
        if classes is None or len(self.shares) == 1:
            return torch.zeros(len(latent), dtype=torch.long, device=latent.device)
        return classes


def log_normal(x: Latent) -> Float[Tensor, " batch"]:
    """Nats of independent standard normal numbers."""
    return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)
