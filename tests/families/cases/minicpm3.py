"""MiniCPM3."""

from __future__ import annotations

from transformers import MiniCPM3Config, MiniCPM3ForCausalLM

from blocks import GatedMLP, Residual, TokenEmbedding
from tests.families.cases import deepseek_v2, llama, youtu
from tests.families.reference import Case, Variant, change, rescale

BASE = youtu.BASE | {"scale_depth": 1.3, "scale_emb": 1.7, "dim_model_base": 20}
LONGROPE = llama.LONGROPE | {"short_factor": [1.0, 1.1], "long_factor": [2.0, 3.0]}

VARIANTS = {name: it for name, it in youtu.VARIANTS.items() if name != "halves"} | {
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "unscaled": Variant({"scale_depth": None, "scale_emb": 1, "dim_model_base": None}),
    "values of a head's width": Variant({"v_head_dim": None}),
    "longrope": Variant({"rope_parameters": LONGROPE}),
}

MUTATIONS = deepseek_v2.LATENT_MUTATIONS | {
    "unscaled branches": ("plain", change(Residual, scale=1.0)),
    "unscaled embeddings": ("plain", change(TokenEmbedding, scale=1.0)),
    "biases of the mlp": ("biases", change(GatedMLP, bias=False)),
    "short of longrope": ("longrope", rescale(trained=64)),
}

CASE = Case(
    config=MiniCPM3Config,
    model=MiniCPM3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=youtu.CASE.untried,
    fields=deepseek_v2.FIELDS,
    tied=True,
)
