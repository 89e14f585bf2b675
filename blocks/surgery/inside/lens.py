"""logit_lens: what a model would say if its layers ended earlier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.hub.columns import columns
from blocks.models.halves import Halves
from blocks.models.stack import Layers
from blocks.surgery.inside.plots import File, check_row, drawn, label, saved, words
from blocks.surgery.inside.watching import capture, module_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LogitLens", "logit_lens"]


@dataclass(frozen=True)
class LogitLens:
    """What was found at each place of the residual stream, from the first layer's input on.

    Attributes:
        states: by place, what the stream holds there [B T D].
        ids: the likeliest tokens [L B T k] of each place, the likeliest first.
        probabilities: theirs.
        divergence: [L B T] in nats, KL(last ‖ here): how far from what the model says in the end.
        tokens: what was read [B T], or None where it was no tokens.
        read: states -> logits, by the model's last norm and its head.
    """

    states: dict[str, Tensor]
    ids: Tensor
    probabilities: Tensor
    divergence: Tensor
    tokens: Tensor | None
    read: Callable[[Tensor], Tensor]

    def logits(self, place: str) -> Tensor:
        """All logits [B T V] of one place.

        Errors:
            SpecError: no such place.
        """
        if place not in self.states:
            hint = f"there are {', '.join(self.states)}"
            raise SpecError("the lens was not there", field=place, hint=hint)
        with torch.no_grad():
            return self.read(self.states[place])

    def table(self, tokenizer: Any = None, row: int = 0, last: int = 8) -> str:
        """The likeliest token of each place after each of the `last` tokens of a row."""
        check_row(row, self.ids.shape[1])
        shown = range(max(0, self.ids.shape[2] - last), self.ids.shape[2])
        heads = [str(at) for at in shown]
        if self.tokens is not None:
            heads = [words(self.tokens[row], tokenizer)[at] for at in shown]
        rows = [["AFTER", *heads]]
        for place, ids in zip(self.states, self.ids[:, row, :, 0], strict=True):
            said = words(ids, tokenizer)
            rows.append([place, *(said[at] for at in shown)])
        return columns(rows)

    def __str__(self) -> str:
        return self.table()

    def plot(self, file: File | None = None, *, row: int = 0, tokenizer: Any = None) -> Figure:
        """A line for each place, the first layer's input below: its likeliest token after each
        token that was read, on a ground as blue as it is probable.

        Args:
            file: where it goes, a picture by its ending (`.svg`, `.png`, `.pdf`).
            row: which text of the batch.
            tokenizer: what makes words of tokens.

        Returns:
            The matplotlib figure.

        Errors:
            BlocksError: no matplotlib (the extra `plot`), or no such row.
        """
        check_row(row, self.ids.shape[1])
        ids, likely = self.ids[:, row, :, 0], self.probabilities[:, row, :, 0].cpu().numpy()
        figure = drawn(1.4 + 0.62 * ids.shape[1], 0.9 + 0.3 * ids.shape[0])
        axis = figure.subplots()
        picture = axis.imshow(
            likely,
            cmap="Blues",
            vmin=0,
            vmax=1,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
        )
        for line, said in enumerate(words(one, tokenizer) for one in ids):
            for at, word in enumerate(said):
                colour = "white" if likely[line, at] > 0.55 else "black"
                text = word.replace("$", r"\$")
                axis.text(at, line, text, ha="center", va="center", fontsize=7, color=colour)
        label(axis, [_short(place) for place in self.states], "y")
        if self.tokens is not None:
            label(axis, words(self.tokens[row], tokenizer), "x", flat=8)
        axis.tick_params(length=0, labelsize=7)
        axis.set_xlabel("token read", fontsize=7)
        bar = figure.colorbar(picture, ax=axis, pad=0.01, fraction=0.05)
        bar.ax.tick_params(labelsize=6)
        bar.set_label("probability", fontsize=7)
        return saved(figure, file)


def _short(place: str) -> str:
    return place.removeprefix("decoder.")


@torch.no_grad()
def logit_lens(model: nn.Module, *inputs: Any, top: int = 5, **options: Any) -> LogitLens:
    """Reads the residual stream after every layer as the model itself reads the last one.

    The last norm and the head are put on what each layer leaves (nostalgebraist, "interpreting GPT:
    the logit lens", 2020), so the last place gives the model's own logits.

    Args:
        model: one that scores the tokens of a vocabulary at each place: a `CausalLM`, a
            `MaskedLM`, an `EncoderDecoder` (whose decoder is looked at).
        inputs: what the model is called with: tokens, or a source and a target.
        top: how many of the likeliest tokens are kept of each place.
        options: named arguments of the call, such as `mask`.

    Returns:
        A LogitLens: `print` it, `.plot("lens.svg")`, or take `.logits(place)`.

    Errors:
        SpecError: a model without such a head, or one whose head reads something else.

    Example:
        >>> import torch, blocks
        >>> model, tokens = blocks.from_pretrained(blocks.packaged()), torch.tensor([[1, 2, 3]])
        >>> lens = blocks.logit_lens(model, tokens)
        >>> torch.equal(lens.logits("layers.3.after"), model(tokens))
        True
    """
    root: Any = module_of(model)
    stack = root.decoder if isinstance(root, Halves) else root
    head, begin = getattr(root, "head", None), "decoder." if stack is not root else ""
    kind = type(root).__name__
    if not isinstance(stack, Layers) or head is None or not getattr(root, "vocab", None):
        raise SpecError(f"a {kind} has no layers before scores of tokens", field="model")
    vocab: int = root.vocab
    if any(one.is_meta for one in root.parameters()):
        raise SpecError("has no numbers: it is on the meta device", field="model")
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= vocab:
        raise SpecError(f"is from 1 to the {vocab} tokens there are, not {top!r}", field="top")
    last = len(stack.layers) - 1
    places = [f"{begin}layers.0.before", *(f"{begin}layers.{i}.after" for i in range(last + 1))]
    with capture(model, *places, "head.out", detach=True) as got:
        model(*inputs, **options)

    def read(x: Tensor) -> Tensor:
        return head(x if stack.norm is None else stack.norm(x))

    states = {place: got[place] for place in places}
    final = got["head.out"]
    if not _same(read, states[places[-1]], final):
        reason = f"the head of this {kind} reads something else than its last layer's output"
        raise SpecError(reason, field="model")
    said = F.log_softmax(final.float(), -1)
    found = [_found(read(state), said, top) for state in states.values()]
    ids, probabilities, divergence = (torch.stack(part) for part in zip(*found, strict=True))
    tokens = inputs[-1] if isinstance(root, Halves) else inputs[0]
    known = isinstance(tokens, Tensor) and tokens.dim() == 2 and not tokens.is_floating_point()
    return LogitLens(states, ids, probabilities, divergence, tokens if known else None, read)


def _same(read: Callable[[Tensor], Tensor], state: Tensor, final: Any) -> bool:
    try:
        return isinstance(final, Tensor) and final.dim() == 3 and torch.equal(read(state), final)
    except (TypeError, RuntimeError, ValueError):  # it takes something else
        return False


def _found(logits: Tensor, final: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor]:
    here = F.log_softmax(logits.float(), -1)
    best, ids = here.topk(top, -1)
    return ids, best.exp(), (final.exp() * (final - here)).sum(-1)
