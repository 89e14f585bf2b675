"""Pickles in place of weights, adapters, code, checksums and defaults of generation."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks import BlocksError, CheckpointError, ConfigError, HubError, from_pretrained, verify
from tests.gallery.cases.container_files import Canary, zipped
from tests.gallery.harness import Act, Case, load
from tests.gallery.sound import INDEX, MODEL, edit, put

CODE = "import os\nos.system('touch canary')\n"
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "../other", "r": 8}
GENERATION = "generation_config.json"


def only(*names: str, data: Callable[[], bytes] = zipped) -> Callable[[Path], object]:
    """These files in place of the weights."""

    def damage(folder: Path) -> None:
        (folder / MODEL).unlink()
        for name in names:
            (folder / name).write_bytes(data())

    return damage


def moved(name: str) -> Callable[[Path], object]:
    """The weights under another name."""
    return lambda folder: (folder / MODEL).rename(folder / name)


def pickled_index(folder: Path) -> None:
    (folder / MODEL).unlink()
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(zipped())
    put(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "/dev/zero"}})


def adapter(**fields: Any) -> Callable[[Path], object]:
    """A file beside the whole model that says it is an adapter of another."""
    return lambda folder: put(folder / "adapter_config.json", ADAPTER | fields)


def adapter_alone(folder: Path) -> None:
    adapter()(folder)
    (folder / MODEL).rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()


def adapter_text(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "adapter_config.json").write_text(text)


def adapter_pipe(folder: Path) -> None:
    os.mkfifo(folder / "adapter_config.json")


def custom(**fields: Any) -> Callable[[Path], object]:
    """A config that names code of its own, which lies beside it."""

    def damage(folder: Path) -> None:
        for name in ("modeling_custom.py", "configuration_custom.py", "__init__.py", "config.py"):
            (folder / name).write_text(CODE)
        auto = {"auto_map": {"AutoModelForCausalLM": "modeling_custom.CustomForCausalLM"}}
        edit(folder / "config.json", lambda config: config | auto | fields)

    return damage


def text(name: str, raw: str | bytes) -> Callable[[Path], object]:
    data = raw.encode() if isinstance(raw, str) else raw
    return lambda folder: (folder / name).write_bytes(data)


def generation(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder / GENERATION, lambda data: data | fields)


def link(name: str, to: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder.parent / "secret").write_text("{}")
        (folder / name).symlink_to(to)

    return damage


def verified(folder: Path) -> Any:
    return from_pretrained(folder, verify=True)


def checked(folder: Path) -> Any:
    return verify(folder)


def lax(folder: Path) -> Any:
    return from_pretrained(folder, strict=False)


def case(
    name: str,
    damage: Callable[[Path], object],
    reason: str,
    file: str = "model",
    kind: type[BlocksError] = CheckpointError,
    act: Act = load,
    **more: Any,
) -> Case:
    return Case(name, damage, kind, reason, file=file, act=act, **more)


def default(name: str, reason: str, **fields: Any) -> Case:
    """A field of generation_config.json."""
    field = next(iter(fields))
    return case(name, generation(**fields), reason, GENERATION, ConfigError, field=field)


PICKLE = "only as pickles \\({}\\), which are never opened"
NEITHER = "neither model.safetensors nor an index of shards, but "
LORA = "says that this is an adapter of '../other', which is no model by itself"
OWN = "adapter_config.json"
SUMS = "sha256.json"
NO_JSON = "is not readable as JSON"

CASES = [
    case("only pytorch_model.bin", only("pytorch_model.bin"), PICKLE.format("pytorch_model.bin")),
    case(
        "only old pickles", only("a.pt", "b.pth", data=lambda: pickle.dumps(Canary())), "a.pt, b.pt"
    ),
    case("only a checkpoint of training", only("last.ckpt"), PICKLE.format("last.ckpt")),
    case("only an index of pickles", pickled_index, "only as pickles \\(pytorch_model-00001"),
    case("only flax", only("flax_model.msgpack"), PICKLE.format("flax_model.msgpack")),
    case("only TensorFlow", only("tf_model.h5"), "has no weights; it holds .*tf_model.h5"),
    case("a pickle named GGUF", only("a.gguf"), "no magic at its beginning", "a.gguf"),
    case("several GGUF", only("q4.gguf", "q8.gguf"), "holds 2 GGUF files: q4.gguf, q8.gguf"),
    case("another name", moved("consolidated.safetensors"), f"{NEITHER}consolidated.safetensors"),
    case("a shard without an index", moved("model-00001-of-00001.safetensors"), NEITHER),
    case(
        "a part that has a folder", lambda f: [(f / "a").mkdir(), moved(f"a/{MODEL}")(f)], NEITHER
    ),
    case("no weights", only(), "has no weights; it holds config.json"),
    case("weights in capitals", moved("MODEL.SAFETENSORS"), "has no weights"),
    case("an adapter that names another folder", adapter(), LORA, OWN, field="base_model_.*"),
    case("an adapter of nothing", adapter(base_model_name_or_path=None), "adapter of None", OWN),
    case("an adapter alone", adapter_alone, LORA, OWN, hint="load that model"),
    case(
        "an adapter alone that may lack all", adapter_alone, "config.json", act=lax, kind=HubError
    ),
    case("an adapter that is no JSON", adapter_text("{"), NO_JSON, OWN, ConfigError),
    case("an adapter that is a list", adapter_text("[]"), "not a JSON object", OWN, ConfigError),
    case("an adapter that is a pipe", adapter_pipe, "is no regular file", OWN, HubError),
    case("an adapter that is a link", link(OWN, "../secret"), "leads out", OWN, HubError),
    case(
        "a type that only its own code knows",
        custom(model_type="custom"),
        "no family for the model_type 'custom'",
        "config.json",
        ConfigError,
        field="model_type",
    ),
    case(
        "a class that only its own code knows",
        custom(architectures=["CustomForCausalLM"]),
        "CustomForCausalLM is not served",
        "config.json",
        ConfigError,
        field="architectures",
    ),
    case(
        "a type that is the name of a file",
        custom(model_type="modeling_custom"),
        "no family for",
        "config.json",
        ConfigError,
        field="model_type",
    ),
    case(
        "a type that is a path",
        custom(model_type="../modeling_custom"),
        "no family for",
        "config.json",
        ConfigError,
        field="model_type",
    ),
    case(
        "a tokenizer of its own code",
        custom(tokenizer_file="/etc/passwd"),
        "not known to the family",
        "config.json",
        ConfigError,
        field="tokenizer_file",
    ),
    case(
        "config.json is a pickle",
        text("config.json", pickle.dumps(Canary())),
        NO_JSON,
        "config.json",
        ConfigError,
    ),
    case(
        "config.json is a link",
        link("config.json", "../secret"),
        "leads out",
        "config.json",
        HubError,
    ),
    case(
        "config.json is a device",
        link("config.json", "/dev/zero"),
        "leads out",
        "config.json",
        HubError,
    ),
    case("no JSON of generation", text(GENERATION, "{"), NO_JSON, GENERATION, ConfigError),
    case(
        "a list of generation", text(GENERATION, "[]"), "not a JSON object", GENERATION, ConfigError
    ),
    case(
        "a pickle of generation",
        text(GENERATION, pickle.dumps(Canary())),
        NO_JSON,
        GENERATION,
        ConfigError,
    ),
    case(
        "2 MiB of generation",
        text(GENERATION, " " * (2 << 20)),
        "larger than",
        GENERATION,
        ConfigError,
    ),
    case(
        "a deep nest of generation",
        text(GENERATION, "[" * 100_000),
        NO_JSON,
        GENERATION,
        ConfigError,
    ),
    case(
        "generation twice", text(GENERATION, '{"a": 1, "a": 2}'), "twice", GENERATION, ConfigError
    ),
    case("generation is a link", link(GENERATION, "../secret"), "leads out", GENERATION, HubError),
    default("words that end a text", "'</s>' is not a token id", eos_token_id="</s>"),
    default("half a token that ends a text", "\\[1.5\\] is not a token id", eos_token_id=[1.5]),
    default("true ends a text", "True is not a token id", eos_token_id=True),
    default("an id beyond all bounds", "10{20} is not a token id", eos_token_id=10**20),
    default("a length beyond all bounds", "is not a number of tokens", min_length=10**20),
    default("a penalty beyond all bounds", "is not a number", length_penalty=10**400),
    default("half a beam", "0.5 is not a number of tokens", num_beams=0.5),
    default("fewer than no beams", "-1 is not a number of tokens", num_beams=-1),
    default("words for a penalty", "'high' is not a number", repetition_penalty="high"),
    default("ten thousand bad words", "more than can be looked", bad_words_ids=[[1, 2]] * 10_001),
    default("a bad word that is a word", "is not a list of lists", bad_words_ids=["bad"]),
    case("no checksums", lambda folder: None, f"has no {SUMS}", act=checked),
    case("checksums that are no JSON", text(SUMS, "{"), NO_JSON, SUMS, ConfigError, verified),
    case("checksums in a list", text(SUMS, "[]"), "not a JSON object", SUMS, ConfigError, checked),
    case(
        "checksums of a file outside",
        text(SUMS, json.dumps({"../secret": "0" * 64})),
        "is not what a save writes",
        SUMS,
        act=checked,
    ),
    case(
        "checksums of nothing",
        text(SUMS, "{}"),
        f"{MODEL} was not saved with it",
        f".*{MODEL}",
        act=checked,
    ),
    case(
        "checksums of another file",
        text(SUMS, json.dumps({MODEL: "0" * 64})),
        f"{MODEL} has the checksum .* not 0000",
        ".*",
        act=verified,
    ),
    case(
        "checksums of a lost file",
        text(SUMS, json.dumps({INDEX: "0" * 64})),
        f"{INDEX} is missing",
        ".*",
        act=verified,
    ),
]
