"""Mixture-density head: where a pen goes next, as a distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.ops.check import check_positive, check_width

__all__ = ["MixtureDensityHead", "StrokeMixture"]


@dataclass
class StrokeMixture:
    """Distributions of a pen's moves: M bivariate Gaussians, and whether it is lifted afterwards.

    Attributes:
        weights: [... M], the logarithm of π.
        means: [... M 2], μ.
        widths: [... M 2], the logarithm of σ.
        slants: [... M], of which ρ is the tanh.
        lifts: [...], the logit of e.
    """

    weights: Tensor
    means: Tensor
    widths: Tensor
    slants: Tensor
    lifts: Tensor

    def log_prob(self, points: Tensor) -> Tensor:
        """The log density [...] of points [... 3]: two offsets, and 1 where the pen is lifted."""
        z = (points[..., None, :2] - self.means) * torch.exp(-self.widths)  # ... M 2
        far = z.square().sum(-1) - 2 * torch.tanh(self.slants) * z.prod(-1)
        steep = self.slants.abs()  # log(1 − tanh²) without a difference of nearly equal numbers
        narrow = 2 * (math.log(2) - steep - F.softplus(-2 * steep))
        density = -math.log(2 * math.pi) - self.widths.sum(-1) - narrow / 2
        density = density - far * torch.exp(-narrow) / 2  # ... M
        lifted = points[..., 2]
        end = lifted * F.logsigmoid(self.lifts) + (1 - lifted) * F.logsigmoid(-self.lifts)
        return torch.logsumexp(self.weights + density, -1) + end

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Points [... 3] drawn from it."""
        flat = self.weights.exp().flatten(0, -2)
        chosen = torch.multinomial(flat, 1, generator=generator).view(self.lifts.shape)
        at = chosen[..., None, None].expand(*chosen.shape, 1, 2)
        mean, width = (t.gather(-2, at)[..., 0, :] for t in (self.means, self.widths))
        rho = torch.tanh(self.slants.gather(-1, chosen[..., None]))[..., 0]
        one, other = torch.randn(
            2, *chosen.shape, generator=generator, device=flat.device, dtype=flat.dtype
        )
        turned = torch.stack([one, rho * one + (1 - rho.square()).sqrt() * other], -1)
        lifted = torch.bernoulli(torch.sigmoid(self.lifts), generator=generator)
        return torch.cat([mean + width.exp() * turned, lifted[..., None]], -1)


class MixtureDensityHead(nn.Module):
    r"""ŷ = W x + b,    p(x', e') = Σ_m π_m N(x' | μ_m, σ_m, ρ_m) · (e where e' = 1, else 1 − e)

        e = σ(−ŷ_0),    π = softmax(π̂),    μ = μ̂,    σ = exp σ̂,    ρ = tanh ρ̂

    Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850,
    equations 16 to 25. `mixture` reads ŷ, whose 6M + 1 numbers are ê, π̂, μ̂, σ̂ and ρ̂.

    Args:
        dim: width D.
        components: Gaussians M.

    Shapes: [... D] -> ŷ [... 6M + 1].

    Errors:
        SpecError: an input of another width.

    Example:
        >>> import torch
        >>> from blocks import MixtureDensityHead
        >>> head = MixtureDensityHead(8)
        >>> y = head(torch.randn(1, 5, 8))
        >>> y.shape, head.mixture(y).log_prob(torch.zeros(1, 5, 3)).shape
        (torch.Size([1, 5, 121]), torch.Size([1, 5]))
    """

    def __init__(self, dim: int, *, components: int = 20):
        super().__init__()
        check_positive("MixtureDensityHead", dim=dim, components=components)
        self.dim, self.components = dim, components
        self.linear = nn.Linear(dim, 6 * components + 1)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "MixtureDensityHead")
        return self.linear(x)  # ... 6M+1

    def mixture(self, y: Tensor, bias: float = 0.0) -> StrokeMixture:
        """The distributions that ŷ stands for; a bias above 0 makes them narrower and surer.

        Errors:
            GenerationError: a bias below 0, or not finite.
        """
        if not 0 <= bias < math.inf:
            raise GenerationError(f"a bias is 0 or more, not {bias}", field="bias")
        m = self.components
        lifts, weights, means, widths, slants = y.split((1, m, 2 * m, 2 * m, m), -1)
        weights = (weights * (1 + bias)).log_softmax(-1)
        pairs = (m, 2)
        widths = widths.unflatten(-1, pairs) - bias
        return StrokeMixture(weights, means.unflatten(-1, pairs), widths, slants, -lifts[..., 0])
