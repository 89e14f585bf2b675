"""What a dialect asks of a GGUF file: its metadata, the shapes of its tensors, some small ones."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from blocks.errors import CheckpointError, ConfigError
from blocks.hub.config import Config
from blocks.hub.gguf.container import Raw, Texts
from blocks.hub.gguf.undo import Line

__all__: list[str] = []

_SMALL = 1 << 16  # values of a tensor that belongs to the config

# What stands beside the architecture's own keys and changes no logit.
_BESIDE = ("general.", "tokenizer.", "split.", "quantize.", "imatrix.")
# What the architectures' own keys may hold that changes none.
_HARMLESS = ("vocab_size", "pooling_type", "rope.scaling.finetuned", "tensor_data_layout")


@dataclass(frozen=True)
class Facts:
    """One file, or several parts of one.

    Attributes:
        architecture: as the file says it.
        meta: the reader of its keys, without the architecture's name before them.
        tensors: by the file's names.
        bytes_of: the bytes of a tensor.
        file: its name, for errors.
        alien: keys of something else.
    """

    architecture: str
    meta: Config
    tensors: Mapping[str, Raw]
    bytes_of: Callable[[str], bytes]
    file: str | Path
    alien: tuple[str, ...] = ()

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor.

        Errors:
            CheckpointError: there is no such tensor.
        """
        if name not in self.tensors:
            raise CheckpointError("is missing", file=self.file, tensor=name)
        return self.tensors[name].shape

    def floats(self, name: str) -> list[float]:
        """The values of a small tensor of 32-bit floats, as short as they can be written.

        Errors:
            CheckpointError: it is large, or of another type.
        """
        count = prod(self.shape(name))
        raw = self.tensors[name]
        if raw.kind.name != "F32" or count > _SMALL:
            reason = f"must be at most {_SMALL} values of F32, not {count} of {raw.kind.name}"
            raise CheckpointError(reason, file=self.file, tensor=name)
        return [shortest(value) for value in struct.unpack(f"<{count}f", self.bytes_of(name))]


@dataclass(frozen=True)
class Dialect:
    """How files of one architecture are read as those of a family.

    Attributes:
        model_type: the family, or what tells it from the file.
        config: the fields of its config.json, from the file.
        lines: the table of tensor names, from the file and these fields.
        ignore: templates of tensors that nothing reads, since the config says the same.
    """

    model_type: str | Callable[[Facts], str]
    config: Callable[[Facts], dict[str, Any]]
    lines: Callable[[Facts, Mapping[str, Any]], tuple[Line, ...]]
    ignore: tuple[str, ...] = ()

    def read(self, facts: Facts) -> dict[str, Any]:
        """config.json as the family's own files have it.

        Errors:
            ConfigError: a key that is missing, wrong, or not known.
        """
        name = self.model_type if isinstance(self.model_type, str) else self.model_type(facts)
        fields = {"model_type": name, **self.config(facts)}
        facts.meta.finish()
        if facts.alien:
            reason = "this key is not known"
            raise ConfigError(reason, file=facts.file, field=facts.alien[0])
        return fields


def shortest(value: float) -> float:
    """The shortest decimal that is this 32-bit float: 1e-06 and not 9.999999974752427e-07."""
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("<f", short) == struct.pack("<f", value):
            return short
    return value


def facts_of(
    metadata: Mapping[str, Any],
    tensors: Mapping[str, Raw],
    bytes_of: Callable[[str], bytes],
    file: str | Path,
) -> Facts:
    """The facts of a model's file.

    Errors:
        ConfigError: it is no model, or holds keys of something else.
    """
    kind = metadata.get("general.type", "model")
    name = metadata.get("general.architecture")
    if kind != "model" or not isinstance(name, str):
        what = f"holds no model but {kind!r}" if kind != "model" else "names no architecture"
        raise ConfigError(what, file=file, field="general.architecture")
    own = {k.removeprefix(f"{name}."): v for k, v in metadata.items() if k.startswith(f"{name}.")}
    plain = {k: _plain(v) for k, v in own.items() if k not in _HARMLESS}
    alien = tuple(key for key in metadata if not key.startswith((f"{name}.", *_BESIDE)))
    return Facts(name, Config(plain, file, name), tensors, bytes_of, file, alien)


def _plain(value: Any) -> Any:
    """As JSON would have it."""
    if isinstance(value, float):
        return shortest(value)
    return [_plain(one) for one in value] if isinstance(value, tuple | Texts) else value
