"""Zamba2."""

from __future__ import annotations

from typing import Any

from transformers import Zamba2Config, Zamba2ForCausalLM

from blocks import GatedMLP, GatedRMSNorm, GQAttention, LowRank, Mamba2, RMSNorm, replace
from tests.families.cases import llama
from tests.families.cases.mamba2 import CLAMPED
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "layers_block_type": ["mamba", "hybrid", "hybrid", "mamba", "hybrid"],
    "num_attention_heads": 4,
    "n_mamba_heads": 8,
    "mamba_d_state": 12,
    "mamba_ngroups": 2,
    "chunk_size": 8,
    "num_mem_blocks": 2,
    "adapter_rank": 3,
    "use_shared_attention_adapter": True,
    "use_mem_rope": True,
    "max_position_embeddings": 64,
    "rms_norm_eps": 0.05,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

VARIANTS = {
    "plain": Variant(),
    "one block": Variant({"num_mem_blocks": 1, "use_shared_attention_adapter": False}),
    "a block each": Variant({"num_mem_blocks": 4}),
    "no rope": Variant({"use_mem_rope": False}),
    "grouped": Variant({"use_shared_attention_adapter": False, "num_key_value_heads": 2}),
    "biases": Variant({"add_bias_linear": True, "hidden_act": "silu"}),
    "wider": Variant({"mamba_expand": 3, "mamba_d_conv": 3, "mamba_ngroups": 1}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "limit": Variant({"time_step_min": 0.9}, generates=CLAMPED),
}


def unbiased(spec: Any) -> Any:
    """A mutation: an MLP without biases, which then can't be shared."""
    ties = tuple(tie for tie in spec.keywords["ties"] if not tie[0].endswith(".bias"))
    return change(GatedMLP, bias=False)(replace(spec, ties=ties))


MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "groups of the norm": ("plain", change(GatedRMSNorm, groups=1)),
    "eps of the norm inside": ("plain", change(GatedRMSNorm, eps=0.06)),
    "scale of adapters": ("plain", change(LowRank, scale=0.9)),
    "biases of the mlp": ("biases", unbiased),
    "biases of mixers": ("biases", change(Mamba2, bias=False)),
    "bias of the convolution": ("plain", change(Mamba2, conv_bias=False)),
    "width of a head": ("plain", change(GQAttention, scale=16**-0.5)),
    "factor of linear": ("linear", rescale(factor=3.5)),
    "no limit": ("limit", change(Mamba2, limits=(0.0, float("inf")))),
}


def published(depth: int, hybrids: tuple[int, ...], **fields: object) -> dict[str, object]:
    """The config.json of a model of the suite."""
    kinds = ["hybrid" if i in hybrids else "mamba" for i in range(depth)]
    return {
        "adapter_rank": 128,
        "add_bias_linear": False,
        "architectures": ["Zamba2ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "chunk_size": 256,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hybrid_layer_ids": list(hybrids),
        "initializer_range": 0.02,
        "layers_block_type": kinds,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "max_position_embeddings": 4096,
        "model_type": "zamba2",
        "num_attention_heads": 32,
        "num_hidden_layers": depth,
        "num_key_value_heads": 32,
        "num_logits_to_keep": 1,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-05,
        "time_step_floor": 0.0001,
        "time_step_max": 0.1,
        "time_step_min": 0.001,
        "use_cache": True,
        "use_conv_bias": True,
        "use_long_context": False,
        "use_mamba_kernels": True,
        "use_mem_eff_path": False,
        "vocab_size": 32000,
    } | fields


PUBLISHED = {
    "Zyphra/Zamba2-1.2B": (
        published(
            38,
            (5, 11, 17, 23, 29, 35),
            hidden_size=2048,
            intermediate_size=8192,
            mamba_d_state=128,
            mamba_ngroups=1,
            n_mamba_heads=64,
            num_mem_blocks=1,
            use_mem_rope=True,
            use_shared_attention_adapter=True,
        ),
        1_215_064_704,
    ),
    "Zyphra/Zamba2-2.7B": (
        published(
            54,
            (6, 12, 18, 24, 30, 36, 42, 47, 51),
            hidden_size=2560,
            intermediate_size=10240,
            mamba_d_state=64,
            mamba_ngroups=1,
            n_mamba_heads=80,
            num_mem_blocks=2,
            use_mem_rope=False,
            use_shared_attention_adapter=False,
        ),
        2_662_214_560,
    ),
    "Zyphra/Zamba2-7B": (
        published(
            81,
            (6, 11, 17, 23, 29, 35, 41, 47, 53, 59, 65, 71, 77),
            hidden_size=3584,
            intermediate_size=14336,
            mamba_d_state=64,
            mamba_ngroups=2,
            n_mamba_heads=112,
            num_mem_blocks=2,
            use_mem_rope=True,
            use_shared_attention_adapter=False,
        ),
        7_356_749_648,
    ),
}

# Sizes, which files tell, and what changes no number.
_SIZES = ("d_conv", "d_state", "expand", "headdim", "ngroups")
UNTRIED = frozenset(f"mamba_{name}" for name in _SIZES) | {
    "adapter_rank",
    "chunk_size",
    "n_mamba_heads",
    "num_mem_blocks",
    "use_shared_attention_adapter",
}


CASE = Case(
    config=Zamba2Config,
    model=Zamba2ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    huge={
        "attention_head_dim": 2**45,
        "head_dim": None,
        "mamba_headdim": 64,
        "n_mamba_heads": 2**41,
    },
    untried=UNTRIED,
    tied=True,
    tolerance=5e-5,
    spread=0.6,
)
