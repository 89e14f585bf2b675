"""Mutations: functions from a model's Spec to another, which must break parity."""

from __future__ import annotations

import dataclasses
from typing import Any

import blocks
from tests.families.case import Change


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
