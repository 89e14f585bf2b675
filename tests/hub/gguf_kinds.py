"""What llama.cpp's conversion does to each architecture: its rules, told here once more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter, PoolingType
from torch import Tensor

from tests.hub.gguf_files import Kind, Parts, kv_heads


def turned(rows: Tensor, heads: int) -> Tensor:
    """Rows whose turning pairs lie half a head apart, put side by side."""
    return rows.view(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def llama(name: str, tensor: Tensor, config: Any) -> Parts:
    """Queries and keys turned; experts in one tensor each."""
    if ".q_proj." in name:
        tensor = turned(tensor, config.num_attention_heads)
    elif ".k_proj." in name:
        tensor = turned(tensor, config.num_key_value_heads)
    yield from experts(name, tensor, config)


def experts(name: str, tensor: Tensor, config: Any) -> Parts:
    """The experts' gates and ways up, which the reference has in one tensor."""
    if name.endswith("experts.gate_up_proj"):
        for part, half in zip(("gate", "up"), tensor.chunk(2, 1), strict=True):
            yield name.replace("gate_up_proj", f"{part}_proj.weight"), half
    elif name.endswith("experts.down_proj"):
        yield name + ".weight", tensor
    else:
        yield name, tensor


def plus_one(name: str, tensor: Tensor, config: Any) -> Parts:
    """One more in the weights of norms."""
    yield name, tensor + 1 if name.endswith("norm.weight") else tensor


def grouped(name: str, tensor: Tensor, config: Any) -> Parts:
    """Fused rows of groups, put one after another by what they are."""
    if ".query_key_value." in name:
        heads = config.num_attention_heads
        kv = kv_heads(config)
        groups = tensor.view(kv, heads // kv + 2, -1, *tensor.shape[1:])
        parts = groups[:, :-2], groups[:, -2:-1], groups[:, -1:]
        tensor = torch.cat([part.reshape(-1, *tensor.shape[1:]) for part in parts])
    yield name, tensor


def gpt2(name: str, tensor: Tensor, config: Any) -> Parts:
    """Matrices transposed."""
    turned_over = tensor.dim() == 2 and name.split(".")[-2].startswith("c_")
    yield name, tensor.t() if turned_over else tensor


def mamba(name: str, tensor: Tensor, config: Any) -> Parts:
    yield name, -torch.exp(tensor) if name.endswith("A_log") else tensor


def stablelm(name: str, tensor: Tensor, config: Any) -> Parts:
    """The norms of heads in one matrix."""
    if "_layernorm.norms." not in name:
        yield name, tensor


def rotated(writer: GGUFWriter, config: Any) -> None:
    """How many channels of a head turn."""
    width = config.hidden_size // config.num_attention_heads
    share = config.rope_parameters.get("partial_rotary_factor", 1.0)
    writer.add_rope_dimension_count(int(share * width))
    if hasattr(config, "use_parallel_residual"):
        writer.add_parallel_residual(config.use_parallel_residual)


def many(writer: GGUFWriter, config: Any) -> None:
    """Experts."""
    count = getattr(config, "num_experts", None) or config.num_local_experts
    writer.add_expert_count(count)
    writer.add_expert_used_count(config.num_experts_per_tok)
    if hasattr(config, "moe_intermediate_size") or config.model_type == "gpt_oss":
        size = getattr(config, "moe_intermediate_size", config.intermediate_size)
        writer.add_expert_feed_forward_length(size)
    if hasattr(config, "shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def gemma(writer: GGUFWriter, config: Any) -> None:
    if getattr(config, "attn_logit_softcapping", None):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    if getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    if "exaone" in config.model_type:
        writer.add_sliding_window_pattern([kind[0] == "s" for kind in config.layer_types])


def phi3(writer: GGUFWriter, config: Any) -> None:
    rotated(writer, config)
    writer.add_sliding_window(config.sliding_window or 0)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    if "long_factor" not in config.rope_parameters:
        return
    trained = config.original_max_position_embeddings
    stretch = math.log(config.max_position_embeddings / trained)
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + stretch / math.log(trained)))
    for kind in ("long", "short"):
        factors = config.rope_parameters[f"{kind}_factor"]
        writer.add_tensor(f"rope_factors_{kind}.weight", np.array(factors, np.float32))


def stretched(writer: GGUFWriter, config: Any) -> None:
    """What LLaMA 3.1's scaling makes of each frequency."""
    rope = config.rope_parameters
    width = config.hidden_size // config.num_attention_heads
    trained, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    found = []
    for n in range(0, width, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (n / width)
        if wave < trained / high:
            found.append(1.0)
        elif wave > trained / low:
            found.append(factor)
        else:
            smooth = (trained / wave - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    writer.add_tensor("rope_freqs.weight", np.array(found, dtype=np.float32))


def command_r(writer: GGUFWriter, config: Any) -> None:
    writer.add_logit_scale(config.logit_scale)


def granite(writer: GGUFWriter, config: Any) -> None:
    writer.add_attention_scale(config.attention_multiplier)
    writer.add_embedding_scale(config.embedding_multiplier)
    writer.add_residual_scale(config.residual_multiplier)
    writer.add_logit_scale(config.logits_scaling)


def states(writer: GGUFWriter, config: Any) -> None:
    writer.add_context_length(1 << 20)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(config.conv_kernel)
    writer.add_ssm_inner_size(config.intermediate_size)
    writer.add_ssm_state_size(config.state_size)
    writer.add_ssm_time_step_rank(config.time_step_rank)


def gpt_oss(name: str, tensor: Tensor, config: Any) -> Parts:
    """Gates and ways up, which take turns, taken apart, and all experts' matrices transposed."""
    at = name.rpartition("experts.")[0] + "experts."
    kind = "bias" if name.endswith("_bias") else "weight"
    turned_back = tensor.transpose(1, 2) if tensor.dim() > 2 else tensor
    if ".experts.gate_up_proj" in name:
        for part, rows in (("gate", turned_back[:, 0::2]), ("up", turned_back[:, 1::2])):
            yield f"{at}{part}_proj.{kind}", rows
    elif ".experts.down_proj" in name:
        yield f"{at}down_proj.{kind}", turned_back
    else:
        yield name.replace("self_attn.sinks", "self_attn.sinks.weight"), tensor


def nomic(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As its first files had them: other names, and q, k and v in one."""
    found = {}
    for name, tensor in tensors.items():
        for ours, theirs in NOMIC.items():
            name = name.replace(ours, theirs)
        if ".q_proj." in name:
            at = name.replace("q_proj", "{}_proj")
            parts = [tensors[at.removeprefix("encoder.").format(part)] for part in "qkv"]
            found[name.replace("self_attn.q_proj", "attn.Wqkv")] = torch.cat(parts)
        elif "_proj." not in name or "out_proj" in name:
            found[name] = tensor
    return found


NOMIC = {
    "layers.": "encoder.layers.",
    "embeddings.LayerNorm": "emb_ln",
    "post_attention_layernorm": "norm1",
    "post_mlp_layernorm": "norm2",
    "mlp.up_proj": "mlp.fc11",
    "mlp.gate_proj": "mlp.fc12",
    "mlp.down_proj": "mlp.fc2",
    "self_attn.o_proj": "attn.out_proj",
}


def types(writer: GGUFWriter, config: Any) -> None:
    writer.add_token_type_count(config.type_vocab_size)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.NONE)


def windows(writer: GGUFWriter, config: Any) -> None:
    writer.add_sliding_window(config.sliding_window)
    if "exaone" in config.model_type:
        writer.add_sliding_window_pattern([kind[0] == "s" for kind in config.layer_types])
    if hasattr(config, "logit_scale"):
        writer.add_logit_scale(config.logit_scale)
    if hasattr(config, "num_local_experts"):
        many(writer, config)


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
        Kind("stablelm", "stablelm", ("plain",), stablelm, rotated, "layer_norm_eps"),
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
        Kind("command-r", "cohere", ("tied",), None, command_r, "layer_norm_eps"),
        Kind("granite", "granite", ("plain",), llama, granite),
        Kind("nemotron", "nemotron", ("plain",), plus_one, rotated, "norm_eps"),
    )
}
