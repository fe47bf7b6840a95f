"""A generator and a discriminator that learn from one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from regard.models.model import Batch
from regard.models.options import GanOptions
from regard.models.painting.differentiable import changed
from regard.models.painting.discriminator import Discriminator
from regard.models.painting.generator import Generator
from regard.models.painting.painter import Classes, Noise, Painted, Painter, PaintSizes, Pixels

BETAS = 0.0, 0.99
"""Of Adam, for both: no momentum, since what the one learns from is changed by the other."""
Scores = Float[Tensor, " batch"]


class Gan(Painter):
    """A generator paints, a discriminator tells apart; Goodfellow et al. 2014, with the attention of SAGAN.

    Both take each step at once, from one forward pass of the generator: the gradient of the sum of both losses, where the
    discriminator does not see what the generator's loss says of it, nor the other way round. They have rates of their own (two
    time scales, Heusel et al. 2017, arXiv:1706.08500).
    """

    num_losses: Tensor

    def __init__(self, options: GanOptions, sizes: PaintSizes) -> None:
        super().__init__(sizes)
        self.options, self.d_latent = options, options.d_latent
        self.generator, self.discriminator = Generator(options, sizes), Discriminator(options, sizes)
        self.objective = OBJECTIVES[options.objective]
        self.register_buffer("num_losses", torch.zeros((), dtype=torch.int64))

    def render(self, codes: Noise, classes: Classes | None = None) -> Pixels:
        return self.generator(codes, classes)

    def judge(self, pixels: Pixels, classes: Classes | None = None) -> list[Painted]:
        return [Painted(realness=score) for score in self.observe(pixels, classes).tolist()]

    def observe(self, pixels: Pixels, classes: Classes | None = None) -> Scores:
        return self.discriminator(pixels, classes)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Of the discriminator and the generator, and every so many times the penalty."""
        real, classes = batch["pixels"], batch.get("classes")
        noise = torch.randn(len(real), self.d_latent, device=real.device)
        made = self.generator(noise, classes)
        by_real, by_made = self._told_apart(real, made.detach(), classes)
        loss = self.objective[0](by_real, by_made)
        with frozen(self.discriminator):
            loss = loss + self.objective[1](by_real.detach(), self._score(made, classes))
        if self.options.penalty and self.num_losses % self.options.penalty_steps == 0:
            loss = loss + self.options.penalty_steps * self.penalty(real, classes)
        self.num_losses += 1
        return loss

    def _told_apart(self, real: Pixels, made: Pixels, classes: Classes | None) -> tuple[Scores, Scores]:
        both = None if classes is None else torch.cat([classes, classes])
        first, second = self._score(torch.cat([real, made.to(real.dtype)]), both).chunk(2)
        return first, second

    def _score(self, pixels: Pixels, classes: Classes | None) -> Scores:
        return self.discriminator(changed(pixels, self.options.augment), classes).float()

    def penalty(self, real: Pixels, classes: Classes | None = None) -> Float[Tensor, ""]:
        """½ penalty · mean of ‖∇ score‖² at real pictures; Mescheder et al. 2018, arXiv:1801.04406, eq. 9. In float32."""
        with torch.autocast(real.device.type, enabled=False):
            real = changed(real, self.options.augment).requires_grad_()
            (slope,) = torch.autograd.grad(self.discriminator(real, classes).sum(), real, create_graph=True)
        return 0.5 * self.options.penalty * slope.square().sum((1, 2, 3)).mean()

    @torch.no_grad()
    def settle(self, batches: Iterable[Batch]) -> None:
        """Means and variances of the generator's maps over these batches of noise, for weights that are a running mean.

        Each counts alike, and variances are those within batches: they should be of one size, with all classes in each.
        Those that were averaged with the weights belong to other weights. Standing statistics: Brock et al. 2019,
        arXiv:1809.11096, section 4.1.
        """
        norms = [module for module in self.generator.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over batches
        self.generator.train()
        for batch in batches:
            self.generator(batch["noise"], batch.get("classes"))
        self.eval()

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Both without momentum, each at its own rate."""
        yield {"params": list(self.generator.parameters()), "betas": BETAS}
        yield {"params": list(self.discriminator.parameters()), "betas": BETAS, "rate": self.options.discriminator_rate}


def _hinge(real: Scores, made: Scores) -> Tensor:
    """Lim and Ye 2017, arXiv:1705.02894; SAGAN, eq. 4."""
    return relu(1 - real).mean() + relu(1 + made).mean()


def _relativistic(real: Scores, made: Scores) -> Tensor:
    """Jolicoeur-Martineau 2018, arXiv:1807.00734, eq. 8: each pair of a real and a painted picture."""
    return softplus(made - real).mean()


Objective = tuple[Callable[[Scores, Scores], Tensor], Callable[[Scores, Scores], Tensor]]
OBJECTIVES: dict[str, Objective] = {
    "hinge": (_hinge, lambda real, made: -made.mean()),
    "relativistic": (_relativistic, lambda real, made: softplus(real - made).mean()),
}
"""What the discriminator makes small, and what the generator does, of the scores of real and painted pictures."""


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """What is computed meanwhile sends no gradient to the module's own parameters."""
    parameters = [one for one in module.parameters() if one.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
