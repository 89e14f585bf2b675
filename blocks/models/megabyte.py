"""MegaByte: a large model of patches, and small ones that tell the bytes of each."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.heads.language import LMHead
from blocks.models.places import tie
from blocks.models.stages import Unfinished, joined, narrowed, units_of
from blocks.models.tokens import check_mask, check_tokens, counted, newest
from blocks.ops.check import check_positive
from blocks.ops.rows import Rows
from blocks.spec import Slot, Spec
from blocks.state import Clock, State
from blocks.step import Step

__all__ = ["MegaByte"]


class MegaByte(nn.Module):
    r"""Each stage s reads units of u_s tokens, in rows of u_{s−1} / u_s, after a start vector:

        [e_0 e_1 …] = embedding_s(units of the row)
        [y_0 y_1 …] = stage_s([start_s e_0 e_1 …] + [c_0 c_1 …])
        [c_0 c_1 …] of the row of unit k of a stage = spread(y_k of the stage before)

    The first stage has one row, all the text, and no c; the last reads tokens, and its y are what
    the head tells them from. With `ahead`, c_j is added where unit j is told, as in the paper: Yu
    et al., "MegaByte", 2023, arXiv:2305.07185. Without it, c_j is added to unit j itself, and the
    last stage reads one unit more: MEGABYTE-pytorch.

    Args:
        vocab: tokens V.
        dims: widths, one a stage.
        stages: slots of sizes (vocab, dim), `LayerStack` for instance: the coarsest first, whose
            embeddings join tokens as `JoinedEmbedding` does, the last one's tokens as they are.
        head: slot of sizes (dim, vocab).
        ahead: where a row is told what came before it.
        ties: as in a `CausalLM`.
        context: how many tokens the model was made for; None where there is no such bound.

    Shapes: tokens [B T] int, mask [B T] bool (True where real) -> [B T V].

    Errors:
        SpecError: stages that don't fit each other.
        GenerationError: tokens out of the vocabulary, an empty input, a mask of another shape.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, JoinedEmbedding, LayerStack, MegaByte, Residual, Spec
        >>> layers = (Spec(Residual, inner=Spec(GQAttention, heads=2)),)
        >>> patches = Spec(LayerStack, layers=layers, embedding=Spec(JoinedEmbedding, count=4))
        >>> stages = (patches, Spec(LayerStack, layers=layers))
        >>> model = MegaByte(vocab=256, dims=(32, 8), stages=stages)
        >>> model(torch.tensor([list(b"bytes")])).shape
        torch.Size([1, 5, 256])
    """

    def __init__(
        self,
        *,
        vocab: int,
        dims: tuple[int, ...],
        stages: tuple[Slot, ...],
        head: Slot = LMHead,
        ahead: bool = True,
        ties: tuple[tuple[str, str], ...] = (),
        context: int | None = None,
    ):
        super().__init__()
        check_positive("MegaByte", vocab=vocab, context=context)
        if len(stages) < 2 or len(dims) != len(stages):
            reason = f"{len(stages)} stages of {len(dims)} widths: at least two, of one width each"
            raise SpecError(reason, field="MegaByte.stages")
        options = {"head": head, "ahead": ahead, "ties": ties, "context": context}
        self.spec = Spec(MegaByte, vocab=vocab, dims=dims, stages=stages, **options)
        self.vocab, self.ahead, self.context = vocab, ahead, context
        self.stages = nn.ModuleList(
            [stage(vocab, dim) for stage, dim in zip(stages, dims, strict=True)]
        )
        self.units = units_of(self.stages)
        self.unit = self.units[0]
        self.forgets = tuple(f"stages.{s}" for s in range(1, len(stages)))
        self.starts = nn.ParameterList([torch.empty(dim) for dim in dims])
        places = [above // unit for above, unit in pairwise(self.units)]
        wide = zip(dims, dims[1:], places, strict=False)
        self.spread = nn.ModuleList([nn.Linear(dim, n * after) for dim, after, n in wide])
        self.head = head(dims[-1], vocab)
        self.reset_parameters()
        tie(self, ties)

    def reset_parameters(self) -> None:
        for start in self.starts:
            nn.init.normal_(start, std=0.02)  # as a row of TokenEmbedding

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        state: State | None = None,
        *,
        last: bool = False,
    ) -> Tensor:
        """Logits of the token after each one; arguments as of a `CausalLM`."""
        check_tokens(tokens, self.vocab)
        mask = check_mask(mask, tokens)
        if state is None:
            step = Step(counted(tokens, mask), real=mask)
        else:
            step = state.begin(len(tokens), tokens.shape[1], mask)
        rows = Rows.of(step)
        new = rows.take(tokens)
        text, said, asked = self._begun(new) if state is None else self._more(new, rows, state)
        x = rows.put(self._told(text, said, asked, tokens.shape[1]))  # B T D
        if state is not None:
            state.end(step)
        return self.head(newest(x, mask) if last else x)  # B T V

    def _begun(self, new: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A text [B N] of whole units, the first stage's y, and the first place asked for."""
        unit, length = self.units[0], new.shape[1]
        count = (length + self.ahead - 1) // unit + 1
        text = F.pad(new, (0, count * unit - length))
        x = self._row(0, text[:, : (count - 1) * unit])
        return text, self._read(0, x, None), torch.full_like(new[:, :1], int(self.ahead))

    def _more(self, new: Tensor, rows: Rows, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """The same of what came after the last whole unit that the state remembers."""
        kept, inner = state.content["unfinished"], state.content["units"]
        unit = self.units[0]
        held = state.clock.next % unit  # B
        done = (held + (new.shape[1] if rows.lengths is None else rows.lengths)) // unit  # B
        count = int(done.max())
        text = joined(kept.tail, held, new, (count + 1) * unit)  # B N
        x = self._row(0, text[:, : count * unit])
        real = torch.arange(count, device=done.device) < done[:, None]
        begins = inner.clock.used == 0
        x, real = (x, F.pad(real, (1, 0), value=True)) if begins else (x[:, 1:], real)
        said = x if begins else kept.said
        if x.shape[1]:
            step = inner.begin(len(x), x.shape[1], None if bool(real.all()) else real)
            y = self._read(0, x, None, step, inner.content)
            inner.end(step)
            said = y if begins else torch.cat([said, y], 1)  # B 1+count D
        kept.keep(text, said, done)
        return text, said, held[:, None] + int(self.ahead)

    def _told(self, text: Tensor, said: Tensor, asked: Tensor, count: int) -> Tensor:
        """The last stage's y [B count D] from place `asked` [B 1] of the text on."""
        size = len(text)
        for s, spread in enumerate(self.spread, 1):
            above, unit = self.units[s - 1], self.units[s]
            text, said, asked = narrowed(text, said, asked, count, above)
            more = s == len(self.spread) and not self.ahead
            c = spread(said).unflatten(-1, (above // unit, -1)).flatten(0, 1)  # R L D
            x = self._row(s, text.reshape(len(c), above)[:, : above if more else above - unit])
            y = self._read(s, x, c if self.ahead else F.pad(c, (0, 0, 1, 0))[:, : x.shape[1]])
            said = (y[:, 1:] if more else y).unflatten(0, (size, -1)).flatten(1, 2)
        places = asked + torch.arange(count, device=text.device)  # B T
        places = places.clamp(max=said.shape[1] - 1)
        return said.gather(1, places[..., None].expand(-1, -1, said.shape[-1]))

    def _row(self, s: int, text: Tensor) -> Tensor:
        """What stage s reads of rows [R L·u]: the start vector and its units, [R 1+L D]."""
        unit, start = self.units[s], self.starts[s].expand(len(text), 1, -1)
        cut = text if unit == 1 else text.reshape(len(text), text.shape[1] // unit, unit)
        stage: Any = self.stages[s]
        return torch.cat([start, stage.embedding(cut)], 1)

    def _read(
        self, s: int, x: Tensor, told: Tensor | None, step: Step | None = None, content: Any = None
    ) -> Tensor:
        """What stage s makes of rows [R L D] and of what these were told."""
        stage: Any = self.stages[s]
        step = Step.plain(x) if step is None else step
        x = stage.stemmed(x, step)
        return stage.layered(x if told is None else x + told, step, content)

    def init_state(
        self, batch: int = 1, room: int | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """An empty memory for `batch` sequences of up to `room` tokens (None: it grows).

        The first stage keeps what it remembers; the row that a later one is in is read anew with
        each token, in one go. It can't forget its newest tokens.
        """
        unit, start = self.units[0], self.starts[0]
        places = None if room is None else room // unit + 1
        units = State.of(self.stages[0], batch, places, dtype)
        tail = torch.zeros(batch, unit, dtype=torch.int64, device=start.device)
        said = torch.zeros(batch, 1, len(start), dtype=dtype or start.dtype, device=start.device)
        content = {"unfinished": Unfinished(tail, said), "units": units}
        return State(Clock(batch, room, start.device), content)
