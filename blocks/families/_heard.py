"""The tasks of families that hear, by the heads that `architectures` names, and tensor names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from blocks import LayerMix, LMHead, SequenceHead, Spec
from blocks.families._conformer import counted, layer_keys
from blocks.families._dialects import asked
from blocks.families._encoder import read_labels
from blocks.hub.config import REQUIRED, Config
from blocks.hub.keys import Keys

Rules = Sequence[tuple[str, str]]

_ENDS: dict[str, Rules] = {
    "ForCTC": (("lm_head.{w}", "head.{w}"),),
    "ForSequenceClassification": (
        ("layer_weights", "mix.weight"),
        ("projector.{w}", "head.dense.{w}"),
        ("classifier.{w}", "head.out.{w}"),
    ),
    "Model": (),
}


def architectures(name: str) -> tuple[str, ...]:
    """The names in `architectures` of these tasks; the bare model is last."""
    return tuple(name + task for task in _ENDS)


def read_task(c: Config, served: Sequence[str], vocab: int = REQUIRED) -> dict[str, Any]:
    """What the task that `architectures` names puts after the layers.

    Args:
        c: the reader.
        served: the names that the family serves, the usual one first.
        vocab: how many tokens a config means that doesn't count them.
    """
    task = asked(c, served)
    if task.endswith("ForCTC"):
        return {"vocab": c.take("vocab_size", int, vocab), "head": Spec(LMHead, bias=True)}
    c.take("vocab_size", int, 1)  # which no other task counts
    width = c.take("classifier_proj_size", int, 256)
    if task.endswith("Model"):
        return {"vocab": None, "head": None}
    labels, mixed = read_labels(c), c.take("use_weighted_layer_sum", bool, False)
    head = Spec(SequenceHead, labels=labels, pool="mean", act="identity", width=width)
    # The reference's last norm isn't among the states that it mixes.
    return {"vocab": None, "head": head} | ({"mix": Spec(LayerMix), "norm": None} if mixed else {})


def task_of(s: Spec) -> str:
    """What follows a family's name in `architectures` for this model."""
    if s.keywords["head"] is None:
        return "Model"
    return "ForCTC" if s.keywords["vocab"] else "ForSequenceClassification"


def write_task(s: Spec, name: str) -> dict[str, Any]:
    """The fields that `read_task` is read from."""
    task, head = task_of(s), s.keywords["head"]
    fields: dict[str, Any] = {"architectures": [name + task]}
    if task == "ForCTC":
        fields["vocab_size"] = s.keywords["vocab"]
    if task == "ForSequenceClassification":
        fields["classifier_proj_size"] = head.keywords["width"]
        fields["num_labels"] = head.keywords["labels"]
        fields["use_weighted_layer_sum"] = s.keywords["mix"] is not None
    return fields


def _table(
    s: Spec, prefix: str, body: Callable[[str], Rules], ignore: Callable[[str], Sequence[str]]
) -> Keys:
    """The table; files of a bare model leave the prefix out, those with a head have it.

    Args:
        s: the model.
        prefix: how names begin.
        body: the names of everything below the head, behind a prefix.
        ignore: the same of what nothing reads.
    """
    task = task_of(s)
    both = ("", prefix) if task == "Model" else (prefix, "")
    others = {theirs for rules in _ENDS.values() for theirs, _ in rules}
    others -= {theirs for theirs, _ in _ENDS[task]}
    return Keys(
        *(rule for start in both for rule in body(start)),
        *_ENDS[task],
        ignore=tuple(name for start in both for name in ignore(start)),
        apart=tuple(sorted(name.partition("{")[0] for name in others)),
    )


_LAYER = {
    "mlp_before": "ffn1",
    "mlp_before.norm_in": "ffn1_layer_norm",
    "mlp": "ffn2",
    "mlp.norm_in": "ffn2_layer_norm",
    "norm_after": "final_layer_norm",
    "up": "intermediate_dense",
    "down": "output_dense",
    "attention": "self_attn",
    "attention.norm_in": "self_attn_layer_norm",
    "attention.q": "linear_q",
    "attention.k": "linear_k",
    "attention.v": "linear_v",
    "attention.out": "linear_out",
    "attention.position": "linear_pos",
    "attention.content_bias": "pos_bias_u",
    "attention.position_bias": "pos_bias_v",
    "conv": "conv_module",
    "conv.norm_in": "conv_module.layer_norm",
    "conv.up": "pointwise_conv1",
    "conv.mix": "depthwise_conv",
    "conv.norm": "batch_norm",
    "conv.down": "pointwise_conv2",
}


def conformer_keys(s: Spec) -> Keys:
    """The names of wav2vec 2.0's Conformer."""

    def body(prefix: str) -> Rules:
        norm = () if s.keywords["mix"] else ((prefix + "encoder.layer_norm.{w}", "norm.{w}"),)
        return (*layer_keys(prefix + "encoder.layers.{i}.", _LAYER), *_begin(prefix), *norm)

    def ignore(prefix: str) -> list[str]:
        position = prefix + "encoder.pos_conv_embed.conv."  # there, and used by no Conformer
        unused = [position + part for part in ("bias", "weight", "weight_g", "weight_v")]
        unused += [f"{position}parametrizations.weight.original{n}" for n in (0, 1)]
        unused += [prefix + "encoder.embed_positions.inv_freq", prefix + "masked_spec_embed"]
        return [*unused, counted(prefix + "encoder.layers.{i}.", _LAYER), *_norm(s, prefix)]

    return _table(s, "wav2vec2_conformer.", body, ignore)


def _norm(s: Spec, prefix: str) -> list[str]:
    """The last norm, which files have also where nothing comes after it but is mixed before."""
    names = [f"{prefix}encoder.layer_norm.{part}" for part in ("weight", "bias")]
    return names if s.keywords["mix"] else []


def _begin(prefix: str) -> Rules:
    """The names of what stands before the layers."""
    convs = prefix + "feature_extractor.conv_layers.{i}."
    return (
        (convs + "conv.{w}", "embedding.convs.{i}.{w}"),
        (convs + "layer_norm.{w}", "embedding.norms.{i}.{w}"),
        (prefix + "feature_projection.layer_norm.{w}", "stem.{w}"),
        (prefix + "feature_projection.projection.{w}", "widen.{w}"),
    )


def stable(s: Spec) -> bool:
    """Whether the norms of wav2vec 2.0's layers are before the blocks and not after the sums."""
    return "norm" not in s.keywords["positions"].keywords["steps"]


def transformer_keys(s: Spec) -> Keys:
    """The names of wav2vec 2.0, the newer spelling of the convolved positions' weight first."""
    ours, where = "layers.{i}.", "norm_in" if stable(s) else "norm_after"
    unused = stable(s) and s.keywords["mix"]

    def body(prefix: str) -> Rules:
        prefix, begin = prefix + "encoder.", _begin(prefix)
        layers, conv = prefix + "layers.{i}.", prefix + "pos_conv_embed.conv."
        last = "norm" if stable(s) else "positions.norm"
        return (
            *begin,
            (conv + "parametrizations.weight.original0", "positions.around.gain"),
            (conv + "parametrizations.weight.original1", "positions.around.weight"),
            (conv + "weight_g", "positions.around.gain"),
            (conv + "weight_v", "positions.around.weight"),
            (conv + "bias", "positions.around.bias"),
            *(() if unused else ((prefix + "layer_norm.{w}", last + ".{w}"),)),
            *((f"{layers}attention.{n}_proj.{{w}}", f"{ours}attention.{n}.{{w}}") for n in "qkv"),
            (layers + "attention.out_proj.{w}", ours + "attention.out.{w}"),
            (layers + "layer_norm.{w}", f"{ours}attention.{where}.{{w}}"),
            (layers + "feed_forward.intermediate_dense.{w}", ours + "mlp.up.{w}"),
            (layers + "feed_forward.output_dense.{w}", ours + "mlp.down.{w}"),
            (layers + "final_layer_norm.{w}", f"{ours}mlp.{where}.{{w}}"),
        )

    def ignore(prefix: str) -> list[str]:
        return [prefix + "masked_spec_embed", *(_norm(s, prefix) if unused else ())]

    return _table(s, "wav2vec2.", body, ignore)
