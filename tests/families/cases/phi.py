"""Phi-1, 1.5 and 2."""

from __future__ import annotations

from transformers import PhiConfig, PhiForCausalLM

from blocks import MLP, GQAttention, LayerNorm, LMHead, QKNorm, RoPE
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rms_norm_eps"} | {
    "layer_norm_eps": 0.05,
    "num_key_value_heads": 4,
}


def rope(kind: str, share: float, **options: object) -> dict[str, object]:
    return llama.rope(kind, partial_rotary_factor=share, **options)


VARIANTS = {
    "plain": Variant(),
    "qk norm": Variant({"qk_layernorm": True}),
    "two kv heads": Variant({"num_key_value_heads": 2}),
    "one kv head, qk norm": Variant({"num_key_value_heads": 1, "qk_layernorm": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "three quarters turn": Variant(rope("default", 0.75)),
    "all turn": Variant(rope("default", 1.0)),
    "relu": Variant({"hidden_act": "relu"}),
    "linear": Variant(rope("linear", 0.5, factor=4.0)),
    "dynamic": Variant(rope("dynamic", 0.5, factor=4.0) | {"max_position_embeddings": 16}),
}

MUTATIONS = decoder_mutations(LayerNorm, MLP) | {
    "no qk norm": ("qk norm", change(GQAttention, qk=(RoPE,))),
    "eps of qk norm": ("qk norm", change("layers.*.attention.qk.0.*", eps=0.06)),
    "qk norm over all": ("qk norm", change(QKNorm, over="all")),
    "all channels turn": ("plain", change(RoPE, rotated=1.0)),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "bias of the head": ("plain", change(LMHead, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
    "factor of dynamic": ("dynamic", rescale(factor=3.0)),
}


def _published(**options: object) -> dict[str, object]:
    return {
        "architectures": ["PhiForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "embd_pdrop": 0.0,
        "eos_token_id": None,
        "hidden_act": "gelu_new",
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "model_type": "phi",
        "num_attention_heads": 32,
        "num_key_value_heads": None,
        "qk_layernorm": False,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.37.0",
        "use_cache": True,
        "vocab_size": 51200,
        **options,
    }


PUBLISHED = {
    "microsoft/phi-1_5": (
        _published(
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=24,
            partial_rotary_factor=0.5,
            resid_pdrop=0.0,
        ),
        1_418_270_720,
    ),
    "microsoft/phi-2": (
        _published(
            bos_token_id=50256,
            eos_token_id=50256,
            hidden_size=2560,
            intermediate_size=10240,
            num_hidden_layers=32,
            num_key_value_heads=32,
            partial_rotary_factor=0.4,
            resid_pdrop=0.1,
        ),
        2_779_683_840,
    ),
}

CASE = Case(
    config=PhiConfig,
    model=PhiForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
)
