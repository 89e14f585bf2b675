"""XGLM."""

from __future__ import annotations

from transformers import XGLMConfig, XGLMForCausalLM

from blocks import MLP, LayerNorm, SinusoidalPositions, TokenEmbedding
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "d_model": 32,
    "ffn_dim": 56,
    "num_layers": 2,
    "attention_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "unscaled": Variant({"scale_embedding": False}),
    "relu": Variant({"activation_function": "relu"}),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "unscaled": ("plain", change(TokenEmbedding, scale=1.0)),
        "place of the first token": ("plain", change(SinusoidalPositions, offset=1)),
        "layout of positions": ("plain", change(SinusoidalPositions, layout="interleaved")),
        "last wave": ("plain", change(SinusoidalPositions, endpoint=False)),
    }
)

CASE = Case(
    config=XGLMConfig,
    model=XGLMForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"activation_dropout", "dropout"}),
    fields={
        "hidden_size": "d_model",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "attention_heads",
        "intermediate_size": "ffn_dim",
        "hidden_act": "activation_function",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(),
    missing_prefix="model.",
    tied=True,
)
