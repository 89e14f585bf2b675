"""GPT-NeoX-Japanese."""

from __future__ import annotations

from transformers import GPTNeoXJapaneseConfig, GPTNeoXJapaneseForCausalLM

from blocks import MLP, GQAttention, LayerNorm
from tests.families.cases import gpt2, gpt_neox, phi
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in gpt_neox.BASE.items() if name != "intermediate_size"} | {
    "intermediate_multiple_size": 2,
    "num_hidden_layers": 3,
    "rotary_pct": 0.5,
    "tie_word_embeddings": False,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "relu": Variant({"hidden_act": "relu"}),
    "all turn": Variant({"rotary_pct": 1.0}),
    "linear": Variant(phi.rope("linear", 0.5, factor=4.0)),
    "three heads": Variant({"hidden_size": 48, "num_attention_heads": 3}),
}

MUTATIONS = decoder_mutations(LayerNorm, MLP) | {
    "no bias": ("plain", change(GQAttention, out_bias=False)),
    "biases of norms": gpt2.BIASES["biases of norms"],
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=GPTNeoXJapaneseConfig,
    model=GPTNeoXJapaneseForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=frozenset({"intermediate_multiple_size"}),
    fields={"num_key_value_heads": None, "head_dim": None, "intermediate_size": None},
    extra=("gpt_neox_japanese.layers.{i}.attention.rotary_emb.inv_freq",),
    older=gpt_neox.older,
    missing_prefix="gpt_neox_japanese.",
    tied=True,
)
