"""GGUF files of the reference's models, written by the rules of llama.cpp's conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from torch import Tensor

from tests.families.reference import Variant, build, case_of, first

Parts = Iterator[tuple[str, Tensor]]
Change = Callable[[str, Tensor, Any], Parts]
Tell = Callable[[GGUFWriter, Any], None]


@dataclass(frozen=True)
class Kind:
    """How models of one architecture are written.

    Attributes:
        architecture: as the file says it.
        family: the name of the battery's case, or its file.
        variants: of that case, the plain one first.
        change: what the conversion does to a tensor, by the reference's name.
        tell: metadata beside those that all have.
        norm: the name of the norms' epsilon in the reference's config.
        options: of the reference's config, over the case's: what files of this kind can't say.
    """

    architecture: str
    family: str
    variants: tuple[str, ...] = ("plain",)
    change: Change | None = None
    tell: Tell | None = None
    norm: str = "rms_norm_eps"
    options: Mapping[str, Any] = field(default_factory=dict)


def reference(kind: Kind, variant: str, **options: Any) -> tuple[Any, Variant]:
    """The reference's model with every parameter drawn anew, and how it is asked."""
    case = case_of(kind.family)
    chosen = case.variants[first(kind.family) if variant == "plain" else variant]
    chosen = replace(chosen, options={**chosen.options, **kind.options, **options})
    return build(case, chosen), chosen


def write(
    path: Path,
    model: Any,
    kind: Kind,
    quantised: GGMLQuantizationType | None = None,
    *,
    back: bool = False,
) -> None:
    """The file. Matrices whose rows are whole blocks are quantised, where that is asked for.

    With `back`, what they stand for is written instead.
    """
    config = model.config
    depth = config.num_hidden_layers
    writer = GGUFWriter(path, kind.architecture)
    writer.add_block_count(depth)
    writer.add_embedding_length(config.hidden_size)
    if kind.architecture != "mamba":
        writer.add_context_length(config.max_position_embeddings)
        names = ("intermediate_size", "ffn_hidden_size", "n_inner")
        writer.add_feed_forward_length(next(v for n in names if (v := getattr(config, n, None))))
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(kv_heads(config))
    eps = getattr(config, kind.norm, 1e-5)
    rms = "rms" in kind.norm or kind.architecture == "mamba"
    (writer.add_layer_norm_rms_eps if rms else writer.add_layer_norm_eps)(eps)
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    if "rope_theta" in rope:
        writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
        if "original_max_position_embeddings" in rope:
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    head = getattr(config, "head_dim", None)
    if head and kind.architecture not in ("phi3", "falcon"):
        writer.add_key_length(head)
        writer.add_value_length(head)
    if kind.tell:
        kind.tell(writer, config)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config.vocab_size)
    known = gguf.get_tensor_name_map(_architecture(kind.architecture), depth)
    tied = getattr(config, "tie_word_embeddings", False)
    for name, tensor in model.state_dict().items():
        if name.endswith("lm_head.weight") and tied:
            continue
        changed = kind.change(name, tensor, config) if kind.change else iter([(name, tensor)])
        for theirs, part in changed:
            if theirs.startswith(("cls.", "pooler.")):
                continue  # the conversion leaves heads out
            held = known.get_name(theirs.removeprefix("bert."), (".weight", ".bias"))
            assert held is not None, theirs
            _add(writer, held, part.squeeze().float().numpy(), quantised, back)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def kv_heads(config: Any) -> int:
    if getattr(config, "multi_query", False) and not config.new_decoder_architecture:
        return 1
    names = ("num_kv_heads", "num_key_value_heads", "num_attention_heads")
    return next(count for name in names if (count := getattr(config, name, None)))


def _architecture(name: str) -> gguf.MODEL_ARCH:
    return next(arch for arch, said in gguf.MODEL_ARCH_NAMES.items() if said == name)


def _add(
    writer: GGUFWriter,
    name: str,
    values: np.ndarray,
    kind: GGMLQuantizationType | None,
    back: bool,
) -> None:
    values = np.ascontiguousarray(values)
    if kind is None or values.ndim < 2 or values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        writer.add_tensor(name, values)
        return
    packed = gguf.quants.quantize(values, kind)
    if back:
        writer.add_tensor(name, gguf.quants.dequantize(packed, kind))
    else:
        writer.add_tensor(name, packed, raw_dtype=kind)


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
    if hasattr(config, "moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if hasattr(config, "shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def gemma(writer: GGUFWriter, config: Any) -> None:
    if getattr(config, "attn_logit_softcapping", None):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    if getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)


def phi3(writer: GGUFWriter, config: Any) -> None:
    rotated(writer, config)
    writer.add_sliding_window(config.sliding_window or 0)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)


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

KINDS = {
    kind.family: kind
    for kind in (
        Kind("llama", "llama", ("plain", "biases", "tied", "wide heads", "linear"), llama),
        Kind("llama", "mixtral", ("plain",), llama, many),
        Kind("qwen2", "qwen2", ("plain", "tied", "yarn")),
        Kind("qwen3", "qwen3"),
        Kind("qwen2moe", "qwen2_moe", ("plain",), experts, many),
        Kind("qwen3moe", "qwen3_moe", ("renormalised",), experts, many),
        Kind("olmoe", "olmoe", ("plain",), experts, many),
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
        Kind("bert", "bert", ("bare",), None, None, "layer_norm_eps"),
        Kind("command-r", "cohere", ("tied",), None, command_r, "layer_norm_eps"),
        Kind("granite", "granite", ("plain",), llama, granite),
        Kind("nemotron", "nemotron", ("plain",), plus_one, rotated, "norm_eps"),
    )
}
