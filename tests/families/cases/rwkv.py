"""RWKV-4."""

from __future__ import annotations

from transformers import RwkvConfig, RwkvForCausalLM

from blocks import LayerNorm, LMHead, RWKVChannelMix, replace
from tests.families.cases import mamba
from tests.families.reference import Case, Variant, change, shallow

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 56,
    "context_length": 64,
    "layer_norm_epsilon": 0.05,
    "bos_token_id": None,
    "eos_token_id": None,
}

# Row by row both continue alike, as test_rwkv.py shows.
MIXED = "from memory the reference gives each row the last tokens of all"

VARIANTS = {
    "plain": Variant(generates=MIXED),
    "narrow": Variant(
        {"attention_hidden_size": 24, "intermediate_size": None},
        generates="the reference's memory is as wide as the model, not as its keys",
    ),
    "halved": Variant({"num_hidden_layers": 5, "rescale_every": 2}, generates=MIXED),
    "halved at the end": Variant({"rescale_every": 2}, generates=MIXED),
    "never halved": Variant({"num_hidden_layers": 7, "rescale_every": 0}, generates=MIXED),
    "tied": Variant({"tie_word_embeddings": True}, generates=MIXED),
}

MUTATIONS = {
    "eps": ("plain", change(LayerNorm, eps=0.06)),
    "eps as if nothing were halved": ("halved", change("layers.*.mlp.norm_in", eps=0.05)),
    "when it is halved": (
        "halved",
        lambda spec: replace(
            spec, layers=(*spec.keywords["layers"][:2], *spec.keywords["layers"][:3])
        ),
    ),
    "norm of embeddings": ("plain", lambda spec: replace(spec, stem=None)),
    "last norm": ("plain", lambda spec: replace(spec, norm=None)),
    "activation": ("plain", change(RWKVChannelMix, act="relu")),
    "scale of embeddings": ("tied", change("stem", eps=3.0)),
    "scale of logits": ("plain", change(LMHead, scale=1.1)),
    "depth": ("plain", shallow),
}

PILE = {
    "architectures": ["RwkvForCausalLM"],
    "attention_hidden_size": 768,
    "bos_token_id": 0,
    "context_length": 1024,
    "eos_token_id": 0,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_epsilon": 1e-05,
    "model_type": "rwkv",
    "num_hidden_layers": 12,
    "rescale_every": 6,
    "tie_word_embeddings": False,
    "transformers_version": "4.28.0.dev0",
    "use_cache": True,
    "vocab_size": 50277,
}

CASE = Case(
    config=RwkvConfig,
    model=RwkvForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"RWKV/rwkv-4-169m-pile": (PILE, 169_342_464)},
    fields=mamba.FIELDS | {"hidden_act": None},
    untried=frozenset({"attention_hidden_size"}),
    extra=(),
    missing_prefix="rwkv.",
    tolerance=5e-5,
)
