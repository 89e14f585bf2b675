"""The reference of a family with every parameter drawn anew, and ours from its file."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import blocks
from blocks.families import family_of, model_types
from tests.families.case import TOKENS as TOKENS
from tests.families.case import TOLERANCE as TOLERANCE
from tests.families.case import Case as Case
from tests.families.case import Change as Change
from tests.families.case import Variant as Variant
from tests.families.mutations import change as change
from tests.families.mutations import decoder_mutations as decoder_mutations
from tests.families.mutations import encoder_mutations as encoder_mutations
from tests.families.mutations import other_pairing as other_pairing
from tests.families.mutations import pair_mutations as pair_mutations
from tests.families.mutations import rescale as rescale
from tests.families.mutations import shallow as shallow
from tests.families.mutations import stack_mutations as stack_mutations

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

LARGE = 5e11  # parameters of a model that takes seconds to build
TARGET = 12
CASES = Path(__file__).parent / "cases"
# Gone from the transformers of these tests; each has a file of tests of its own.
ELSEWHERE = {"transfo-xl"}


@dataclass(frozen=True)
class Loaded:
    """The reference, ours from the folder it was saved in, and what both are asked."""

    case: Case
    variant: Variant
    reference: nn.Module
    ours: Any
    folder: Path
    tokens: Tensor
    logits: Tensor

    @property
    def kind(self) -> str:
        return self.variant.kind or self.case.kind

    @property
    def target(self) -> Tensor:
        """What the decoder of a pair is given."""
        draw = torch.Generator().manual_seed(3)
        # Below the vocabulary, which of some targets is a smaller one.
        return torch.randint(0, self.case.vocab - 16, (1, TARGET), generator=draw).expand(2, -1)

    def ask(self, tokens: Tensor, model: Any = None, mask: Tensor | None = None) -> Tensor:
        """The reference's answer; its rope tables start anew, as they keep the longest they met."""
        model = self.reference if model is None else model
        alone = self.kind in ("encoder", "hearer")
        options: dict[str, Any] = {} if alone else {"use_cache": False}
        options |= self.variant.asks(tokens)
        if self.kind in ("pair", "transcriber"):
            options["decoder_input_ids"] = self.target[: len(tokens)]
        with torch.no_grad():
            if self.kind == "decoder":
                model(tokens[:, :1], **options)
            masked = {} if mask is None else {"attention_mask": mask.long()}
            return self.variant.answer(model(self.case.hears(tokens), **masked, **options))

    def answer(self, model: Any, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """What one of our models says to the tokens."""
        with torch.no_grad():
            asked = self.kind in ("pair", "transcriber")
            target = (self.target[: len(tokens)],) if asked else ()
            return flat(model(tokens, *target, mask))

    def read(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a file without those that nobody is to read."""
        table = family_of(self.ours.provenance.family).table(self.ours.spec)
        used = {one.theirs for one in table.chosen(list(blocks.addresses(self.ours)), tensors)}
        return {n: t for n, t in tensors.items() if n in used or not table.ignored(n, tensors)}

    @property
    def one_layer(self) -> bool:
        """Whether all layers share their tensors, so that a file can't tell how many there are."""
        return any(place == "layers.1" for place, _ in self.ours.spec.keywords["ties"])

    def theirs(self, *addresses: str) -> list[str]:
        """The names in the file of what stands at our addresses."""
        table = family_of(self.ours.provenance.family).table(self.ours.spec)
        mapped = table.chosen(list(blocks.addresses(self.ours)))
        names = {address: one.theirs for one in mapped for address in one.ours}
        return [names[address] for address in addresses]

    def close(self, ours: Tensor, theirs: Tensor) -> float:
        """The largest difference, in standard deviations of the reference's logits."""
        assert ours.shape == theirs.shape
        return float((ours - theirs).detach().abs().max() / self.logits.std())


def flat(answer: Any) -> Tensor:
    """An answer of several parts as one tensor [B N]."""
    if isinstance(answer, Tensor):
        return answer
    return torch.cat([part.reshape(len(part), -1) for part in answer], 1)


@cache
def case_of(family: str) -> Case:
    return importlib.import_module(f"tests.families.cases.{file_of(family)}").CASE


def file_of(family: str) -> str:
    return family.replace("-", "_")


def families(*kinds: str) -> list[str]:
    """Every family of these kinds (or all) that has a case; one without is a failure of its own."""
    there = [name for name in model_types() if (CASES / f"{file_of(name)}.py").exists()]
    return [name for name in there if not kinds or case_of(name).kind in kinds]


def pairs(*kinds: str) -> list[tuple[str, str]]:
    """Every family with each of its variants that is of these kinds (or of any)."""
    return [
        (family, variant)
        for family in families()
        for variant in case_of(family).variants
        if not kinds or case_of(family).kind_of(variant) in kinds
    ]


def plain_first(*kinds: str) -> list[Any]:
    """Every pair; of variants but the plain one, tests that cost much are slow ones."""
    return [
        pytest.param(*pair, marks=[] if pair[1] == first(pair[0]) else [pytest.mark.slow])
        for pair in pairs(*kinds)
    ]


def named(what: str) -> list[tuple[str, str]]:
    """Every family with each name in its `mutations`, `published` or `real`."""
    return [(family, name) for family in families() for name in getattr(case_of(family), what)]


def weighed() -> list[Any]:
    """The published models; those of many thousand experts take seconds to build."""
    large = {name: case_of(name[0]).published[name[1]][1] > LARGE for name in named("published")}
    marks = {name: [pytest.mark.slow] if large[name] else [] for name in large}
    return [pytest.param(*name, marks=marks[name]) for name in large]


def first(family: str) -> str:
    """The plain variant of a family."""
    return next(iter(case_of(family).variants))


def build(case: Case, variant: Variant) -> nn.Module:
    """The reference model with every parameter drawn anew.

    Fresh weights are so small that a wrong rotary pairing moves logits by a thousandth.
    """
    config = case.config(**case.options(variant))
    kind = variant.model or case.model
    model = kind._from_config(config, attn_implementation=case.attention).eval()
    scramble(model, case.spread)
    return model


@torch.no_grad()
def scramble(model: nn.Module, spread: float = 1.2) -> None:
    """Matrices of `spread` / √fan_in, embeddings 1, gains 1 ± 0.3, biases 0.3."""
    draw = torch.Generator().manual_seed(1)
    for module in model.modules():
        if "Sinusoidal" in type(module).__name__:
            continue  # a table of waves, which no file holds
        for name, tensor in module.named_parameters(recurse=False):
            values = torch.randn(tensor.shape, generator=draw)
            if isinstance(module, nn.Embedding):
                tensor.copy_(values)
            elif isinstance(module, nn.Conv1d | nn.Conv2d) and tensor.dim() > 2:
                tensor.copy_(values * spread / tensor[0].numel() ** 0.5)
            elif tensor.dim() > 1:
                tensor.copy_(values * spread / tensor.shape[-1] ** 0.5)
            elif name == "A_log" and "DeltaNet" in type(module).__name__:
                tensor.copy_(values * 0.3 - 2)  # where all fades at once, the reference is inexact
            elif "bias" in name:
                tensor.copy_(values * 0.3)
            else:
                tensor.copy_(1 + values * 0.3)
        for name, tensor in module.named_buffers(recurse=False):
            if name in ("e_score_correction_bias", "running_mean"):  # learnt, though no parameter
                tensor.copy_(torch.randn(tensor.shape, generator=draw) * 0.3)
            if name == "running_var":
                tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)


def load(family: str, name: str, folder: Path) -> Loaded:
    """Builds, scrambles and saves the reference, and loads ours from the files."""
    case = case_of(family)
    variant = case.variants[name]
    reference = build(case, variant)
    reference.save_pretrained(folder)
    ours = blocks.from_pretrained(folder)
    draw = torch.Generator().manual_seed(2)
    tokens = variant.reads(case.source(2, draw))
    loaded = Loaded(case, variant, reference, ours, folder, tokens, torch.zeros(0))
    return dataclasses.replace(loaded, logits=loaded.ask(tokens))


def scalings(spec: Any) -> list[Any]:
    """The scaling of every RoPE of a model."""
    return [part.keywords["scaling"] for _, part in blocks.walk(spec) if part.func is blocks.RoPE]


def steady(spec: Any, most: int = TOKENS) -> int:
    """How long a sequence may become before its first tokens change: their angles, or chunks."""
    bounds = [
        scaling.trained
        for scaling in scalings(spec)
        if isinstance(scaling, blocks.DynamicScaling | blocks.LongRoPEScaling)
    ]
    hashed = (part for _, part in blocks.walk(spec) if part.func is blocks.LSHAttention)
    return min([most, *bounds, *(part.keywords["chunk"] for part in hashed)])
