"""Mamba-2 and Mamba-Codestral."""

from __future__ import annotations

from transformers import Mamba2Config, Mamba2ForCausalLM

from blocks import GatedRMSNorm, LMHead, Mamba2, RMSNorm, TokenEmbedding, replace
from tests.families.reference import Case, Variant, change, shallow

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 8,
    "head_dim": 8,
    "state_size": 12,
    "n_groups": 2,
    "chunk_size": 8,
    "layer_norm_epsilon": 0.05,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
CLAMPED = "the reference's step from memory leaves the limits out"

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "one group": Variant({"n_groups": 1}),
    "a group each": Variant({"n_groups": 8}),
    "biases": Variant({"use_bias": True, "use_conv_bias": False}),
    "short kernel": Variant({"conv_kernel": 2}),
    "wider": Variant({"expand": 3, "num_heads": 4, "head_dim": 24}),
    "limits": Variant({"time_step_limit": (0.9, 1.4)}, generates=CLAMPED),
    "a lower limit": Variant({"time_step_limit": (1.0, float("inf"))}, generates=CLAMPED),
}

# Sizes, which files tell, and what changes no number, or 16-bit ones alone.
UNTRIED = frozenset(
    {"chunk_size", "conv_kernel", "expand", "n_groups", "residual_in_fp32", "state_size"}
)

MUTATIONS = {
    "groups of the norm": ("plain", change(GatedRMSNorm, groups=1)),
    "gate after the norm": ("plain", change(GatedRMSNorm, gate_first=False)),
    "eps of the norm inside": ("plain", change(GatedRMSNorm, eps=0.06)),
    "eps": ("plain", change(RMSNorm, eps=0.06)),
    "no norm inside": ("plain", change(Mamba2, norm=None)),
    "biases": ("biases", change(Mamba2, bias=False)),
    "bias of the convolution": ("plain", change(Mamba2, conv_bias=False)),
    "no limits": ("limits", change(Mamba2, limits=(0.0, float("inf")))),
    "no lower limit": ("a lower limit", change(Mamba2, limits=(0.0, float("inf")))),
    "last norm": ("plain", lambda spec: replace(spec, norm=None)),
    "scale of embeddings": ("plain", change(TokenEmbedding, scale=1.1)),
    "scale of logits": ("plain", change(LMHead, scale=1.1)),
    "depth": ("plain", shallow),
}

_FORM = {"attn_cfg": {}, "attn_layer_idx": [], "d_intermediate": 0, "fused_add_norm": True}
_FORM |= {"pad_vocab_size_multiple": 16, "residual_in_fp32": True, "rms_norm": True}
_FORM |= {"ssm_cfg": {"layer": "Mamba2"}, "tie_embeddings": True, "tie_word_embeddings": True}
PUBLISHED = {
    "state-spaces/mamba2-130m": (
        _FORM | {"d_model": 768, "n_layer": 24, "vocab_size": 50277},
        128_989_632,
    ),
    "mistralai/Mamba-Codestral-7B-v0.1": (
        {
            "architectures": ["Mamba2ForCausalLM"],
            "chunk_size": 256,
            "conv_kernel": 4,
            "expand": 2,
            "head_dim": 64,
            "hidden_act": "silu",
            "hidden_size": 4096,
            "layer_norm_epsilon": 1e-05,
            "model_type": "mamba2",
            "n_groups": 8,
            "norm_before_gate": True,
            "num_heads": 128,
            "num_hidden_layers": 64,
            "rescale_prenorm_residual": False,
            "residual_in_fp32": True,
            "rms_norm": True,
            "state_size": 128,
            "tie_word_embeddings": False,
            "time_step_floor": 0.0001,
            "time_step_limit": [0.0, float("inf")],
            "time_step_max": 0.1,
            "time_step_min": 0.001,
            "time_step_rank": 256,
            "torch_dtype": "bfloat16",
            "use_bias": False,
            "use_conv_bias": True,
            "vocab_size": 32768,
        },
        7_285_403_648,
    ),
}

CASE = Case(
    config=Mamba2Config,
    model=Mamba2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    extra=(),
    huge={"num_heads": 2**41, "head_dim": 64},
    tolerance=5e-5,
    fields={
        "num_attention_heads": "num_heads",
        "num_key_value_heads": None,
        "intermediate_size": None,
        "attention_dropout": None,
        "hidden_act": None,
        "max_position_embeddings": None,
    },
    implied=frozenset({"num_attention_heads"}),
    untried=UNTRIED,
)
