"""The architectures that are tried in GGUF, and how each is written."""

from __future__ import annotations

from typing import Any

from tests.hub.gguf_files import Kind
from tests.hub.gguf_rules import (
    command_r,
    deepseek,
    experts,
    gemma,
    gpt2,
    gpt_oss,
    granite,
    granite_experts,
    granite_many,
    grouped,
    latents,
    llama,
    mamba,
    many,
    nomic,
    old_experts,
    phi3,
    plus_one,
    rotated,
    stablelm,
    states,
    stretched,
    types,
    windows,
)

TIED = {"tie_word_embeddings": True}
SCALED = {"query_pre_attn_scalar": 8}  # the heads' width
GEMMA3 = (
    TIED
    | SCALED
    | {
        "num_hidden_layers": 7,
        "layer_types": ["sliding_attention"] * 5 + ["full_attention"] + ["sliding_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    }
)

LLAMA3 = {
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "max_position_embeddings": 32768,
}
LONGROPE = {
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 500.0,
        "short_factor": [1.0, 1.1, 1.2, 1.3],
        "long_factor": [2.0, 3.0, 4.0, 5.0],
    },
    "original_max_position_embeddings": 16,
}
SMALL = {"rms_norm_eps": 1e-6}  # as the norms inside have it, whatever is said
YARN = {
    "rope_type": "yarn",
    "rope_theta": 500.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "mscale": 0.8,
    "mscale_all_dim": 0.8,
}
V2: dict[str, Any] = {"options": SMALL}
V3: dict[str, Any] = {"options": SMALL | {"rope_parameters": YARN}}
CLAMPED = {
    "swiglu_limit": 7.0,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 500.0,
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        "truncate": False,
    },
}
FOUR = {"num_hidden_layers": 5, "layer_types": None}  # layers, of which the fourth is another

KINDS = {
    kind.name or kind.family: kind
    for kind in (
        Kind("llama", "llama", ("plain", "biases", "tied", "wide heads", "linear"), llama),
        Kind("llama", "mixtral", ("plain",), llama, many),
        Kind("qwen2", "qwen2", ("plain", "tied", "yarn")),
        Kind("qwen3", "qwen3"),
        Kind("qwen2moe", "qwen2_moe", ("plain",), experts, many),
        Kind("qwen3moe", "qwen3_moe", ("renormalised",), experts, many),
        Kind("olmoe", "olmoe", ("plain",), experts, many, options={"num_key_value_heads": 4}),
        Kind("olmo2", "olmo2"),
        Kind("olmo", "olmo", ("plain",), llama, norm="layer_norm_eps"),
        Kind("gemma", "gemma", ("tied", "wide heads"), plus_one, options=TIED),
        Kind("gemma2", "gemma2", ("tied",), plus_one, gemma, options=TIED | SCALED),
        Kind("gemma3", "gemma3_text", ("tied",), plus_one, gemma, options=GEMMA3),
        Kind("phi2", "phi", ("plain",), None, rotated, "layer_norm_eps"),
        Kind("phi3", "phi3", ("plain",), None, phi3),
        Kind("gpt2", "gpt2", ("plain",), gpt2, None, "layer_norm_epsilon"),
        Kind("falcon", "falcon", ("plain", "40B"), grouped, None, "layer_norm_epsilon"),
        Kind("gptneox", "gpt_neox", ("plain",), grouped, rotated, "layer_norm_eps"),
        Kind("starcoder2", "starcoder2", ("plain",), None, None, "norm_epsilon"),
        Kind(
            "stablelm",
            "stablelm",
            ("plain", "norms of each head", "side by side"),
            None,
            rotated,
            "layer_norm_eps",
            fuse=stablelm,
        ),
        Kind("llama", "mixtral", ("plain",), llama, many, fuse=old_experts, name="older mixtral"),
        Kind("mamba", "mamba", ("plain",), mamba, states, "layer_norm_epsilon"),
        Kind("bert", "bert", ("bare",), None, types, "layer_norm_eps"),
        Kind("llama", "llama", ("plain",), llama, stretched, options=LLAMA3, name="llama3"),
        Kind("phi3", "phi3", ("plain",), None, phi3, options=LONGROPE, name="phi3 longrope"),
        Kind("smollm3", "smollm3", ("five layers",), llama),
        Kind("seed_oss", "seed_oss"),
        Kind("ernie4_5", "ernie4_5"),
        Kind("glm4", "glm4", ("plain",), None, rotated),
        Kind("cohere2", "cohere2", ("five layers",), None, windows, "layer_norm_eps", TIED | FOUR),
        Kind("exaone4", "exaone4", ("no window",)),
        Kind("exaone4", "exaone4", ("five layers",), None, windows, name="exaone4 32B"),
        Kind("gpt-oss", "gpt_oss", ("plain",), gpt_oss, windows, options=CLAMPED),
        Kind("starcoder", "gpt_bigcode", ("plain",), None, None, "layer_norm_epsilon"),
        Kind("bloom", "bloom", ("plain",), grouped, None, "layer_norm_epsilon"),
        Kind("nomic-bert", "nomic_bert", ("bare",), None, types, "layer_norm_eps", fuse=nomic),
        Kind("deepseek2", "deepseek_v2", ("plain", "no query latent"), deepseek, latents, **V2),
        Kind("deepseek2", "deepseek_v3", ("plain",), deepseek, latents, **V3),
        Kind("command-r", "cohere", ("tied",), None, command_r, "layer_norm_eps"),
        Kind("granite", "granite", ("plain",), llama, granite),
        Kind("granitemoe", "granitemoe", ("plain",), granite_experts, granite_many),
        Kind("arcee", "arcee", ("plain", "wide heads"), llama),
        Kind("nemotron", "nemotron", ("plain",), plus_one, rotated, "norm_eps"),
    )
}
