"""What llama.cpp's conversion does to each architecture: its rules, told here once more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gguf import ExpertGatingFuncType, GGUFWriter, PoolingType
from torch import Tensor

from tests.hub.gguf_files import Parts, kv_heads


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


def granite_experts(name: str, tensor: Tensor, config: Any) -> Parts:
    """Mixtral's, by names of the reference that the package's table lacks."""
    name = name.replace("block_sparse_moe.experts", "mlp.experts")
    yield from llama(name.replace("moe.router.weight", "moe.gate.weight"), tensor, config)


def granite_many(writer: GGUFWriter, config: Any) -> None:
    granite(writer, config)
    many(writer, config)


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


def stablelm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The norms of heads in one matrix."""
    found, each = {}, "_layernorm.norms."
    for name, tensor in tensors.items():
        at, _, rest = name.partition(each)
        if rest == "0.weight":
            rows = [t for other, t in tensors.items() if other.startswith(at + each)]
            found[f"{at}_layernorm.weight"] = torch.stack(rows)
        elif not rest:
            found[name] = tensor
    return found


def old_experts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each expert in tensors of its own, as files had them at first."""
    found = {}
    for name, tensor in tensors.items():
        at = f"blk.{name.split('.')[2]}.ffn_" if "layers." in name else ""
        for e, rows in enumerate(tensor if ".experts." in name else ()):
            if "gate_up" in name:
                found[f"{at}gate.{e}.weight"], found[f"{at}up.{e}.weight"] = rows.chunk(2)
            else:
                found[f"{at}down.{e}.weight"] = rows
        if ".experts." not in name:
            found[name] = tensor
    return found


def rotated(writer: GGUFWriter, config: Any) -> None:
    """How many channels of a head turn."""
    width = config.hidden_size // config.num_attention_heads
    share = config.rope_parameters.get("partial_rotary_factor", 1.0)
    writer.add_rope_dimension_count(int(share * width))
    if hasattr(config, "use_parallel_residual"):
        writer.add_parallel_residual(config.use_parallel_residual)


def many(writer: GGUFWriter, config: Any) -> None:
    """Experts."""
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    count = next(count for name in names if (count := getattr(config, name, None)))
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


def deepseek(name: str, tensor: Tensor, config: Any) -> Parts:
    """What makes keys and values of latents, in two tensors."""
    if name.endswith("kv_b_proj.weight"):
        rows = tensor.view(config.num_attention_heads, -1, config.kv_lora_rank)
        keys, values = rows.split([config.qk_nope_head_dim, config.v_head_dim], 1)
        yield name.replace("kv_b_proj", "k_b_proj"), keys.transpose(1, 2)
        yield name.replace("kv_b_proj", "v_b_proj"), values
    elif name.endswith("e_score_correction_bias"):
        yield name.replace("_correction_bias", "_correction.bias"), tensor
    else:
        yield from experts(name, tensor, config)


def latents(writer: GGUFWriter, config: Any) -> None:
    many(writer, config)
    rope, rank = config.qk_rope_head_dim, config.kv_lora_rank
    if config.q_lora_rank:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_kv_lora_rank(rank)
    writer.add_rope_dimension_count(rope)
    writer.add_key_length(rank + rope)
    writer.add_value_length(rank)
    writer.add_key_length_mla(config.qk_nope_head_dim + rope)
    writer.add_value_length_mla(config.v_head_dim)
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    third = config.model_type == "deepseek_v3"
    writer.add_expert_weights_norm(third and config.norm_topk_prob)
    choice = ExpertGatingFuncType.SIGMOID if third else ExpertGatingFuncType.SOFTMAX
    writer.add_expert_gating_func(choice)
    if config.n_group and config.n_group > 1:
        writer.add_expert_group_count(config.n_group)
        writer.add_expert_group_used_count(config.topk_group)
    if "mscale_all_dim" in config.rope_parameters:
        writer.add_rope_scaling_yarn_log_mul(0.1 * config.rope_parameters["mscale_all_dim"])


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
