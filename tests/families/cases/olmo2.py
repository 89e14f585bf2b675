"""OLMo 2."""

from __future__ import annotations

from transformers import Olmo2Config, Olmo2ForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm, RoPE
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "eps of qk norm": ("plain", change("layers.*.attention.qk.0.*", eps=0.06)),
    "norm of what attention finds": ("plain", change("layers.*.attention.norm_out", eps=0.5)),
    "norm of what the mlp finds": ("plain", change("layers.*.mlp.norm_out", eps=0.5)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

PUBLISHED = {
    "allenai/OLMo-2-0425-1B": (
        {
            "architectures": ["Olmo2ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "eos_token_id": 100257,
            "hidden_act": "silu",
            "hidden_size": 2048,
            "initializer_range": 0.02,
            "intermediate_size": 8192,
            "max_position_embeddings": 4096,
            "model_type": "olmo2",
            "num_attention_heads": 16,
            "num_hidden_layers": 16,
            "num_key_value_heads": 16,
            "pad_token_id": 100277,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 500000,
            "tie_word_embeddings": False,
            "torch_dtype": "float32",
            "transformers_version": "4.47.0",
            "use_cache": False,
            "vocab_size": 100352,
        },
        1_484_916_736,
    ),
}

CASE = Case(
    config=Olmo2Config,
    model=Olmo2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
)
