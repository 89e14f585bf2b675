"""nanochat."""

from __future__ import annotations

from transformers import NanoChatConfig, NanoChatForCausalLM

import blocks
from blocks import MLP, GQAttention, LMHead, RMSNorm, RoPE
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"final_logit_softcapping": 3.0}

VARIANTS = {
    "plain": Variant(),
    "no cap": Variant({"final_logit_softcapping": None}),
    "biases": Variant({"attention_bias": True}),
    "as many kv heads": Variant({"num_key_value_heads": None}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, MLP) | {
    "activation": ("plain", change(MLP, act="silu")),
    "cap of logits": ("plain", change(LMHead, cap=4.0)),
    "no cap of logits": ("plain", change(LMHead, cap=None)),
    "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
    "no norm of embeddings": ("plain", lambda spec: blocks.replace(spec, stem=None)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

CASE = Case(
    config=NanoChatConfig,
    model=NanoChatForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
)
