"""Mixtures of normal distributions, and how they are fitted."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot, pad

STEPS, LEAST_GAIN = 40, 1e-3
"""Of the fit: at most so many, and no more where one makes codes less than so many nats more probable."""
AT_ONCE = 4096
Codes = Float[Tensor, "number d_latent"]
Taken = Float[Tensor, "components number"]
"""How much of each code a component takes."""


class Normals(NamedTuple):
    """Shares, means and lower Cholesky factors of the covariances of a mixture's components; of one mixture or several."""

    shares: Float[Tensor, "*mixtures components"]
    means: Float[Tensor, "*mixtures components d_latent"]
    factors: Float[Tensor, "*mixtures components d_latent d_latent"]

    def log_density(self, codes: Codes) -> Float[Tensor, "*mixtures number"]:
        """Nats of each code in each mixture."""
        return self.log_joint(codes).logsumexp(-2)

    def log_joint(self, codes: Codes) -> Float[Tensor, "*mixtures components number"]:
        """Nats of each code together with each component."""
        one = torch.eye(codes.shape[1]).to(self.factors)
        whitening = torch.linalg.solve_triangular(self.factors, one, upper=False)
        whitened = whitening @ codes.T - whitening @ self.means.unsqueeze(-1)
        log_scales = self.factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = self.shares.log() - log_scales - 0.5 * codes.shape[1] * math.log(2 * math.pi)
        return constant.unsqueeze(-1) - 0.5 * whitened.square().sum(-2)


def fit_normals(codes: Codes, num_components: int) -> Normals:
    """The mixture of so many components in which codes are probable, by expectation and maximisation; float64, without chance.

    There is a component for each twice as many codes as a code has numbers, at most; the others have no share.
    """
    codes = codes.double().cpu()
    found = maximised(codes, nearest(codes, max(1, min(num_components, len(codes) // (2 * codes.shape[1])))))
    before = -math.inf
    for _ in range(STEPS):
        joint = torch.cat([found.log_joint(part) for part in codes.split(AT_ONCE)], 1)
        reached = float(joint.logsumexp(0).mean())
        if reached - before < LEAST_GAIN:
            break
        found, before = maximised(codes, joint.softmax(0)), reached
    return filled(found, num_components)


def nearest(codes: Codes, num_components: int) -> Taken:
    """All of the codes nearest to so many of them, each of which was drawn by its squared distance to those before."""
    generator = torch.Generator().manual_seed(0)
    centres = codes[:1]
    while len(centres) < num_components:
        squared = torch.cdist(codes, centres).amin(1).square() + 1e-12
        centres = torch.cat([centres, codes[torch.multinomial(squared, 1, generator=generator)]])
    return one_hot(torch.cdist(codes, centres).argmin(1), num_components).T.to(codes.dtype)


def maximised(codes: Codes, taken: Taken) -> Normals:
    """The components in which what they take is most probable, kept from being narrow where they take little.

    All of them count one code more, whose spread is standard normal, and each counts, besides its own, as many codes as a code
    has numbers, whose spread is the mean of the components'.
    """
    counts, (number, d_latent) = taken.sum(1), codes.shape
    means = taken @ codes / counts.clamp(min=1e-12).unsqueeze(1)
    scatter = torch.stack([(codes - mean).T * own @ (codes - mean) for mean, own in zip(means, taken, strict=True)])
    usual = (scatter.sum(0) + torch.eye(d_latent).to(codes)) / (number + 1)
    covariances = (scatter + d_latent * usual) / (counts + d_latent)[:, None, None]
    return Normals(counts / number, means, torch.linalg.cholesky(covariances))


def filled(found: Normals, num_components: int) -> Normals:
    """With components without a share, so that there are so many."""
    missing = num_components - len(found.shares)
    means, factors = (torch.cat([one, one[:1].expand(missing, *one.shape[1:])]) for one in found[1:])
    return Normals(pad(found.shares, (0, missing)), means, factors)
