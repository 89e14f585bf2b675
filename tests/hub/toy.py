"""A tiny LLaMA checkpoint written by hand: its names are the reference's, not our Keys'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def tensors(dtype: torch.dtype = torch.float32, layers: int = 2) -> dict[str, Tensor]:
    """Every tensor of the checkpoint, scrambled."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (32, 16)}
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {
            at + "input_layernorm.weight": (16,),
            at + "self_attn.q_proj.weight": (16, 16),
            at + "self_attn.k_proj.weight": (8, 16),
            at + "self_attn.v_proj.weight": (8, 16),
            at + "self_attn.o_proj.weight": (16, 16),
            at + "post_attention_layernorm.weight": (16,),
            at + "mlp.gate_proj.weight": (24, 16),
            at + "mlp.up_proj.weight": (24, 16),
            at + "mlp.down_proj.weight": (16, 24),
        }
    shapes |= {"model.norm.weight": (16,), "lm_head.weight": (32, 16)}
    generator = torch.Generator().manual_seed(1)
    return {n: (torch.randn(s, generator=generator) * 0.3).to(dtype) for n, s in shapes.items()}


def write(folder: Path, data: dict[str, Tensor] | None = None, **config: Any) -> Path:
    """A folder with config.json and model.safetensors; a config field of None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {name: value for name, value in {**CONFIG, **config}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(fields))
    save_file(tensors() if data is None else data, folder / "model.safetensors", {"format": "pt"})
    return folder
