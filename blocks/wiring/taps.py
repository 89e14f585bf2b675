"""Save and Load: a named tap, what one place of a model lays down and another takes up."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive, check_width
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step

__all__ = ["Load", "Save"]


class Save(nn.Module):
    r"""y = x,    and every `Load` of the same name after it in this call reads x

    Of two with one name the later counts. It needs a Step, which models make: without one
    nothing is saved.

    Args:
        dim: width D.
        name: what it is saved as.

    Shapes: [B T D] -> [B T D].

    Example:
        >>> import torch
        >>> from blocks import Save, Step
        >>> x = torch.randn(1, 3, 8)
        >>> step = Step.plain(x)
        >>> Save(8, name="skip")(x, step) is step.saved["skip"]
        True
    """

    def __init__(self, dim: int, *, name: str):
        super().__init__()
        check_positive("Save", dim=dim)
        self.dim, self.name = dim, name

    def forward(self, x: Tensor, step: Step | None = None) -> Tensor:
        check_width(x, self.dim, "Save")
        if step is not None:
            step.saved[self.name] = x
        return x


class Load(nn.Module):
    r"""y = inner([x, s]),    or inner(x + s), or inner(x ⊙ s), where s is what `Save` saw

    The skips of a U-Net (Ronneberger et al., 2015, arXiv:1505.04597), and layers that read the
    embedding once more (Zamba: Glorioso et al., 2024, arXiv:2405.16712). Nothing of it outlasts a
    call, so a State holds nothing of it.

    Like a Residual it has no address of its own.

    Args:
        dim: width D.
        name: what it was saved as.
        inner: slot of the size of both together, D + width, or of D; None is nothing more.
        merge: `concat` along the last axis, `sum` or `product`.
        width: of what was saved; D by default.

    Shapes: [B T D] -> what inner gives.

    Errors:
        SpecError: nothing of that name was saved before, or something of another shape.

    Example:
        >>> import torch
        >>> from blocks import Chain, Linear, Load, Save, Spec, Step
        >>> narrow = Spec(Load, name="skip", inner=Spec(Linear, out_dim=8))
        >>> chain = Chain(8, steps={"save": Spec(Save, name="skip"), "load": narrow})
        >>> x = torch.randn(1, 3, 8)
        >>> chain(x, Step.plain(x)).shape
        torch.Size([1, 3, 8])
    """

    transparent = "inner"

    def __init__(
        self,
        dim: int,
        *,
        name: str,
        inner: Slot | None = None,
        merge: Literal["concat", "sum", "product"] = "concat",
        width: int | None = None,
    ):
        super().__init__()
        check_positive("Load", dim=dim, width=width)
        self.dim, self.name, self.merge, self.width = dim, name, merge, width or dim
        if merge != "concat" and self.width != dim:
            reason = f"the {merge} of {dim} and {width} channels is none"
            raise SpecError(reason, field="Load.width")
        self.inner = inner(dim + self.width if merge == "concat" else dim) if inner else None
        self._wants = wants(self.inner) if self.inner else frozenset()

    def forward(self, x: Tensor, step: Step, state: Any = None) -> Tensor:
        s = step.saved.get(self.name)
        if s is None:
            hint = "a Save of that name comes before it in the same call"
            raise SpecError(f"nothing is saved as {self.name!r}", field="Load.name", hint=hint)
        if x.shape[-1] != self.dim or s.shape != (*x.shape[:-1], self.width):
            shapes = f"{list(x.shape)} and {list(s.shape)}"
            reason = f"{self.name!r} of [..., {self.width}] is read with [..., {self.dim}]"
            raise SpecError(f"{reason}, not {shapes}", field="x")
        if self.merge == "concat":
            y = torch.cat((x, s), -1)
        else:
            y = x + s if self.merge == "sum" else x * s
        return y if self.inner is None else call(self.inner, y, step, state, self._wants)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return None if self.inner is None else content_of(self.inner, batch, room, dtype, device)
