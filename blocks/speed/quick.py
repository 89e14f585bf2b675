"""The quick step: one new token of each row, where everything else has been prepared."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from blocks.models.causal import CausalLM
from blocks.models.tokens import check_tokens
from blocks.ops import gpu
from blocks.ops.graphs import graph_of
from blocks.ops.watch import looking
from blocks.speed.plays import tape_of
from blocks.speed.slots import slots_of
from blocks.speed.still import keep, moving, settled
from blocks.speed.tape import Tape
from blocks.state import State
from blocks.step import Step


class Quick:
    """The forward of a `CausalLM` that has been optimised, where it writes token by token.

    Few rows are played from a tape, where the model has one; others are compiled.

    Args:
        model: whose forward it becomes; every other call goes on to the model's own.
        compiles: whether torch may compile a step.
    """

    def __init__(self, model: CausalLM, compiles: bool = True):
        self.model, self.compiles = model, compiles

    def __deepcopy__(self, memo: dict[int, Any]) -> Quick:
        """The step of a copied model is the copy's own."""
        return Quick(copy.deepcopy(self.model, memo), self.compiles)

    @cached_property
    def on_gpu(self) -> bool:
        """Whether a step is played again as one graph of a GPU."""
        return any(gpu.on(parameter) for parameter in self.model.parameters())

    @cached_property
    def _compiled(self) -> Any:
        return graph_of(self._step, **compile_options(self.on_gpu))  # imports torch's compiler

    @cached_property
    def tape(self) -> Tape | None:
        """A step as one call of the kernels; None where the model has other blocks."""
        return None if self.on_gpu else tape_of(self.model)

    def _fresh(self) -> Tape | None:
        """The tape of the model as it is now: a part or a tensor may have been exchanged."""
        if self.tape is not None and not self.tape.fresh:
            del self.tape
        return self.tape

    def warm(self) -> None:
        """Compiles the step for one row, by a step."""
        with torch.no_grad():
            state = self.model.init_state(1, 64)
            self(torch.zeros(1, 1, dtype=torch.long, device=state.clock.next.device), None, state)

    def __call__(
        self, tokens: Tensor, mask: Tensor | None = None, state: State | None = None, **more: Any
    ) -> Tensor:
        model = self.model
        if state is None or mask is not None or not self._suits(tokens, state, more):
            return CausalLM.forward(model, tokens, mask, state, **more)
        tape = self._fresh()
        memories = None if tape is None else tape.remembered(len(tokens), state)
        if memories is None and (not self.compiles or (tape is not None and tape.heard)):
            return CausalLM.forward(model, tokens, mask, state, **more)
        check_tokens(tokens, model.vocab)
        step = state.begin(len(tokens), 1)
        if tape is not None and memories is not None:
            logits = tape(tokens, step, memories)
        else:
            logits = self._by_graph(tokens, step.positions, state)
        state.end(step)
        return logits

    def _by_graph(self, tokens: Tensor, positions: Tensor, state: State) -> Tensor:
        if state.prepared is None:
            state.prepared = slots_of(state.content)
            if self.on_gpu:
                settled(state.prepared)
        ids = tokens.clone(memory_format=torch.contiguous_format)  # one stride is one graph
        if not self.on_gpu:
            return self._compiled(ids, positions, state.prepared)
        torch.compiler.cudagraph_mark_step_begin()
        before = moving(state.prepared)
        logits = self._compiled(ids, positions, state.prepared)
        keep(state.prepared, before)
        return logits.clone()  # the next step writes its own where this one's are

    def _suits(self, tokens: Any, state: Any, more: dict[str, Any]) -> bool:
        """Whether this call is one new token of each row, and nobody looks inside."""
        one = isinstance(tokens, Tensor) and tokens.dim() == 2 and tokens.shape[1] == 1
        if not one or not isinstance(state, State) or state.clock.room is None or looking():
            return False
        return not (torch.is_grad_enabled() or self.model.training or more.keys() - {"last"})

    def _step(self, tokens: Tensor, positions: Tensor, slots: Any) -> Tensor:
        model, step = self.model, Step(positions)
        x = model.stemmed(model.embedding(tokens), step)  # B 1 D
        return model.head(model.layered(x, step, slots))  # B 1 V


def compile_options(on_gpu: bool) -> dict[str, Any]:
    """How a step is compiled: on a GPU all of its kernels become one graph, started by one call."""
    return {"fullgraph": True, "mode": "reduce-overhead"} if on_gpu else {"fullgraph": True}


def why_not(model: Any) -> str | None:
    """Why a model has no compiled step; None where it can have one."""
    if type(model) is not CausalLM:
        return f"a {type(model).__name__} doesn't write token by token by itself"
    try:
        slots_of(model.init_state(1, 64).content)
    except KeyError as error:
        return f"one can't be made with {error.args[0].__name__}"
    return None
