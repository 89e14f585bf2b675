"""What most architectures' files have in common."""

from __future__ import annotations

from typing import Any

from blocks.hub.gguf.facts import Facts
from blocks.hub.gguf.undo import KEPT, Less, Line, Turned, Undo

__all__: list[str] = []

LAYER, ATTENTION = "model.layers.{i}.", "model.layers.{i}.self_attn."


def sizes(f: Facts, eps: str = "rms_norm_eps") -> dict[str, Any]:
    """The sizes of a decoder by LLaMA's names, and its norms' ε by the name that is given."""
    m = f.meta
    heads = m.take("attention.head_count", int)
    key = "attention.layer_norm_" + ("rms_epsilon" if "rms" in eps else "epsilon")
    return {
        "hidden_size": m.take("embedding_length", int),
        "num_hidden_layers": m.take("block_count", int),
        "intermediate_size": m.take("feed_forward_length", int),
        "num_attention_heads": heads,
        "num_key_value_heads": m.take("attention.head_count_kv", int, heads),
        "max_position_embeddings": m.take("context_length", int),
        "vocab_size": f.shape("token_embd.weight")[0],
        "tie_word_embeddings": "output.weight" not in f.tensors,
        eps: m.take(key, float),
    }


def experts(f: Facts, size: str | None = "moe_intermediate_size") -> dict[str, Any]:
    """How many experts there are, how many a token has, and their width by the given name."""
    m = f.meta
    found = {
        "num_experts": m.take("expert_count", int),
        "num_experts_per_tok": m.take("expert_used_count", int),
    }
    if size is not None:
        found[size] = f.shape("blk.0.ffn_down_exps.weight")[-1]
        m.only("expert_feed_forward_length", found[size])
    return found


def scalar(fields: dict[str, Any], largest: int) -> int:
    """By whose root Gemma's queries are divided: no key says it, the 27B's is another."""
    if fields["num_hidden_layers"] == largest:
        return fields["hidden_size"] // fields["num_attention_heads"]
    return fields["head_dim"]


def layer_kinds(f: Facts, period: int) -> list[str]:
    """Which layers slide: all but each `period`th, unless the file says it of every layer."""
    depth = f.meta.take("block_count", int)
    said = f.meta.take("attention.sliding_window_pattern", int | tuple[bool, ...], period)
    slides = [(i + 1) % said > 0 for i in range(depth)] if isinstance(said, int) else list(said)
    if len(slides) != depth:
        reason = f"says it of {len(slides)} layers, there are {depth}"
        raise f.meta.error("attention.sliding_window_pattern", reason)
    return [f"{'sliding' if slide else 'full'}_attention" for slide in slides]


def head_width(f: Facts) -> int:
    """The width of a head, which all of its parts must have."""
    m = f.meta
    width = m.take("embedding_length", int) // m.take("attention.head_count", int)
    width = m.take("attention.key_length", int, width)
    m.only("attention.value_length", width)
    return width


def rope(f: Facts, width: int, theta: float = 10_000.0, part: str | None = None) -> dict[str, Any]:
    """RoPE's fields.

    Args:
        f: the file.
        width: of a head.
        theta: where the file says none.
        part: the field of the share that turns; all must where it is None.
    """
    m = f.meta
    found: dict[str, Any] = {"rope_theta": m.take("rope.freq_base", float, theta)}
    turned = m.take("rope.dimension_count", int, width)
    if part is not None:
        found[part] = turned / width
    elif turned != width:
        raise m.error("rope.dimension_count", f"is {turned}, heads have {width}")
    return found | scaling(f)


def scaling(f: Facts) -> dict[str, Any]:
    """How RoPE is stretched, where it is."""
    m = f.meta
    kind = m.take("rope.scaling.type", str, "none")
    factor = m.take("rope.scaling.factor", float, m.take("rope.scale_linear", float, 1.0))
    trained = m.take("rope.scaling.original_context_length", int, None)
    if "rope_freqs.weight" in f.tensors:
        return {"rope_scaling": _llama3(f)}
    if kind == "none" or (kind == "linear" and factor == 1.0):
        return {}
    found: dict[str, Any] = {"rope_type": kind, "factor": factor}
    if kind == "yarn":
        found["original_max_position_embeddings"] = trained
        for theirs, name in _YARN.items():
            if (value := m.take(f"rope.scaling.{theirs}", float, None)) is not None:
                found[name] = value
        m.only("rope.scaling.yarn_ext_factor", 1.0)
    elif kind != "linear":
        raise m.error("rope.scaling.type", f"{kind!r} can't be read")
    return {"rope_scaling": found}


_YARN = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}


def _llama3(f: Facts) -> dict[str, Any]:
    """LLaMA 3.1's scaling, of which the file holds what it makes of each frequency alone."""
    held = f.floats("rope_freqs.weight")
    theta = f.meta.take("rope.freq_base", float, 10_000.0)
    trained, low, high = 8192, 1.0, 4.0
    factor = max(held)
    for i, value in enumerate(held):
        wave = 2 * 3.141592653589793 * theta ** (i / len(held))
        share = min(1.0, max(0.0, (trained / wave - low) / (high - low)))
        if abs(value * ((1 - share) / factor + share) - 1) > 1e-4:
            reason = "stretches RoPE in a way that LLaMA 3.1 doesn't"
            raise f.meta.error("rope_freqs.weight", reason)
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": trained,
    }


def line(held: str, theirs: str, undo: Undo = KEPT) -> Line:
    """A tensor that is one of the file's."""
    return Line((held,), theirs, undo)


def ends(norm: Undo = KEPT) -> tuple[Line, ...]:
    """What lies before and after the layers."""
    return (
        line("token_embd.weight", "model.embed_tokens.weight"),
        line("output.{w}", "lm_head.{w}"),
        line("output_norm.{w}", "model.norm.{w}", norm),
    )


def attention(fields: Any = None, *, turned: bool = False, norm: Undo = KEPT) -> tuple[Line, ...]:
    """Queries, keys, values, the output and norms of queries and keys.

    Args:
        fields: those of config.json, where rows were moved.
        turned: whether they were.
        norm: what was done to the norms.
    """
    counts = ("num_attention_heads", "num_key_value_heads")
    q, k = (Turned(fields[name]) if turned else KEPT for name in counts)
    return (
        line("blk.{i}.attn_q.{w}", ATTENTION + "q_proj.{w}", q),
        line("blk.{i}.attn_k.{w}", ATTENTION + "k_proj.{w}", k),
        line("blk.{i}.attn_v.{w}", ATTENTION + "v_proj.{w}"),
        line("blk.{i}.attn_output.{w}", ATTENTION + "o_proj.{w}"),
        line("blk.{i}.attn_q_norm.{w}", ATTENTION + "q_norm.{w}", norm),
        line("blk.{i}.attn_k_norm.{w}", ATTENTION + "k_norm.{w}", norm),
    )


def norms(undo: Undo = KEPT) -> tuple[Line, ...]:
    """The two norms of a pre-norm layer."""
    return (
        line("blk.{i}.attn_norm.{w}", LAYER + "input_layernorm.{w}", undo),
        line("blk.{i}.ffn_norm.{w}", LAYER + "post_attention_layernorm.{w}", undo),
    )


def after_norms() -> tuple[Line, ...]:
    """Norms after both branches alone."""
    return (
        line("blk.{i}.post_attention_norm.{w}", LAYER + "post_attention_layernorm.{w}"),
        line("blk.{i}.post_ffw_norm.{w}", LAYER + "post_feedforward_layernorm.{w}"),
    )


LESS = Less()
SANDWICH = (
    line("blk.{i}.attn_norm.{w}", LAYER + "input_layernorm.{w}", LESS),
    line("blk.{i}.post_attention_norm.{w}", LAYER + "post_attention_layernorm.{w}", LESS),
    line("blk.{i}.ffn_norm.{w}", LAYER + "pre_feedforward_layernorm.{w}", LESS),
    line("blk.{i}.post_ffw_norm.{w}", LAYER + "post_feedforward_layernorm.{w}", LESS),
)

GATED = tuple(
    line(f"blk.{{i}}.ffn_{part}.{{w}}", f"{LAYER}mlp.{part}_proj.{{w}}")
    for part in ("gate", "up", "down")
)

EXPERTS = (
    line("blk.{i}.ffn_gate_inp.weight", LAYER + "mlp.gate.weight"),
    *(
        line(f"blk.{{i}}.ffn_{part}_exps.weight", f"{LAYER}mlp.experts.{{e}}.{part}_proj.weight")
        for part in ("gate", "up", "down")
    ),
)
