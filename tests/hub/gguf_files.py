"""GGUF files of the reference's models, written by the rules of llama.cpp's conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
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
        name: in tests, where it isn't the family's.
        fuse: all tensors of the reference, such as the first files had them.
    """

    architecture: str
    family: str
    variants: tuple[str, ...] = ("plain",)
    change: Change | None = None
    tell: Tell | None = None
    norm: str = "rms_norm_eps"
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    fuse: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict


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
        writer.add_context_length(getattr(config, "max_position_embeddings", 64))
        names = ("intermediate_size", "ffn_hidden_size", "n_inner")
        writer.add_feed_forward_length(
            next((v for n in names if (v := getattr(config, n, None))), 4 * config.hidden_size)
        )
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(1 if kind.architecture == "deepseek2" else kv_heads(config))
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
    if head and kind.architecture not in ("phi3", "falcon", "deepseek2"):
        writer.add_key_length(head)
        writer.add_value_length(head)
    if kind.tell:
        kind.tell(writer, config)
    if "tokenizer.ggml.model" not in writer.kv_data[0]:
        writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config.vocab_size)
    known = gguf.get_tensor_name_map(_architecture(kind.architecture), depth)
    tied = getattr(config, "tie_word_embeddings", False)
    for name, tensor in kind.fuse(model.state_dict()).items():
        if name.endswith("lm_head.weight") and tied:
            continue
        changed = kind.change(name, tensor, config) if kind.change else iter([(name, tensor)])
        for theirs, part in changed:
            if theirs.startswith(("cls.", "pooler.")):
                continue  # the conversion leaves heads out
            ends = (".weight", ".bias")
            held = theirs if theirs.startswith("blk.") else known.get_name(theirs, ends)
            held = held or known.get_name(theirs.partition(".")[2], ends)  # of older files
            assert held is not None, theirs
            _add(writer, held, part.squeeze().float().numpy(), quantised, back)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def kv_heads(config: Any) -> int:
    newer = getattr(config, "new_decoder_architecture", False)
    if getattr(config, "multi_query", False) and not newer:
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
