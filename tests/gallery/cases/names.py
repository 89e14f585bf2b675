"""Tensors that are missing, left over, misnamed or misshapen."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from blocks import CheckpointError
from tests.gallery.harness import Case
from tests.gallery.sound import MODEL, Tensors, pack, tensors, vector

UP = "model.layers.1.mlp.up_proj.weight"
QUERY = "model.layers.0.self_attn.q_proj.weight"
VALUE = "model.layers.0.self_attn.v_proj.weight"
NORM = "model.norm.weight"
HEAD = "lm_head.weight"
DOWN = "model.layers.0.mlp.down_proj.weight"


def held(change: Callable[[Tensors], Tensors | None]) -> Callable[[Path], object]:
    """Other tensors: changed in place, or others altogether."""

    def damage(folder: Path) -> None:
        data = tensors()
        (folder / MODEL).write_bytes(
            pack(changed if (changed := change(data)) is not None else data)
        )

    return damage


def without(*parts: str) -> Callable[[Path], object]:
    """All tensors but those with such a part in their names."""
    return held(lambda d: {n: t for n, t in d.items() if not any(part in n for part in parts)})


def more(*names: str, shape: tuple[int, ...] = (16,)) -> Callable[[Path], object]:
    """Tensors on top."""
    return held(lambda d: d | {name: vector(list(shape), random.Random(2)) for name in names})


def renamed(old: str, new: str) -> Callable[[Path], object]:
    return held(lambda data: {name.replace(old, new): one for name, one in data.items()})


def shaped(*shape: int, name: str = NORM) -> Callable[[Path], object]:
    """A tensor of another shape, and of as many numbers as that needs."""
    return held(lambda data: data | {name: vector(list(shape), random.Random(2))})


def exchanged(data: Tensors) -> None:
    data[QUERY], data[VALUE] = data[VALUE], data[QUERY]


def fused(data: Tensors) -> Tensors:
    """The three matrices of the attention in one, as another family has it."""
    names = [QUERY.replace("q_proj", f"{letter}_proj") for letter in "qkv"]
    raw = b"".join(data[name][2] for name in names)
    return {
        **{name: one for name, one in data.items() if name not in names},
        QUERY.replace("q_proj", "qkv_proj"): ("F32", [32, 16], raw),
    }


def deeper(folder: Path) -> None:
    (folder / MODEL).write_bytes(pack(tensors(layers=3)))


def case(
    name: str,
    damage: Callable[[Path], object],
    reason: str,
    tensor: str | None = None,
    hint: str | None = None,
    file: str = MODEL,
) -> Case:
    if tensor is not None and "*" not in tensor:
        tensor = re.escape(tensor) or "()"
    return Case(name, damage, CheckpointError, reason, file=file, tensor=tensor, hint=hint)


MISSING, EXTRA, SHAPE = "missing: ", "not used by the model: ", "wrong shape: "
LAYER = "model.layers.{}.mlp.up_proj.weight"
ESCAPES = "model.\x1b[2J\x1b]0;owned\x07.weight"

CASES = [
    case("one is missing", without(UP), f"{MISSING}{UP}$", UP),
    case(
        "the embedding and the head are missing",
        without("embed", HEAD),
        f"{MISSING}model.embed_tokens.weight, {HEAD}$",
        "model.embed_tokens.weight",
    ),
    case("the last norm is missing", without(NORM), f"{MISSING}{NORM}$", NORM),
    case("every norm is missing", without("norm"), f"{MISSING}.*input_layernorm", ".*norm.*"),
    case("all are missing", held(lambda data: {}), "^holds no tensors$", file=MODEL),
    case(
        "the last layer is missing",
        without("layers.1."),
        f"{MISSING}.*layers.1",
        ".*layers.1.*",
        "the file holds 1 layers, num_hidden_layers says 2",
    ),
    case(
        "the first layer is missing", without("layers.0."), f"{MISSING}.*layers.0", ".*layers.0.*"
    ),
    case("half of each layer is missing", without("mlp"), f"{MISSING}.*{{0-1}}.mlp", ".*mlp.*"),
    case("one too many", more("model.extra.weight"), f"{EXTRA}model.extra", "model.extra.weight"),
    case(
        "a bias that nobody asked for",
        more(QUERY.replace("weight", "bias")),
        f"{EXTRA}.*q_proj.bias",
        ".*q_proj.bias",
    ),
    case(
        "a layer too many",
        deeper,
        f"{EXTRA}model.layers.2",
        ".*layers.2.*",
        "the file holds 3 layers, num_hidden_layers says 2",
    ),
    case(
        "misspelt",
        renamed("up_proj", "upproj"),
        f"{MISSING}.*up_proj.*{EXTRA}.*upproj",
        LAYER.format(0),
    ),
    case("in capitals", renamed(NORM, NORM.upper()), f"{MISSING}{NORM}.*MODEL.NORM", NORM),
    case(
        "a space behind a name",
        renamed(NORM, f"{NORM} "),
        f"{MISSING}{NORM}; {EXTRA}{NORM} $",
        NORM,
    ),
    case(
        "a Cyrillic letter", renamed(NORM, "model.nоrm.weight"), f"{MISSING}{NORM}; {EXTRA}", NORM
    ),
    case(
        "a wrong prefix",
        renamed("model.", "module."),
        f"{MISSING}model.*{EXTRA}module.",
        "model.*",
    ),
    case(
        "a prefix twice",
        renamed("model.", "model.model."),
        f"{MISSING}.*{EXTRA}model.model",
        "model.*",
    ),
    case("no prefix", renamed("model.", ""), f"{MISSING}model.*{EXTRA}embed_tokens", "model.*"),
    case(
        "an adapter's names",
        renamed("model.", "base_model.model.model."),
        f"{MISSING}model.*{EXTRA}base_model",
        "model.*",
    ),
    case(
        "another family's names",
        renamed("layers.", "h."),
        f"{MISSING}.*{EXTRA}model.h.",
        ".*layers.*",
    ),
    case("a layer of number -1", more(LAYER.format(-1)), f"{EXTRA}.*layers.-1", LAYER.format(-1)),
    case(
        "a layer of number 007",
        more(LAYER.format("007")),
        f"{EXTRA}.*layers.0*7",
        LAYER.format("007"),
    ),
    case(
        "a layer of number 00", more(LAYER.format("00")), f"{EXTRA}.*layers.0*0", LAYER.format("00")
    ),
    case(
        "a layer of an Arabic number",
        more(LAYER.format("\u0661")),
        f"{EXTRA}.*layers",
        LAYER.format("\u0661"),
    ),
    case(
        "a layer of number 10^30",
        more(LAYER.format(10**30)),
        f"{EXTRA}.*layers.10",
        LAYER.format(10**30),
    ),
    case("a layer of 500 digits", more("model.layers." + "9" * 480), f"{EXTRA}.*layers.9", ".*9"),
    case("a layer of no number", more(LAYER.format("")), f"{EXTRA}.*layers..mlp", LAYER.format("")),
    case("2,000 too many", more(*(f"x.{i}.{i % 7}" for i in range(2_000))), EXTRA, "x.0.0"),
    case(
        "2,000 kinds too many",
        more(*(f"x{i}" for i in range(2_000))),
        "and 1988 more kinds",
        "x0",
    ),
    case("an empty name", more(""), f'{EXTRA}""$', ""),
    case("a name of dots", more("..."), f"{EXTRA}\\.\\.\\.$", "..."),
    case("a path for a name", more("../../etc/passwd"), f"{EXTRA}\\.\\./", "../../etc/passwd"),
    case("a line break in a name", more("model\nweight"), f"{EXTRA}", "model\nweight"),
    case("a terminal's escape codes", more(ESCAPES), f"{EXTRA}model.\\\\x1b", ".*owned.*"),
    case(
        "text from right to left", more("model.\u202ethgiew"), f"{EXTRA}model.\\\\u202e", ".*thgiew"
    ),
    case("a template for a name", more("model.layers.{i}.x"), f"{EXTRA}model.layers", ".*"),
    case("a format for a name", more("%s%n{0.__class__}"), f"{EXTRA}%s%n", ".*class.*"),
    case("metadata for a name", more("__metadata"), f"{EXTRA}__metadata", "__metadata"),
    case(
        "fused and apart",
        held(lambda data: data | fused(data)),
        f"{EXTRA}.*qkv_proj",
        ".*qkv_proj.*",
    ),
    case("fused", held(fused), f"{MISSING}.*[qkv]_proj.*{EXTRA}.*qkv_proj", ".*[qkv]_proj.*"),
    case("wrong shape", shaped(17), f"{SHAPE}{NORM} is \\[17\\], not \\[16\\]", NORM),
    case("a row short", shaped(31, 16, name=HEAD), f"{SHAPE}{HEAD} is \\[31, 16\\]", HEAD),
    case("transposed", shaped(24, 16, name=DOWN), "is \\[24, 16\\], not \\[16, 24\\]", DOWN),
    case("two of other shapes exchanged", held(exchanged), "\\[8, 16\\], not \\[16, 16\\]", QUERY),
    case("a number for a vector", shaped(), "is \\[\\], not \\[16\\]", NORM),
    case("an axis more", shaped(1, 16), "is \\[1, 16\\], not \\[16\\]", NORM),
    case("flat", shaped(256, name=QUERY), "is \\[256\\], not \\[16, 16\\]", QUERY),
    case("no rows", shaped(0, 16, name=HEAD), "is \\[0, 16\\], not \\[32, 16\\]", HEAD),
    case(
        "more heads than the config says",
        shaped(16, 16, name=VALUE),
        "is \\[16, 16\\], not \\[8, 16\\]",
        VALUE,
    ),
]
