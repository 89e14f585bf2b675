"""A sound checkpoint of a tiny LLaMA, written byte by byte: what the gallery's cases damage."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.hub import craft

MODEL = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
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
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "float32",
}

TEMPLATE = (
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {
            "id": at,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for at, text in enumerate(("<s>", "</s>"))
    ],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
    "model": {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "vocab": {t: i for i, t in enumerate(["<s>", "</s>", *LETTERS, "Ġ", "th", "the", "er"])},
        "merges": ["t h", "th e", "e r"],
    },
}
TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "chat_template": TEMPLATE,
}
GENERATION: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "do_sample": False}

Tensors = dict[str, tuple[str, list[int], bytes]]  # name -> dtype, shape, data


def shapes(layers: int = 2) -> dict[str, list[int]]:
    """The names and shapes that the config orders."""
    found = {"model.embed_tokens.weight": [32, 16]}
    for i in range(layers):
        at = f"model.layers.{i}."
        found |= {
            at + "input_layernorm.weight": [16],
            at + "self_attn.q_proj.weight": [16, 16],
            at + "self_attn.k_proj.weight": [8, 16],
            at + "self_attn.v_proj.weight": [8, 16],
            at + "self_attn.o_proj.weight": [16, 16],
            at + "post_attention_layernorm.weight": [16],
            at + "mlp.gate_proj.weight": [24, 16],
            at + "mlp.up_proj.weight": [24, 16],
            at + "mlp.down_proj.weight": [16, 24],
        }
    return found | {"model.norm.weight": [16], "lm_head.weight": [32, 16]}


def tensors(seed: int = 1, layers: int = 2) -> Tensors:
    """Every tensor in F32, with other numbers for another seed."""
    return dict(_tensors(seed, layers))


@cache
def _tensors(seed: int, layers: int) -> Tensors:
    draw = random.Random(seed)
    return {name: vector(shape, draw) for name, shape in shapes(layers).items()}


def vector(shape: list[int], draw: random.Random) -> tuple[str, list[int], bytes]:
    """Random numbers as one tensor."""
    count = 1
    for size in shape:
        count *= size
    return "F32", shape, struct.pack(f"<{count}f", *(draw.gauss(0, 0.3) for _ in range(count)))


def pack(data: Tensors, metadata: Any = None, edit: Callable[[Any], Any] | None = None) -> bytes:
    """A safetensors file; `edit` may change its header (in place, or by giving another)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"} if metadata is None else metadata}
    start = 0
    for name, (dtype, shape, raw) in data.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [start, start + len(raw)],
        }
        start += len(raw)
    header = (edit(header) or header) if edit else header
    return craft.file(header, b"".join(raw for _, _, raw in data.values()))


def write(folder: Path, data: Tensors | None = None, **config: Any) -> Path:
    """A whole checkpoint in one file; a config field of None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {name: value for name, value in {**CONFIG, **config}.items() if value is not None}
    put(folder / "config.json", fields)
    put(folder / "generation_config.json", GENERATION)
    put(folder / "tokenizer.json", TOKENIZER)
    put(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    (folder / MODEL).write_bytes(pack(tensors() if data is None else data))
    return folder


def put(path: Path, data: Any) -> None:
    """A JSON file."""
    path.write_text(json.dumps(data), encoding="utf-8")


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Changes a JSON file in place, or to what `change` gives."""
    data = json.loads(path.read_text(encoding="utf-8"))
    put(path, change(data) or data)


def shard(folder: Path, index: Mapping[str, Any] | None = None) -> dict[str, Tensors]:
    """Splits the one file into two with an index, whose fields `index` may replace."""
    data = tensors()
    names = list(data)
    parts = {
        file: {name: data[name] for name in some}
        for file, some in zip(SHARDS, (names[:10], names[10:]), strict=True)
    }
    for file, some in parts.items():
        (folder / file).write_bytes(pack(some))
    (folder / MODEL).unlink()
    total = sum(len(raw) for _, _, raw in data.values())
    weight_map = {name: file for file, some in parts.items() for name in some}
    put(
        folder / INDEX,
        {"metadata": {"total_size": total}, "weight_map": weight_map} | (index or {}),
    )
    return parts
