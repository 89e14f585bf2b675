"""ModernBERT's decoder."""

from __future__ import annotations

from transformers import ModernBertDecoderConfig, ModernBertDecoderForCausalLM

from blocks import GatedMLP, GQAttention, LayerNorm, MaskedHead, RoPE, Window
from tests.families.cases import modernbert
from tests.families.reference import Case, Variant, change, decoder_mutations

BASE = modernbert.BASE | dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id"), 0)
BASE |= {"sep_token_id": 0}

VARIANTS = {
    name: modernbert.VARIANTS[name]
    for name in ("plain", "tied", "no biases", "every other", "windows alone", "linear", "silu")
} | {"window of an odd size": Variant({"local_attention": 11})}

_KEPT = decoder_mutations(LayerNorm, GatedMLP)
del _KEPT["scale of logits"]
MUTATIONS = _KEPT | {
    "one theta": ("plain", change("layers.1.attention.qk.0", theta=500.0)),
    "factor of linear": ("linear", change(RoPE, scaling=None)),
    "window + 1": ("plain", change("layers.1.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.1.attention", mask=Window(6))),
    "norm before attention": ("plain", change("layers.1.attention.norm_in", eps=0.5)),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(GatedMLP, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "activation of the head": ("plain", change(MaskedHead, act="relu")),
    "bias of the head": ("plain", change(MaskedHead, dense_bias=False)),
    "bias of the scores": ("plain", change(MaskedHead, bias=False)),
}

_FORM = {name: value for name, value in modernbert._FORM.items() if name != "layer_norm_eps"} | {
    "architectures": ["ModernBertDecoderForCausalLM"],
    "model_type": "modernbert-decoder",
}

CASE = Case(
    config=ModernBertDecoderConfig,
    model=ModernBertDecoderForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"jhu-clsp/ettin-decoder-150m": (_FORM, 149_655_232)},
    untried=modernbert.DROPOUTS,
    fields=modernbert.FIELDS,
    extra=(),
    older=modernbert.older,
    missing_prefix="model.",
    tied=True,
)
