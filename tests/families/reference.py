"""The reference of a family with every parameter drawn anew, and ours from its file."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import blocks
from blocks.families import family_of, model_types
from tests.families.ageing import ROTARY_TABLES, old_config

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

LARGE = 5e11  # parameters of a model that takes seconds to build
TOLERANCE = 1e-5  # of the logits' standard deviation
TOKENS, TARGET = 40, 12
CASES = Path(__file__).parent / "cases"
# Gone from the transformers of these tests; each has a file of tests of its own.
ELSEWHERE = {"transfo-xl"}
Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Variant:
    """One tiny config of a family.

    Attributes:
        options: of the reference's config class, over those of the case.
        prompt: tokens before generation starts.
        generates: why generation can't be compared with the reference, if it can't.
        model: the reference's model class, where this variant has another head than the case's.
        answer: what of the reference's output is compared.
        padded: why padding can't be compared with the reference, if it can't.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: int = 20
    generates: str | None = None
    model: type[Any] | None = None
    answer: Callable[[Any], Tensor] = attrgetter("logits")
    padded: str | None = None


@dataclass(frozen=True)
class Case:
    """What the battery knows about one family.

    Attributes:
        config: the reference's config class.
        model: the reference's model class.
        base: options of every variant.
        variants: by name; the first is the plain one.
        mutations: by name: the variant it is tried on, and a function from its Spec to another
            that must break parity.
        published: by repository: its config.json and how many parameters it has.
        real: folders of ../shared/data/hub and how many values their weights have.
        untried: fields that have one value alone.
        attention: which of the reference's attention functions is compared with.
        fused: whether the reference can write a second form, with stacked experts.
        fields: what this family calls the fields that tests ask for, where it is another name than
            LLaMA's; None where it has no such field.
        extra: templates of tensors that older files hold and that nobody may read.
        older: config.json as transformers 5 writes it -> as transformers 4 wrote it.
        missing_prefix: what files may leave out at the beginning of names.
        tied: whether a config that says nothing of it ties the head.
        inside: the field of config.json that holds the text model's own config, where there is one;
            options of variants that the base hasn't are of it.
        implied: fields that may be absent, of those that every decoder must say.
        exported: the reference's class of what is exported, where that is another.
        kind: `decoder`, `encoder`, or `pair` for encoder–decoders, whose tokens are the source and
            whose target is drawn beside it; `hearer` and `transcriber` for the same two of sound.
        table: the address of the table of tokens, which a tied head shares.
        channels: of frames of sound, where a model hears those instead of reading tokens.
        hears: such frames [B T C] as the reference wants them.
    """

    config: type[Any]
    model: type[Any]
    base: Mapping[str, Any]
    variants: Mapping[str, Variant]
    mutations: Mapping[str, tuple[str, Change]]
    published: Mapping[str, tuple[Mapping[str, Any], int]]
    real: Mapping[str, int] = field(default_factory=dict)
    untried: frozenset[str] = frozenset()
    attention: str = "eager"
    fused: bool = False
    fields: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ROTARY_TABLES
    older: Callable[..., dict[str, Any]] = old_config
    missing_prefix: str = ""
    tied: bool = False
    inside: str = ""
    implied: frozenset[str] = frozenset()
    exported: type[Any] | None = None
    kind: str = "decoder"
    table: str = "embedding.weight"
    channels: int | None = None
    hears: Callable[[Tensor], Tensor] = lambda frames: frames

    def source(self, rows: int, draw: torch.Generator) -> Tensor:
        """What a model is given: tokens, or frames of sound."""
        if self.channels is None:
            return torch.randint(0, self.vocab, (rows, TOKENS), generator=draw)
        return torch.randn(rows, TOKENS, self.channels, generator=draw)

    def field_of(self, name: str) -> str | None:
        """The family's name of a field that LLaMA calls `name`."""
        return self.fields.get(name, name)

    def path(self, name: str) -> str:
        """A field as errors name it."""
        return f"{self.inside}.{name}" if self.inside else name

    def body(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of the text model in a config.json."""
        return data[self.inside] if self.inside else data

    def with_body(self, data: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        """config.json with all its fields of the text model replaced."""
        return {**data, self.inside: dict(body)} if self.inside else dict(body)

    def put(self, data: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
        """config.json with other fields of the text model."""
        return self.with_body(data, {**self.body(data), **fields})

    @property
    def vocab(self) -> int:
        return self.body(self.base)["vocab_size"]


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
    def target(self) -> Tensor:
        """What the decoder of a pair is given."""
        draw = torch.Generator().manual_seed(3)
        # Below the vocabulary, which of some targets is a smaller one.
        return torch.randint(0, self.case.vocab - 16, (1, TARGET), generator=draw).expand(2, -1)

    def ask(self, tokens: Tensor, model: Any = None, mask: Tensor | None = None) -> Tensor:
        """The reference's answer; its rope tables start anew, as they keep the longest they met."""
        model = self.reference if model is None else model
        alone = self.case.kind in ("encoder", "hearer")
        options: dict[str, Any] = {} if alone else {"use_cache": False}
        if self.case.kind in ("pair", "transcriber"):
            options["decoder_input_ids"] = self.target[: len(tokens)]
        with torch.no_grad():
            if self.case.kind == "decoder":
                model(tokens[:, :1], **options)
            masked = {} if mask is None else {"attention_mask": mask.long()}
            return self.variant.answer(model(self.case.hears(tokens), **masked, **options))

    def answer(self, model: Any, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """What one of our models says to the tokens."""
        with torch.no_grad():
            asked = self.case.kind in ("pair", "transcriber")
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
    return torch.cat([part.flatten(1) for part in answer], 1)


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
    """Every family of these kinds (or all) with each of its variants."""
    return [
        (family, variant) for family in families(*kinds) for variant in case_of(family).variants
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
    outer = {name: value for name, value in variant.options.items() if name in case.base}
    inner = {name: value for name, value in variant.options.items() if name not in outer}
    options = case.put({**case.base, **outer}, inner)
    config = case.config(**options)
    kind = variant.model or case.model
    model = kind._from_config(config, attn_implementation=case.attention).eval()
    scramble(model)
    return model


@torch.no_grad()
def scramble(model: nn.Module) -> None:
    """Matrices of spread 1.2 / √fan_in, embeddings 1, gains 1 ± 0.3, biases 0.3."""
    draw = torch.Generator().manual_seed(1)
    for module in model.modules():
        if "Sinusoidal" in type(module).__name__:
            continue  # a table of waves, which no file holds
        for name, tensor in module.named_parameters(recurse=False):
            values = torch.randn(tensor.shape, generator=draw)
            if isinstance(module, nn.Embedding):
                tensor.copy_(values)
            elif isinstance(module, nn.Conv1d | nn.Conv2d) and tensor.dim() > 2:
                tensor.copy_(values * 1.2 / tensor[0].numel() ** 0.5)
            elif tensor.dim() > 1:
                tensor.copy_(values * 1.2 / tensor.shape[-1] ** 0.5)
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
    tokens = case.source(2, draw)
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


def change(where: str | type, **options: Any) -> Change:
    """A mutation: other options for every matching part."""
    return lambda spec: blocks.rewrite(spec, where, lambda part: blocks.replace(part, **options))


def rescale(**options: Any) -> Change:
    """A mutation: other numbers of every RoPE's scaling."""

    def after(part: Any) -> Any:
        scaling = dataclasses.replace(part.keywords["scaling"], **options)
        return blocks.replace(part, scaling=scaling)

    return lambda spec: blocks.rewrite(spec, blocks.RoPE, after)


def shallow(spec: Any) -> Any:
    """A mutation: one layer fewer."""
    layers = spec.keywords["layers"][:-1]
    if "ties" not in spec.keywords:
        return blocks.replace(spec, layers=layers)
    last = f"layers.{len(layers)}"
    ties = tuple(tie for tie in spec.keywords["ties"] if not f"{tie[0]}.".startswith(f"{last}."))
    return blocks.replace(spec, layers=layers, ties=ties)


def other_pairing(spec: Any) -> Any:
    """A mutation: RoPE with the other pairing of channels."""

    def after(part: Any) -> Any:
        now = part.keywords["pairing"]
        return blocks.replace(part, pairing="adjacent" if now == "half" else "half")

    return blocks.rewrite(spec, blocks.RoPE, after)


def decoder_mutations(norm: type, mlp: type) -> dict[str, tuple[str, Change]]:
    """What every decoder with RoPE must notice, tried on the variant `plain`."""
    return stack_mutations(norm, mlp) | {
        "theta": ("plain", change(blocks.RoPE, theta=400.0)),
        "pairing": ("plain", other_pairing),
        "share of turned channels": ("plain", change(blocks.RoPE, rotated=0.25)),
        "no rope": ("plain", change(blocks.GQAttention, qk=())),
    }


def encoder_mutations(norm: type, mlp: type) -> dict[str, tuple[str, Change]]:
    """What every post-norm encoder must notice, tried on the variant `plain`."""
    return {
        "scale of scores": ("plain", change(blocks.GQAttention, scale=0.3)),
        "window": ("plain", change(blocks.GQAttention, mask=blocks.SymmetricWindow(9))),
        "mask": ("plain", change(blocks.GQAttention, mask=blocks.Causal())),
        "eps": ("plain", change(norm, eps=0.1)),
        "activation": ("plain", change(mlp, act="relu2")),
        "scale of embeddings": ("plain", change(blocks.TokenEmbedding, scale=1.1)),
        "depth": ("plain", shallow),
        "biases of q, k and v": ("plain", change(blocks.GQAttention, bias=False)),
        "bias of the output": ("plain", change(blocks.GQAttention, out_bias=False)),
        "biases of the mlp": ("plain", change(mlp, bias=False)),
        "biases of norms": ("plain", change(norm, bias=False)),
    }


def pair_mutations(norm: type, mlp: type) -> dict[str, tuple[str, Change]]:
    """What every encoder–decoder must notice, tried on the variant `plain`."""
    own = {"encoder": blocks.SymmetricWindow(9), "decoder": blocks.Window(3)}
    return {
        **{
            f"mask of the {half}": ("plain", change(f"{half}.layers.*.attention", mask=mask))
            for half, mask in own.items()
        },
        **{f"depth of the {half}": ("plain", shallow_half(half)) for half in own},
        "scale of scores": ("plain", change(blocks.GQAttention, scale=0.3)),
        "scale of the other sequence's scores": ("plain", change(blocks.CrossAttention, scale=0.3)),
        "eps": ("plain", change(norm, eps=0.1)),
        "activation": ("plain", change(mlp, act="relu2")),
        "scale of embeddings": ("plain", change(blocks.TokenEmbedding, scale=1.1)),
        "scale of logits": ("plain", change(blocks.LMHead, scale=1.1)),
    }


def shallow_half(half: str) -> Change:
    """A mutation: one layer fewer in the encoder or in the decoder."""

    def after(spec: Any) -> Any:
        shorter = blocks.replace(spec, **{half: shallow(spec.keywords[half])})
        last = f"{half}.layers.{len(spec.keywords[half].keywords['layers']) - 1}."
        kept = tuple(tie for tie in spec.keywords["ties"] if not tie[0].startswith(last))
        return blocks.replace(shorter, ties=kept)

    return after


def stack_mutations(norm: type, mlp: type) -> dict[str, tuple[str, Change]]:
    """What every decoder must notice, tried on the variant `plain`."""
    return {
        "scale of scores": ("plain", change(blocks.GQAttention, scale=0.3)),
        "window": ("plain", change(blocks.GQAttention, mask=blocks.Window(9))),
        "mask": ("plain", change(blocks.GQAttention, mask=blocks.Full())),
        "eps": ("plain", change(norm, eps=0.06)),
        "activation": ("plain", change(mlp, act="relu2")),
        "last norm": ("plain", lambda spec: blocks.replace(spec, norm=None)),
        "scale of embeddings": ("plain", change(blocks.TokenEmbedding, scale=1.1)),
        "scale of logits": ("plain", change(blocks.LMHead, scale=1.1)),
        "depth": ("plain", shallow),
    }
