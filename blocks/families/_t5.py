"""What T5 and its kin share: all but whether the outputs are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blocks import (
    MLP,
    Causal,
    Chain,
    CrossAttention,
    Encoder,
    EncoderDecoder,
    Full,
    GatedMLP,
    GQAttention,
    LayerStack,
    LMHead,
    RelativeBias,
    Residual,
    RMSNorm,
    Spec,
    TokenEmbedding,
    at,
)
from blocks.families import _reading as reading
from blocks.families._dialects import count, read_activation, write_activation
from blocks.hub.config import Config
from blocks.hub.keys import Keys

TASKS = ("ForQuestionAnswering", "ForSequenceClassification", "ForTokenClassification")
TASKS += ("EncoderModel",)


def spec(
    c: Config, served: Sequence[str], *, scaled: bool, act: str = "relu", start: int | None = 0
) -> Spec:
    """The model.

    Args:
        c: the reader.
        served: the names that the family serves.
        scaled: whether logits are divided by √D.
        act: what a config means that names no MLP.
        start: the token that begins a target, where a config names none.
    """
    dim = c.take("d_model", int)
    rate = c.take("dropout_rate", float, 0.1)
    c.take("n_positions", int, 512)  # what it was trained with: no table ends there
    norm = Spec(RMSNorm, eps=c.take("layer_norm_epsilon", float, 1e-6))
    heads = {
        "heads": c.take("num_heads", int),
        "head_dim": c.take("d_kv", int),
        "scale": 1.0,
        "dropout": rate,
    }
    heads["kv_heads"] = heads["heads"]
    bias = {
        "buckets": c.take("relative_attention_num_buckets", int, 32),
        "distance": c.take("relative_attention_max_distance", int, 128),
    }
    around: dict[str, Any] = {"norm_in": norm, "dropout": rate}
    depth = count(c, "num_layers")
    depths = {"encoder": depth, "decoder": count(c, "num_decoder_layers", depth)}
    halves = {}
    for name, mask in (("encoder", Full()), ("decoder", Causal())):
        scores = (Spec(RelativeBias, **bias, both_ways=name == "encoder"),)
        parts = {"attention": Spec(GQAttention, **heads, scores=scores, mask=mask)}
        parts |= {"cross": Spec(CrossAttention, **heads)} if name == "decoder" else {}
        parts |= {"mlp": _mlp(c, rate, act)}
        steps = {n: Spec(Residual, inner=part, **around) for n, part in parts.items()}
        layers = (Spec(Chain, steps=steps),) * depths[name]
        embedding = Spec(TokenEmbedding, dropout=rate)
        halves[name] = Spec(LayerStack, layers=layers, norm=norm, embedding=embedding)
    head = Spec(LMHead, scale=dim**-0.5 if scaled else 1.0)
    c.only("is_encoder_decoder", True, False)  # files of encoders say either
    whole = Spec(EncoderDecoder, vocab=c.take("vocab_size", int), dim=dim, **halves, head=head)
    return reading.read(c, served, whole, shift=reading.read_shift(c, start), end=1)


def newer(c: Config, served: Sequence[str]) -> Spec:
    """The model of T5 v1.1's successors."""
    c.only("scale_decoder_outputs", False)
    return spec(c, served, scaled=False, act="gated-gelu")


def _mlp(c: Config, rate: float, absent: str) -> Spec:
    """The MLP of `feed_forward_proj`: `relu`, or `gated-` and the activation."""
    kind = c.take("feed_forward_proj", str, absent)
    gate, _, name = kind.rpartition("-")
    if gate not in ("", "gated"):
        raise c.error("feed_forward_proj", f"{kind!r} is neither an activation nor gated-…")
    derived = "gelu_new" if kind == "gated-gelu" else name
    c.only("is_gated_act", bool(gate))
    c.only("dense_act_fn", derived)
    act = read_activation(Config({"feed_forward_proj": derived}, c.file), "feed_forward_proj")
    options = {"hidden": c.take("d_ff", int), "act": act, "bias": False, "dropout": rate}
    return Spec(GatedMLP if gate else MLP, **options)


def config(s: Spec, name: str) -> dict[str, Any]:
    """The fields that `spec` is read from; `name` begins those in `architectures`."""
    encoder, decoder = (s.keywords.get(half) for half in ("encoder", "decoder"))
    encoder = encoder or s
    attention = at(encoder, "layers.0.attention").keywords
    bias = attention["scores"][0].keywords
    mlp, norm = at(encoder, "layers.0.mlp"), at(encoder, "norm")
    depth = len(encoder.keywords["layers"])
    act = write_activation(mlp.keywords["act"])
    gated = {"gelu_new": "gated-gelu"}.get(act, f"gated-{act}")
    scaled = s.func is EncoderDecoder and at(s, "head").keywords["scale"] != 1.0
    return reading.write(s, name) | {
        "d_ff": mlp.keywords["hidden"],
        "d_kv": attention["head_dim"],
        "d_model": s.keywords["dim"],
        "dropout_rate": attention["dropout"],
        "feed_forward_proj": gated if mlp.func is GatedMLP else act,
        "is_encoder_decoder": s.func is not Encoder,
        "layer_norm_epsilon": norm.keywords["eps"],
        "num_decoder_layers": len(decoder.keywords["layers"]) if decoder else depth,
        "num_heads": attention["heads"],
        "num_layers": depth,
        "relative_attention_max_distance": bias["distance"],
        "relative_attention_num_buckets": bias["buckets"],
        "scale_decoder_outputs": scaled,
        "tie_word_embeddings": scaled,  # older readers scale where it is true
        "vocab_size": s.keywords["vocab"],
    }


TIES = (
    ("decoder.embedding.weight", "encoder.embedding.weight"),
    ("head.weight", "encoder.embedding.weight"),
)


def ties(s: Spec) -> tuple[tuple[str, str], ...]:
    """One table of biases a stack, and one of tokens."""
    stacks = {f"{half}.": s.keywords[half] for half in ("encoder", "decoder") if half in s.keywords}
    table = "{}layers.{}.attention.scores.0.weight"
    later = [
        (table.format(half, i), table.format(half, 0))
        for half, stack in (stacks or {"": s}).items()
        for i in range(1, len(stack.keywords["layers"]))
    ]
    return (*TIES, *later)


def _half(half: str, gated: bool, *parts: str) -> list[tuple[str, str]]:
    theirs, ours = f"{half}.block.{{i}}.layer.", f"{half}.layers.{{i}}."
    rules = [(f"{half}.final_layer_norm.weight", f"{half}.norm.weight")]
    for n, (name, ours_name) in enumerate(zip(parts, ("attention", "cross"), strict=False)):
        rules += [
            (f"{theirs}{n}.{name}.{their}.weight", f"{ours}{ours_name}.{our}.weight")
            for their, our in zip("qkvo", ("q", "k", "v", "out"), strict=True)
        ]
    last = f"{theirs}{len(parts)}.DenseReluDense."
    table = f"{theirs}0.SelfAttention.relative_attention_bias.weight"
    names = ("attention", "cross", "mlp") if len(parts) == 2 else ("attention", "mlp")
    norms = [
        (f"{theirs}{n}.layer_norm.weight", f"{ours}{name}.norm_in.weight")
        for n, name in enumerate(names)
    ]
    mlp = [("wi_0", "gate"), ("wi_1" if gated else "wi", "up"), ("wo", "down")]
    return [
        *rules,
        (table, f"{ours}attention.scores.0.weight"),
        *norms,
        *((f"{last}{their}.weight", f"{ours}mlp.{our}.weight") for their, our in mlp),
    ]


def keys(s: Spec) -> Keys:
    """The table of names."""
    gated = at(s.keywords.get("encoder", s), "layers.0.mlp").func is GatedMLP
    body = [
        ("shared.weight", "encoder.embedding.weight"),
        ("encoder.embed_tokens.weight", "encoder.embedding.weight"),
        ("decoder.embed_tokens.weight", "decoder.embedding.weight"),
        *_half("encoder", gated, "SelfAttention"),
        *_half("decoder", gated, "SelfAttention", "EncDecAttention"),
    ]
    ignore = (
        "encoder.embed_tokens.weight",  # the table once more
        # The first files have a bias that was never used.
        "decoder.block.{i}.layer.1.EncDecAttention.relative_attention_bias.weight",
    )
    bare = [task for task in reading.ENDS if "Classification" not in task]
    return reading.table(s, "transformer.", body, bare=bare, ignore=ignore)
