"""Gemma 2."""

from __future__ import annotations

from transformers import Gemma2Config, Gemma2ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, LMHead, RMSNorm, SoftCap, Window
from tests.families.cases import gemma, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

# Caps so low that scores and logits bend.
BASE = gemma.BASE | {
    "query_pre_attn_scalar": 64,
    "sliding_window": 7,
    "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 3.0,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "biases": Variant({"attention_bias": True}),
    "no caps": Variant({"attn_logit_softcapping": None, "final_logit_softcapping": None}),
    "three layers": Variant({"num_hidden_layers": 3}),
    "the other order": Variant({"layer_types": ["full_attention", "sliding_attention"]}),
    "no window": Variant({"layer_types": ["full_attention"] * 2}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "silu": Variant({"hidden_activation": "silu"}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "offset of norms": ("plain", change(RMSNorm, offset=0.0)),
    "cap of scores": ("plain", change(SoftCap, cap=3.0)),
    "no cap of scores": ("plain", change(GQAttention, scores=())),
    "cap of logits": ("plain", change(LMHead, cap=4.0)),
    "no cap of logits": ("plain", change(LMHead, cap=None)),
    "query_pre_attn_scalar": ("plain", change(GQAttention, scale=60**-0.5)),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "norm of what attention finds": ("plain", change("layers.*.attention.norm_out", eps=0.5)),
    "norm of what the mlp finds": ("plain", change("layers.*.mlp.norm_out", eps=0.5)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

PUBLISHED = {
    "google/gemma-2-2b": (
        {
            "architectures": ["Gemma2ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_logit_softcapping": 50.0,
            "bos_token_id": 2,
            "cache_implementation": "hybrid",
            "eos_token_id": 1,
            "final_logit_softcapping": 30.0,
            "head_dim": 256,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 2304,
            "initializer_range": 0.02,
            "intermediate_size": 9216,
            "max_position_embeddings": 8192,
            "model_type": "gemma2",
            "num_attention_heads": 8,
            "num_hidden_layers": 26,
            "num_key_value_heads": 4,
            "pad_token_id": 0,
            "query_pre_attn_scalar": 256,
            "rms_norm_eps": 1e-06,
            "rope_theta": 10000.0,
            "sliding_window": 4096,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "transformers_version": "4.42.4",
            "use_cache": True,
            "vocab_size": 256000,
        },
        2_614_341_888,
    ),
}

CASE = Case(
    config=Gemma2Config,
    model=Gemma2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields={"hidden_act": "hidden_activation"},
)
