"""Command R."""

from __future__ import annotations

from transformers import CohereConfig, CohereForCausalLM

from blocks import GatedMLP, GQAttention, LayerNorm, LMHead, QKNorm, RoPE
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rms_norm_eps"} | {
    "layer_norm_eps": 0.05,
    "tie_word_embeddings": False,
    "logit_scale": 0.7,
}

VARIANTS = {
    "plain": Variant(),
    "qk norm": Variant({"use_qk_norm": True}),
    "louder": Variant({"logit_scale": 1.5}),
    "biases": Variant({"attention_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "no qk norm": ("qk norm", change(GQAttention, qk=(RoPE,))),
    "no gain of qk norm": ("qk norm", change(QKNorm, gain=False)),
    "eps of qk norm": ("qk norm", change("layers.*.attention.qk.0.*", eps=0.5)),
    "scale of logits": ("louder", change(LMHead, scale=1.4)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=CohereConfig,
    model=CohereForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
