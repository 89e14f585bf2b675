"""OPT and Galactica."""

from __future__ import annotations

from transformers import OPTConfig, OPTForCausalLM

from blocks import MLP, GQAttention, LayerNorm, LearnedPositions
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "ffn_dim": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}
PROJECTED = {"word_embed_proj_dim": 20, "do_layer_norm_before": False}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "post-norm, projected": Variant(PROJECTED),
    "projected, tied": Variant({"word_embed_proj_dim": 20, "tie_word_embeddings": True}),
    "post-norm": Variant({"do_layer_norm_before": False}),
    "no last norm": Variant({"_remove_final_layer_norm": True}),
    "Galactica": Variant({"enable_bias": False, "activation_function": "gelu"}),
    "bare norms": Variant({"layer_norm_elementwise_affine": False}),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "place of the first token": ("plain", change(LearnedPositions, offset=1)),
        "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
        "activation": ("plain", change(MLP, act="gelu")),
    }
)

_FORM = {
    "_remove_final_layer_norm": False,
    "activation_dropout": 0.0,
    "activation_function": "relu",
    "architectures": ["OPTForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 2,
    "do_layer_norm_before": True,
    "dropout": 0.1,
    "eos_token_id": 2,
    "init_std": 0.02,
    "layerdrop": 0.0,
    "max_position_embeddings": 2048,
    "model_type": "opt",
    "pad_token_id": 1,
    "prefix": "</s>",
    "torch_dtype": "float16",
    "transformers_version": "4.21.0.dev0",
    "use_cache": True,
    "vocab_size": 50272,
}

PUBLISHED = {
    "facebook/opt-125m": (
        _FORM
        | {
            "ffn_dim": 3072,
            "hidden_size": 768,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "word_embed_proj_dim": 768,
        },
        125_239_296,
    ),
    "facebook/opt-350m": (
        _FORM
        | {
            "do_layer_norm_before": False,
            "ffn_dim": 4096,
            "hidden_size": 1024,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "word_embed_proj_dim": 512,
        },
        331_196_416,
    ),
}

CASE = Case(
    config=OPTConfig,
    model=OPTForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"do_layer_norm_before", "dropout", "word_embed_proj_dim"}),
    fields={
        "intermediate_size": "ffn_dim",
        "hidden_act": "activation_function",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(),
    missing_prefix="model.",
    tied=True,
)
