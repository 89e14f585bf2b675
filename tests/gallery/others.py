"""Tiny checkpoints of families that have what LLaMA lacks, written by our own export."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

import blocks
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.gallery.sound import edit

_SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
_LATENT = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 8,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 4,
    "v_head_dim": 4,
    "num_key_value_heads": 4,
    "routed_scaling_factor": 2.5,
    "norm_topk_prob": True,
}
_HYBRID = {
    "num_hidden_layers": 4,
    "attn_layer_offset": 1,
    "attn_layer_period": 2,
    "expert_layer_offset": 1,
    "expert_layer_period": 2,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "mamba_d_state": 4,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_dt_rank": 4,
    "rope_theta": None,
}
_SEQUENCES = {
    "vocab_size": 32,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_heads": 4,
    "num_layers": 2,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 8,
    "tie_word_embeddings": False,
}
_RECURRENT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "state_size": 4,
    "conv_kernel": 4,
    "expand": 2,
    "time_step_rank": 2,
    "layer_norm_epsilon": 1e-5,
}
_OLD = {"n_embd": 16, "n_head": 4, "n_layer": 2, "n_positions": 64, "vocab_size": 32}
_BOTH_WAYS = {name: _SIZES[name] for name in list(_SIZES)[:3] + list(_SIZES)[4:7]}

CONFIGS: dict[str, dict[str, Any]] = {
    "mistral": _SIZES | {"sliding_window": 8},
    "mixtral": _SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma2": _SIZES | {"head_dim": 4, "query_pre_attn_scalar": 4, "sliding_window": 8},
    "gemma3_text": _SIZES | {"head_dim": 4, "query_pre_attn_scalar": 4, "sliding_window": 8},
    "deepseek_v3": _SIZES | _LATENT,
    "jamba": {name: value for name, value in (_SIZES | _HYBRID).items() if value is not None},
    "t5": _SEQUENCES,
    "mamba": _RECURRENT,
    "gpt2": _OLD,
    "bert": _BOTH_WAYS | {"type_vocab_size": 2},
}


@cache
def _written(family: str) -> Path:
    data = {"model_type": family, **CONFIGS[family]}
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix=f"{family}-"))
    blocks.export(outline_of(Config(data)).build(), folder, family=family)
    return folder


def put(folder: Path, family: str, **fields: Any) -> None:
    """Replaces what is in `folder` by a checkpoint of that family with other fields."""
    shutil.rmtree(folder)
    shutil.copytree(_written(family), folder)
    edit(folder / "config.json", lambda data: data | fields)


def of(family: str, **fields: Any) -> Callable[[Path], object]:
    """A damage that does so."""
    return lambda folder: put(folder, family, **fields)
