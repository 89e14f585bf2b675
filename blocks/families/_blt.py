"""BLT's four stacks: bytes before and after, patches, and the model that cuts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from blocks import (
    Causal,
    CausalLM,
    Chain,
    CrossAttention,
    EntropyPatches,
    EqualPatches,
    GQAttention,
    Mask,
    Residual,
    RMSNorm,
    Spec,
    Window,
    at,
)
from blocks.families import _decoder as common
from blocks.families._dialects import (
    count,
    read_or_null,
    read_window,
    write_window,
)
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.keys import Keys

# What a config means that doesn't say: width, heads, layers, width of the MLP, context.
_USUAL: dict[str, tuple[int, int, int, int, int]] = {
    "encoder": (1024, 16, 1, 0, 24_576),  # and 8 / 3 of its width
    "decoder": (1024, 16, 9, 2816, 24_576),
    "global": (2048, 16, 25, 5632, 4096),
    "patcher": (768, 12, 14, 2048, 8192),
}
_TYPES = {"encoder": "local_encoder", "decoder": "local_decoder", "global": "global_transformer"}

_UNUSED = {"head_dim": int, "attn_impl": str, "attn_bias_type": str}
_HOW = {"patching_batch_size": int, "patching_device": str, "realtime_patching": bool}


@dataclass
class Stack:
    """One of the four, as its config says.

    Attributes:
        part: the reader of that config.
        dim: its width.
        context: what it was made for.
        norm: its norms.
        cross: attention to patches, or of patches to bytes: twice the input is added.
        layers: each layer.
    """

    part: Config
    dim: int
    context: int
    norm: Spec
    cross: Spec
    layers: tuple[Spec, ...] = field(default=())


def mask(window: int | None) -> Mask:
    """What a byte sees of the bytes before it."""
    return Causal() if window is None else Window(window)


def encoder(c: Config, vocab: int, places: int, mask: Mask) -> Stack:
    """What reads bytes."""
    it = _local(c, "encoder", vocab, places, mask)
    it.part.only("cross_attn_all_layers", False)
    it.part.take("sliding_window", int, None)  # local_attention_window_len counts
    return it


def decoder(c: Config, vocab: int, places: int, mask: Mask) -> Stack:
    """What writes bytes; its first layer, or each, looks at a patch before all else."""
    it = _local(c, "decoder", vocab, places, mask)
    every = it.part.take("cross_attn_all_layers", bool, True)
    looks = [
        Spec(Chain, steps={"cross": it.cross, **layer.keywords["steps"]}) for layer in it.layers
    ]
    it.layers = tuple(looks) if every else (*looks[:1], *it.layers[1:])
    return it


def deep(c: Config) -> Stack:
    """What reads patches."""
    it = _stack(c, "global", Causal())
    it.part.take("encoder_cross_output_size", int, None)  # the encoder's width says it
    return it


def patches(c: Config, vocab: int) -> Spec:
    """What cuts the text; without a model for that, each byte is a patch."""
    size = c.take("max_patch_length", int, None)
    threshold = c.take("patching_threshold", float, 1.335442066192627)
    for unused, kind in _HOW.items():
        c.take(unused, kind, None)
    c.only("monotonicity", False)
    c.only("patching_threshold_add", 0.0, None)
    if not c.take("patch_in_forward", bool, True):
        for name in ("patcher_config", "patching_mode", "patch_size"):
            c.take(name, Any, None)
        return Spec(EqualPatches, size=1)
    c.only("patching_mode", "entropy")
    if read_or_null(c, "patch_size", 4) is None:
        raise c.error("patch_size", "null, which leaves the model that cuts the text unused")
    it = _stack(c, "patcher", None)
    _same(it.part, "vocab_size", vocab, 260)
    parts = {"layers": it.layers, "norm": it.norm, "context": it.context}
    model = Spec(CausalLM, vocab=vocab, dim=it.dim, **parts)
    return Spec(EntropyPatches, model=model, threshold=threshold, size=size)


def _same(part: Config, name: str, value: int, absent: int) -> None:
    """A field of one of the four that the whole config says as well."""
    if (said := part.take(name, int, absent)) != value:
        raise part.error(name, f"is {said} here, {value} of the whole")


def _local(c: Config, name: str, vocab: int, places: int, mask: Mask) -> Stack:
    it = _stack(c, name, mask)
    _same(it.part, "vocab_size", vocab, 260)
    _same(it.part, "cross_attn_k", places, 2)
    it.part.take("hidden_size_global", int, None)  # the config of the patches says it
    return it


def _stack(c: Config, name: str, mask: Mask | None) -> Stack:
    """One of the four; without a mask it says its window itself."""
    where = f"{name}_config", f"blt_{_TYPES.get(name, name)}"
    part = c.inside(*where) if name == "global" else c.part(*where)
    dim, heads, depth, hidden, context = _USUAL[name]
    dim, heads = part.take("hidden_size", int, dim), part.take("num_attention_heads", int, heads)
    if dim % heads:
        reason = f"{heads} heads don't divide hidden_size {dim}"
        raise part.error("num_attention_heads", reason)
    for unused, kind in _UNUSED.items():  # which others say
        part.take(unused, kind, None)
    context = part.take("max_position_embeddings", int, context)
    theta = 10_000.0 if name == "patcher" else 500_000.0
    turned = read_rope(part, context, theta=theta, pairing="adjacent")
    if turned.keywords["scaling"] is not None:
        raise part.error("rope_parameters", "stretched angles are not supported")
    part.only("dropout", 0.0)
    norm = Spec(RMSNorm, eps=part.take("rms_norm_eps", float, 1e-5, aliases=("norm_eps",)))
    shared = {"heads": heads, "kv_heads": part.take("num_key_value_heads", int, heads)}
    shared["head_dim"] = dim // heads
    mask = read_window(part, 512) if mask is None else mask
    attention = Spec(GQAttention, **shared, qk=(turned,), mask=mask)
    cross = Spec(Residual, inner=Spec(CrossAttention, **shared, norm=norm), norm_in=norm)
    layer = common.pre_norm(
        norm, attention, common.gated_mlp(part, hidden=hidden or int(8 * dim / 3))
    )
    layers = (layer,) * count(part, "num_hidden_layers", depth)
    return Stack(part, dim, context, norm, Spec(Residual, inner=cross), layers)


def write(s: Spec) -> dict[str, Any]:
    """The fields that the stacks and what cuts the text are read from."""
    whole = s.keywords
    places, width = whole["places"], whole["width"]
    local = {"vocab_size": whole["vocab"], "cross_attn_k": places}
    stacks = {"encoder": at(s, "encoder"), "decoder": at(s, "decoder"), "global": s}
    every = all(
        "cross" in layer.keywords["steps"] for layer in stacks["decoder"].keywords["layers"]
    )
    own: dict[str, dict[str, Any]] = {
        "encoder": {**local, "cross_attn_all_layers": False},
        "decoder": {**local, "cross_attn_all_layers": every, "hidden_size_global": whole["dim"]},
        "global": {},
    }
    dims = {"encoder": width, "decoder": width, "global": whole["dim"]}
    window = write_window(at(s, "encoder.layers.0.attention").keywords["mask"])
    fields = {"cross_attn_k": places, "local_attention_window_len": window}
    fields["max_position_embeddings"] = whole["context"]
    cut = whole["patches"].keywords
    fields["patch_in_forward"] = "model" in cut
    if "model" in cut:
        stacks["patcher"], model = cut["model"], cut["model"].keywords
        window = write_window(at(cut["model"], "layers.0.attention").keywords["mask"])
        own["patcher"] = {"vocab_size": model["vocab"], "sliding_window": window}
        dims["patcher"] = model["dim"]
        fields |= {"patching_threshold": cut["threshold"], "max_patch_length": cut["size"]}
    for name, stack in stacks.items():
        context = stack.keywords.get("context", whole["context"])
        own[name] |= {"hidden_size": dims[name], "max_position_embeddings": context}
        own[name] |= {"model_type": f"blt_{_TYPES.get(name, name)}", **_write_layer(stack)}
        fields[f"{name}_config"] = own[name]
    return fields


def _write_layer(stack: Spec) -> dict[str, Any]:
    """The fields of one of the four that its layers say."""
    attention, norm = (at(stack, f"layers.0.attention{part}").keywords for part in ("", ".norm_in"))
    return {
        "num_attention_heads": attention["heads"],
        "num_hidden_layers": len(stack.keywords["layers"]),
        "num_key_value_heads": attention["kv_heads"],
        "rms_norm_eps": norm["eps"],
        "rope_theta": attention["qk"][0].keywords["theta"],
        **common.write_mlp(at(stack, "layers.0.mlp")),
    }


def _layers(theirs: str, ours: str) -> list[tuple[str, str]]:
    """The names of the layers of one of the four."""
    pairs = (*common.QKV_KEYS, *common.PRE_NORM_KEYS[:-1], *common.GATED_MLP_KEYS)
    return [(f"model.{theirs}{t.removeprefix('model.')}", f"{ours}{o}") for t, o in pairs]


def _cross(theirs: str, ours: str) -> list[tuple[str, str]]:
    """The names of attention between bytes and patches."""
    names = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "out"}
    names |= {"q_norm": "norm_in", "k_norm": "norm"}
    return [(f"model.{theirs}.{t}.{{w}}", f"{ours}.{o}.{{w}}") for t, o in names.items()]


KEYS = Keys(
    ("model.local_encoder.embed_tokens.weight", "encoder.embedding.weight"),
    ("model.encoder_hash_tok_embedding.weight", "encoder.embedding.grams"),
    *_layers("local_encoder.", "encoder."),
    ("model.local_encoder.patch_embedding_projection.{w}", "split.{w}"),
    *_cross("local_encoder.cross_attn_layers.0", "reader"),
    ("model.global_transformer.token_embedding_projection.{w}", "widen.{w}"),
    *_layers("global_transformer.", ""),
    ("model.local_decoder.patch_embedding_projection.{w}", "narrow.{w}"),
    *_cross("local_decoder.cross_attn_layers.{i}", "decoder.layers.{i}.cross"),
    *_layers("local_decoder.", "decoder."),
    ("model.local_decoder.norm.{w}", "decoder.norm.{w}"),
    ("model.patcher.embed_tokens.weight", "patches.model.embedding.weight"),
    *_layers("patcher.", "patches.model."),
    ("model.patcher.norm.{w}", "patches.model.norm.{w}"),
    ("model.patcher.lm_head.{w}", "patches.model.head.{w}"),
    ("lm_head.{w}", "head.{w}"),
)
