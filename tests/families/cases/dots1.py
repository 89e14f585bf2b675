"""dots.llm1."""

from __future__ import annotations

from transformers import Dots1Config, Dots1ForCausalLM

from blocks import Causal, GatedMLP, GQAttention, MoE, QKNorm, RMSNorm, RoPE, SigmoidRouter, Window
from tests.families.cases import llama
from tests.families.cases.deepseek_v2 import fewer_dense
from tests.families.reference import Case, Change, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "moe_intermediate_size": 12,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "first_k_dense_replace": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.7,
}

ROUTING = {
    "groups": Variant({"n_group": 4, "topk_group": 2}),
    "weights as they are": Variant({"norm_topk_prob": False}),
}
DENSE = {
    "experts in every layer": Variant({"first_k_dense_replace": 0, "n_shared_experts": 1}),
    "two dense layers": Variant({"first_k_dense_replace": 2}),
}
VARIANTS = {
    "plain": Variant(),
    **ROUTING,
    **DENSE,
    "biases": Variant({"attention_bias": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "windows": Variant({"sliding_window": 7, "max_window_layers": 1}),
    "listed windows": Variant(
        {"sliding_window": 7, "layer_types": ["sliding_attention", "full_attention"] * 2}
        | {"num_hidden_layers": 4}
    ),
    "tied": Variant({"tie_word_embeddings": True}),
    "yarn": Variant({"rope_parameters": llama.YARN}),
}

MIXTURE: dict[str, tuple[str, Change]] = {
    "weights renormalised": ("weights as they are", change(SigmoidRouter, renormalize=True)),
    "weights not renormalised": ("plain", change(SigmoidRouter, renormalize=False)),
    "scale of weights": ("plain", change(SigmoidRouter, scale=1.1)),
    "fewer chosen": ("plain", change(MoE, top_k=2)),
    "no shared expert": ("plain", change(MoE, shared=None)),
}
GROUPS: dict[str, tuple[str, Change]] = {
    "no groups": ("groups", change(SigmoidRouter, groups=1, kept_groups=1)),
    "other groups": ("groups", change(SigmoidRouter, groups=2, kept_groups=1)),
    "more groups": ("groups", change(SigmoidRouter, kept_groups=3)),
}
MUTATIONS = (
    decoder_mutations(RMSNorm, GatedMLP)
    | MIXTURE
    | GROUPS
    | {
        "fewer dense layers": ("two dense layers", fewer_dense),
        "no qk norm": ("plain", change(GQAttention, qk=(RoPE,))),
        "qk norm over all": ("plain", change(QKNorm, over="all")),
        "window + 1": ("windows", change("layers.1.attention", mask=Window(8))),
        "window - 1": ("windows", change("layers.1.attention", mask=Window(6))),
        "no windows": ("windows", change(GQAttention, mask=Causal())),
        "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
        "bias of the output": ("biases", change(GQAttention, out_bias=False)),
        "factor of yarn": ("yarn", rescale(factor=3.0)),
    }
)
SIZES = frozenset({"moe_intermediate_size", "n_routed_experts", "n_shared_experts"})

CASE = Case(
    config=Dots1Config,
    model=Dots1ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    untried=SIZES,
    fused=True,
)
