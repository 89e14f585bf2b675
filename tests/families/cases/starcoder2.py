"""StarCoder 2."""

from __future__ import annotations

from transformers import Starcoder2Config, Starcoder2ForCausalLM

from blocks import MLP, GQAttention, LayerNorm, Window
from tests.families.cases import gpt2, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in llama.BASE.items() if name != "rms_norm_eps"} | {
    "norm_epsilon": 0.05,
    "tie_word_embeddings": False,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "window": Variant({"sliding_window": 7}),
    "no biases": Variant({"use_bias": False}),
    "relu": Variant({"hidden_act": "relu"}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MUTATIONS = (
    decoder_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "factor of yarn": ("yarn", rescale(factor=3.0)),
        "window + 1": ("window", change(GQAttention, mask=Window(8))),
        "window - 1": ("window", change(GQAttention, mask=Window(6))),
    }
)

PUBLISHED = {
    "bigcode/starcoder2-3b": (
        {
            "architectures": ["Starcoder2ForCausalLM"],
            "attention_dropout": 0.1,
            "attention_softmax_in_fp32": True,
            "bos_token_id": 0,
            "embedding_dropout": 0.1,
            "eos_token_id": 0,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 3072,
            "initializer_range": 0.018042,
            "intermediate_size": 12288,
            "layer_norm_epsilon": 1e-05,
            "max_position_embeddings": 16384,
            "mlp_type": "default",
            "model_type": "starcoder2",
            "norm_epsilon": 1e-05,
            "norm_type": "layer_norm",
            "num_attention_heads": 24,
            "num_hidden_layers": 30,
            "num_key_value_heads": 2,
            "residual_dropout": 0.1,
            "rope_theta": 999999.4420358813,
            "scale_attention_softmax_in_fp32": True,
            "scale_attn_weights": True,
            "sliding_window": 4096,
            "transformers_version": "4.37.0.dev0",
            "use_bias": True,
            "use_cache": True,
            "vocab_size": 49152,
        },
        3_030_371_328,
    ),
}

CASE = Case(
    config=Starcoder2Config,
    model=Starcoder2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"embedding_dropout", "residual_dropout"}),
    fields={"head_dim": None},
    tied=True,
)
