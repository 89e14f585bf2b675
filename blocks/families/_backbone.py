"""Models of one mixer a layer, in files of transformers and in the first ones of Mamba.

Those have a config.json without a model_type, with shorter names and the mixer's options inside
`ssm_cfg`, and name one tensor otherwise.
"""

from __future__ import annotations

from typing import Any

from blocks import CausalLM, Chain, Residual, Spec, Widen, at, replace
from blocks.families._dialects import count
from blocks.hub.config import Config

_SCALES = ("time_step_floor", "time_step_max", "time_step_min", "time_step_scale")
_CODE = ("fused_add_norm", "rescale_prenorm_residual", "use_associative_scan", "use_mambapy")
_FIRST = ("dt_init", "dt_init_floor", "dt_max", "dt_min", "dt_scale", "layer", "use_fast_path")


def read_dim(c: Config) -> int:
    """The model's width."""
    return c.take("hidden_size", int, aliases=("d_model",))


def read_option(c: Config, name: str, older: str, kind: Any, absent: Any) -> Any:
    """An option of the mixer, which the first files have inside `ssm_cfg` under another name."""
    options = c.inner("ssm_cfg")
    given = None if options is None else options.take(older, kind, None)
    if given is None:
        return c.take(name, kind, absent)
    if c.take(name, kind, given) != given:
        raise c.error(name, f"is {c.data[name]!r} here, {given!r} in ssm_cfg.{older}")
    return given


def read_backbone(c: Config, mixer: Spec, norm: Spec, dim: int) -> Spec:
    """The model.

    Args:
        c: the reader.
        mixer: of every layer.
        norm: an RMSNorm before every mixer and after the last.
        dim: the model's width.
    """
    _read_useless(c)
    c.only("rms_norm", True)
    for name in ("d_intermediate", "attn_layer_idx", "attn_cfg"):  # layers of other kinds
        c.only(name, None, 0, [], {})
    wide = c.take("residual_in_fp32", bool, True)
    norm = replace(norm, cast="statistics") if wide else norm
    layer = Spec(Chain, steps={"mixer": Spec(Residual, inner=mixer, norm_in=norm)})
    vocab, multiple = c.take("vocab_size", int), c.take("pad_vocab_size_multiple", int, 1)
    return Spec(
        CausalLM,
        vocab=vocab + -vocab % multiple,
        dim=dim,
        layers=(layer,) * count(c, "num_hidden_layers", aliases=("n_layer",)),
        norm=norm,
        stem=Spec(Widen) if wide else None,
    )


def _read_useless(c: Config) -> None:
    """How fresh layers begin, and which code of the reference computes the same."""
    for name in _SCALES:
        if c.take(name, float, 1.0) < 0:
            raise c.error(name, "is below zero")
    for name in _CODE:
        c.take(name, bool, False)
    c.take("time_step_init_scheme", str, "random")
    c.take("tie_embeddings", bool, True)  # what the file holds tells
    options = c.inner("ssm_cfg")
    if options is not None:
        for name in _FIRST:
            options.take(name, Any, None)


def write_backbone(s: Spec) -> dict[str, Any]:
    """The fields that `read_backbone` is read from, in the dialect of transformers."""
    return {
        "hidden_size": s.keywords["dim"],
        "layer_norm_epsilon": at(s, "norm").keywords["eps"],
        "num_hidden_layers": len(s.keywords["layers"]),
        "residual_in_fp32": s.keywords["stem"] is not None,
        "tie_word_embeddings": bool(s.keywords["ties"]),
        "vocab_size": s.keywords["vocab"],
    }


BACKBONE_KEYS = (
    ("backbone.embeddings.weight", "embedding.weight"),
    ("backbone.embedding.weight", "embedding.weight"),
    ("backbone.layers.{i}.norm.weight", "layers.{i}.mixer.norm_in.weight"),
    ("backbone.norm_f.weight", "norm.weight"),
    ("lm_head.weight", "head.weight"),
)
