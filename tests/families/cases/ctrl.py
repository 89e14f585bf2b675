"""CTRL."""

from __future__ import annotations

from transformers import CTRLConfig, CTRLLMHeadModel

from blocks import MLP, LayerNorm, LMHead, SinusoidalPositions, TokenEmbedding
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {name: value for name, value in gpt2.BASE.items() if name != "n_inner"} | {"dff": 56}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "three heads": Variant({"n_embd": 36, "n_head": 3}),
}

MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "eps": ("plain", change("norm", eps=0.5)),
        "eps of the layers": ("plain", change("layers.*.*.norm_in", eps=0.05)),
        "unscaled": ("plain", change(TokenEmbedding, scale=1.0)),
        "bias of the head": ("plain", change(LMHead, bias=False)),
        "no positions": ("plain", change(SinusoidalPositions, scale=1e-6)),
        "place of the first token": ("plain", change(SinusoidalPositions, offset=1)),
        "layout of positions": ("plain", change(SinusoidalPositions, layout="interleaved")),
        "last wave": ("plain", change(SinusoidalPositions, endpoint=True)),
    }
)

CASE = Case(
    config=CTRLConfig,
    model=CTRLLMHeadModel,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    fields=gpt2.FIELDS | {"intermediate_size": "dff", "hidden_act": None},
    extra=(),
    missing_prefix="transformer.",
    tied=True,
)
