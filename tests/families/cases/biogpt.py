"""BioGPT."""

from __future__ import annotations

from transformers import BioGptConfig, BioGptForCausalLM

from blocks import MLP, LayerNorm, LearnedPositions, TokenEmbedding
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "unscaled": Variant({"scale_embedding": False}),
    "relu": Variant({"hidden_act": "relu"}),
    "another eps": Variant({"layer_norm_eps": 0.1}),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "unscaled": ("plain", change(TokenEmbedding, scale=1.0)),
        "place of the first token": ("plain", change(LearnedPositions, offset=1)),
    }
)

CASE = Case(
    config=BioGptConfig,
    model=BioGptForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset(
        {"activation_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob"}
    ),
    fields={
        "attention_dropout": "attention_probs_dropout_prob",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(),
    missing_prefix="biogpt.",
    tied=True,
)
