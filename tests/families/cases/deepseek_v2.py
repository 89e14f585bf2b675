"""DeepSeek-V2 and V2-Lite."""

from __future__ import annotations

from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

from blocks import (
    Full,
    GatedMLP,
    LatentAttention,
    LayerNorm,
    LMHead,
    MoE,
    RMSNorm,
    RoPE,
    SoftmaxRouter,
    Spec,
    TokenEmbedding,
    Window,
    replace,
)
from tests.families.cases import llama
from tests.families.reference import Case, Change, Variant, change, other_pairing, rescale, shallow

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "moe_intermediate_size": 12,
    "kv_lora_rank": 8,
    "q_lora_rank": 10,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 5,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "first_k_dense_replace": 1,
}
YARN = llama.YARN | {"beta_fast": 4.0, "beta_slow": 0.5}
SIZES = frozenset(
    {"kv_lora_rank", "moe_intermediate_size", "n_routed_experts", "n_shared_experts"}
    | {"q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"}
)
# Every head has its keys, so the number of these is no choice; neither is the width of a head.
FIELDS = {"num_key_value_heads": None, "head_dim": None}

VARIANTS = {
    "plain": Variant(),
    "no query latent": Variant({"q_lora_rank": None}),
    "biases": Variant({"attention_bias": True, "mlp_bias": True}),
    "groups": Variant(
        {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2}
        | {"routed_scaling_factor": 1.7}
    ),
    "experts in every layer": Variant({"first_k_dense_replace": 0, "n_shared_experts": 1}),
    "two dense layers": Variant({"first_k_dense_replace": 2}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "yarn": Variant({"rope_parameters": YARN}),
    "yarn mscale": Variant({"rope_parameters": YARN | {"mscale": 0.7, "mscale_all_dim": 1.4}}),
    "yarn mscale of scores": Variant({"rope_parameters": YARN | {"mscale_all_dim": 0.9}}),
}


def whole(**options: object) -> Change:
    return change(LatentAttention, **options)


def contrast(spec: Spec) -> Spec:
    """The scores as they are without YaRN's second factor."""
    return whole(scale=None)(spec)


LATENT_MUTATIONS: dict[str, tuple[str, Change]] = {
    "theta": ("plain", change(RoPE, theta=400.0)),
    "pairing": ("plain", other_pairing),
    "share of turned channels": ("plain", change(RoPE, rotated=0.5)),
    "no rope": ("plain", whole(qk=())),
    "scale of scores": ("plain", whole(scale=0.5)),
    "window": ("plain", whole(mask=Window(9))),
    "mask": ("plain", whole(mask=Full())),
    "norm of latents": ("plain", whole(norm=LayerNorm)),
    "eps of latents": ("plain", whole(norm=Spec(RMSNorm, eps=0.05))),
    "eps": ("plain", change("norm", eps=0.06)),
    "activation": ("plain", change(GatedMLP, act="relu2")),
    "last norm": ("plain", lambda spec: replace(spec, norm=None)),
    "scale of embeddings": ("plain", change(TokenEmbedding, scale=1.1)),
    "scale of logits": ("plain", change(LMHead, scale=1.1)),
    "depth": ("plain", shallow),
    "biases of latents": ("biases", whole(bias=False)),
    "bias of the output": ("biases", whole(out_bias=False)),
    "factor of yarn": ("yarn", rescale(factor=3.0)),
    "magnitude of yarn": ("yarn mscale", rescale(magnitude=1.0)),
    "contrast of yarn": ("yarn mscale", contrast),
    "contrast alone": ("yarn mscale of scores", contrast),
}


def latent_mutations(router: type) -> dict[str, tuple[str, Change]]:
    """What every family with latent attention and experts must notice."""
    return LATENT_MUTATIONS | {
        "fewer dense layers": ("two dense layers", fewer_dense),
        "fewer chosen": ("plain", change(MoE, top_k=2)),
        "no shared expert": ("plain", change(MoE, shared=None)),
        "weights renormalised or not": ("plain", other_weights(router)),
        "scale of weights": ("plain", change(router, scale=1.1)),
    }


def fewer_dense(spec: Spec) -> Spec:
    layers = spec.keywords["layers"]
    return replace(spec, layers=(layers[0], *layers[2:], layers[-1]))


def other_weights(router: type) -> Change:
    def after(spec: Spec) -> Spec:
        now = next(iter(routers(spec, router))).keywords["renormalize"]
        return change(router, renormalize=not now)(spec)

    return after


def routers(spec: Spec, router: type) -> list[Spec]:
    import blocks

    return [part for _, part in blocks.walk(spec) if part.func is router]


MUTATIONS = latent_mutations(SoftmaxRouter) | {
    "biases of the mlp": ("biases", change("layers.0.mlp", bias=False)),
    "biases of shared experts": (
        "biases",
        change(MoE, shared=Spec(GatedMLP, hidden=24)),
    ),
    "no groups": ("groups", change(SoftmaxRouter, groups=1, kept_groups=1)),
    "other groups": ("groups", change(SoftmaxRouter, groups=2, kept_groups=1)),
    "more groups": ("groups", change(SoftmaxRouter, kept_groups=3)),
}


def published(**options: object) -> dict[str, object]:
    return {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "aux_loss_alpha": 0.001,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_position_embeddings": 163840,
        "moe_layer_freq": 1,
        "pretraining_tp": 1,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "kv_lora_rank": 512,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000,
        "seq_aux": True,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "v_head_dim": 128,
        **options,
    }


def yarn(mscale: float) -> dict[str, object]:
    return {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": mscale,
        "mscale_all_dim": mscale,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    }


PUBLISHED = {
    "deepseek-ai/DeepSeek-V2-Lite": (
        published(
            architectures=["DeepseekV2ForCausalLM"],
            auto_map={"AutoModelForCausalLM": "modeling_deepseek.DeepseekV2ForCausalLM"},
            bos_token_id=100000,
            eos_token_id=100001,
            first_k_dense_replace=1,
            hidden_size=2048,
            intermediate_size=10944,
            model_type="deepseek_v2",
            moe_intermediate_size=1408,
            n_group=1,
            n_routed_experts=64,
            n_shared_experts=2,
            norm_topk_prob=False,
            num_attention_heads=16,
            num_experts_per_tok=6,
            num_hidden_layers=27,
            num_key_value_heads=16,
            q_lora_rank=None,
            rope_scaling=yarn(0.707),
            routed_scaling_factor=1.0,
            scoring_func="softmax",
            topk_group=1,
            topk_method="greedy",
            transformers_version="4.33.1",
            vocab_size=102400,
        ),
        15_706_484_224,
    ),
}

CASE = Case(
    config=DeepseekV2Config,
    model=DeepseekV2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=SIZES | {"norm_topk_prob", "num_key_value_heads"},
    fused=True,
    fields=FIELDS,
)
