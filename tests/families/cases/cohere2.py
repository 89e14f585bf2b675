"""Command R7B and Command A."""

from __future__ import annotations

from transformers import Cohere2Config, Cohere2ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, LayerNorm, LMHead, RoPE, Spec, Window
from tests.families.cases import cohere, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = cohere.BASE | {
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention"],
}

VARIANTS = {
    "plain": Variant(),
    "five layers": Variant({"num_hidden_layers": 5, "layer_types": None}),
    "no window": Variant({"layer_types": ["full_attention"] * 2}),
    "louder": Variant({"logit_scale": 1.5}),
    "biases": Variant({"attention_bias": True}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

ROPE = Spec(RoPE, theta=500.0, pairing="adjacent")
MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "rope in both": ("plain", change(GQAttention, qk=(ROPE,))),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no windows": ("plain", change(GQAttention, mask=Causal())),
    "scale of logits": ("louder", change(LMHead, scale=1.4)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

_PUBLISHED = {
    "architectures": ["Cohere2ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 5,
    "cache_implementation": "hybrid",
    "eos_token_id": 255001,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "layer_norm_eps": 1e-05,
    "layer_switch": 4,
    "logit_scale": 0.25,
    "max_position_embeddings": 8192,
    "model_type": "cohere2",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "order_of_interleaved_layers": "local_attn_first",
    "pad_token_id": 0,
    "position_embedding_type": "rope_gptj",
    "rope_scaling": None,
    "rope_theta": 50000,
    "rotary_pct": 1.0,
    "sliding_window": 4096,
    "sliding_window_pattern": 4,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.48.0.dev0",
    "use_cache": True,
    "use_embedding_sharing": True,
    "use_gated_activation": True,
    "use_parallel_block": True,
    "use_parallel_embedding": False,
    "use_qk_norm": False,
    "vocab_size": 256000,
}

CASE = Case(
    config=Cohere2Config,
    model=Cohere2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"CohereLabs/c4ai-command-r7b-12-2024": (_PUBLISHED, 8_028_033_024)},
)
