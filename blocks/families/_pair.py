"""What the encoder–decoders of fairseq's line share: their halves, fields and tensor names."""

from __future__ import annotations

from typing import Any

from blocks import (
    Chain,
    CrossAttention,
    Full,
    LayerStack,
    Residual,
    Spec,
    at,
)
from blocks.families import _classic as classic
from blocks.families._dialects import count, read_noise, write_activation
from blocks.hub.config import Config

HALVES = ("encoder", "decoder")
_CROSS = ("heads", "kv_heads", "head_dim", "bias", "key_bias", "out_bias", "dropout")


def half(
    c: Config,
    which: str,
    dim: int,
    *,
    stem: Spec,
    embedding: Spec,
    norm: Spec | None,
    act: str = "gelu",
    key_bias: bool | None = None,
    **around: Any,
) -> Spec:
    """The encoder, whose tokens see all others, or the decoder, which reads it.

    Args:
        c: the reader.
        which: `encoder` or `decoder`.
        dim: the model's width.
        stem, embedding: of the stack.
        norm: after the last layer.
        act: what a config means that names no activation.
        key_bias: whether keys have a bias; None is as the others.
        **around: each of a layer's steps: norms, a dropout.
    """
    for noise in (f"{which}_layerdrop", "activation_dropout"):
        read_noise(c, noise)
    names = {
        "activation": "activation_function",
        "attention_dropout": "attention_dropout",
        "heads": f"{which}_attention_heads",
        "hidden": f"{which}_ffn_dim",
    }
    mask: dict[str, Any] = {"mask": Full()} if which == "encoder" else {}
    attention = classic.attention(c, dim, names=names, key_bias=key_bias, **mask)
    steps = {"attention": attention}
    if which == "decoder":
        own = attention.keywords
        steps["cross"] = Spec(CrossAttention, **{name: own[name] for name in _CROSS})
    steps["mlp"] = classic.mlp(c, names=names, act=act)
    wired = {name: Spec(Residual, inner=inner, **around) for name, inner in steps.items()}
    also = ("num_hidden_layers",) if which == "encoder" else ()
    layers = (Spec(Chain, steps=wired),) * count(c, f"{which}_layers", aliases=also)
    return Spec(LayerStack, layers=layers, norm=norm, embedding=embedding, stem=stem)


def write(s: Spec) -> dict[str, Any]:
    """The fields that both halves are read from, and those of the whole."""
    fields: dict[str, Any] = {"d_model": s.keywords["dim"], "is_encoder_decoder": True}
    for which in HALVES:
        attention, mlp = (at(s, f"{which}.layers.0.{n}").keywords for n in ("attention", "mlp"))
        fields |= {
            f"{which}_attention_heads": attention["heads"],
            f"{which}_ffn_dim": mlp["hidden"],
            f"{which}_layers": len(s.keywords[which].keywords["layers"]),
            "activation_function": write_activation(mlp["act"]),
            "attention_dropout": attention["dropout"],
        }
    steps = s.keywords["encoder"].keywords["layers"][0].keywords["steps"]
    fields["dropout"] = steps["mlp"].keywords["dropout"]
    return fields | {
        "tie_word_embeddings": bool(s.keywords["ties"]),
        "vocab_size": s.keywords["vocab"],
    }


def body_keys(where: str, positions: str = "stem.positions") -> list[tuple[str, str]]:
    """The names of both halves.

    Args:
        where: the place of the layers' norms, `norm_in` or `norm_after`.
        positions: where their table stands in a half.
    """
    rules = [("decoder.embed_tokens.weight", "decoder.embedding.weight")]
    for half in HALVES:
        rules += [
            *_half_keys(half, where),
            (f"{half}.embed_positions.weight", f"{half}.{positions}.weight"),
            (f"{half}.layernorm_embedding.{{w}}", f"{half}.stem.norm.{{w}}"),
            (f"{half}.layer_norm.{{w}}", f"{half}.norm.{{w}}"),
        ]
    return rules


def _half_keys(which: str, where: str) -> list[tuple[str, str]]:
    """The names of one half's layers."""
    theirs = ours = f"{which}.layers.{{i}}."
    rules = [
        (theirs + "fc1.{w}", ours + "mlp.up.{w}"),
        (theirs + "fc2.{w}", ours + "mlp.down.{w}"),
        (theirs + "final_layer_norm.{w}", f"{ours}mlp.{where}.{{w}}"),
    ]
    for part, step in (("self_attn", "attention"), ("encoder_attn", "cross")):
        if which == "encoder" and step == "cross":
            continue
        rules.append((f"{theirs}{part}_layer_norm.{{w}}", f"{ours}{step}.{where}.{{w}}"))
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            own = name.removesuffix("_proj")
            rules.append((f"{theirs}{part}.{name}.{{w}}", f"{ours}{step}.{own}.{{w}}"))
    return rules
