"""Files of models that hear, or that give one vector a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from blocks import BlocksError, ConfigError, HubError, export, read_features
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.gallery.harness import Case, load
from tests.gallery.sound import put

BERT = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
}
WHISPER = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80}
PREPROCESSOR, MODULES = "preprocessor_config.json", "modules.json"
POOLING = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}


def module(kind: str, path: Any = "") -> dict[str, Any]:
    return {"idx": 0, "name": "0", "path": path, "type": f"sentence_transformers.models.{kind}"}


def hears(**fields: Any) -> Callable[[Path], object]:
    """A front end of Whisper with other fields."""
    return lambda folder: put(folder / PREPROCESSOR, WHISPER | fields)


def text(name: str, raw: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(raw)


def pool(path: Any) -> dict[str, Any]:
    return module("Pooling", path)


@cache
def encoder() -> dict[str, bytes]:
    """The files of a small BERT."""
    with TemporaryDirectory() as place:
        export(outline_of(Config(BERT)).build(), place)
        return {path.name: path.read_bytes() for path in Path(place).iterdir()}


def pooled(*modules: Any, **pooling: Any) -> Callable[[Path], object]:
    """A small BERT with these modules, and a way of pooling in a folder of its own."""

    def damage(folder: Path) -> None:
        for path in folder.iterdir():
            path.unlink()
        for name, data in encoder().items():
            (folder / name).write_bytes(data)
        put(folder / MODULES, list(modules))
        for place in (folder / "1_Pooling", folder.parent / "1_Pooling"):
            place.mkdir()
            put(place / "config.json", POOLING | pooling)

    return damage


def modules(raw: str) -> Callable[[Path], object]:
    """The same with another text of its modules."""

    def damage(folder: Path) -> None:
        pooled()(folder)
        (folder / MODULES).write_text(raw)

    return damage


def pipe(folder: Path) -> None:
    os.mkfifo(folder / PREPROCESSOR)


def listen(folder: Path) -> Any:
    return read_features(folder)(torch.zeros(1600))


def case(
    name: str,
    damage: Callable[[Path], object],
    reason: str,
    file: str = PREPROCESSOR,
    kind: type[BlocksError] = ConfigError,
    field: str | None = None,
) -> Case:
    act = load if file != PREPROCESSOR else listen
    return Case(name, damage, kind, reason, file=file, field=field, act=act)


def sound(name: str, reason: str, **fields: Any) -> Case:
    """One field of a front end that is to blame."""
    return case(name, hears(**fields), reason, field=next(iter(fields)))


def outside(name: str, path: str, reason: str) -> Case:
    return case(name, pooled(ENCODER, pool(path)), reason, MODULES, field="path")


ENCODER = module("Transformer")

CASES = [
    case("no JSON of sound", text(PREPROCESSOR, "{"), "is not readable as JSON"),
    case("a list of sound", text(PREPROCESSOR, "[]"), "is not a JSON object"),
    case("a pipe of sound", pipe, "is no regular file", kind=HubError),
    sound("an unknown ear", "'os.system' is not supported", feature_extractor_type="os.system"),
    sound("a million filters", "over the limit of 1024", feature_size=10**6),
    sound("a frame of 2^40 samples", "over the limit of 16384", n_fft=2**40),
    sound("10^9 seconds", "over the limit of 3600", chunk_length=10**9),
    sound("10^9 samples a second", "over the limit of 400000", sampling_rate=10**9),
    case(
        "an hour of the highest sound",
        hears(sampling_rate=400_000, chunk_length=3600),
        "1440000000 samples are over the limit",
        field="chunk_length",
    ),
    case(
        "a window wider than its transform",
        hears(feature_extractor_type="ParakeetFeatureExtractor", win_length=10**9),
        "more than the 512 points",
        field="win_length",
    ),
    sound("no step", "0 is not between 1 and", hop_length=0),
    sound("half a filter", "80.5 is not int", feature_size=80.5),
    sound("filters that are words", "is not a table of numbers", mel_filters=["a"]),
    sound("filters of another scale", "not the filters of", mel_filters=[[1.0] * 201] * 80),
    sound("noise that is added", "1.0 is not supported", dither=1.0),
    sound("a field of no ear", "not known to the family", hop=160),
    case("no list of modules", modules("{}"), "is not a list of modules", MODULES),
    case("no modules", modules("[]"), "is not a list of modules", MODULES),
    case("no JSON of modules", modules("["), "is not readable as JSON", MODULES),
    case("modules nested without end", modules("[" * 100_000), "is not readable as", MODULES),
    case("a type twice", modules('[{"type": "a", "type": "b"}]'), "is there twice", MODULES),
    case("a module of a number", pooled(ENCODER, 7), "7 is not a module", MODULES, field="type"),
    case("a module of code", pooled(ENCODER, module("os.system")), "system is not supp", MODULES),
    case("a module in a list", pooled(ENCODER, pool(["1_Pooling"])), "is not a folder", MODULES),
    outside("a module outside", "../1_Pooling", "leaves its folder"),
    outside("a module at the root", "/etc", "is an absolute path"),
    outside("a module of an address", "https://host", "has a backslash or a colon"),
    case(
        "a module that is nowhere",
        pooled(ENCODER, pool("2_Pooling")),
        "has no 2_Pooling/config",
        "model",
        HubError,
    ),
    case(
        "two ways of pooling",
        pooled(ENCODER, pool("1_Pooling"), pooling_mode_max_tokens=True),
        "2 ways of pooling at once",
        "config.json",
    ),
    case(
        "a pooling of another width",
        pooled(ENCODER, pool("1_Pooling"), word_embedding_dimension=10**9),
        "is 1000000000, the encoder's width is 16",
        "config.json",
        field="word_embedding_dimension",
    ),
]
