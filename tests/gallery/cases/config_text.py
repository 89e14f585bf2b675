"""config.json as text, and the words that name the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from blocks import ConfigError
from tests.gallery.harness import Case
from tests.gallery.sound import CONFIG, edit

FILE = "config.json"
WHOLE = json.dumps(CONFIG)
UNKNOWN = r"no family for the model_type"


def say(field: str, value: Any) -> Callable[[Path], object]:
    """Another value of one field."""
    return says(**{field: value})


def says(*lost: str, **fields: Any) -> Callable[[Path], object]:
    """Other values of some fields, and some fields less."""

    def change(data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in {**data, **fields}.items() if name not in lost}

    return lambda folder: edit(folder / FILE, change)


def text(content: str | bytes) -> Callable[[Path], object]:
    """Another text."""
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / FILE).write_bytes(raw)


def refused(
    name: str, damage: Callable[[Path], object], field: str, reason: str, **more: Any
) -> Case:
    """A case of a config that is refused for one of its fields."""
    return Case(name, damage, ConfigError, reason, file=FILE, field=field, **more)


def of_file(name: str, content: str | bytes, reason: str, **more: Any) -> Case:
    """A case of a config.json that can't be read at all."""
    return Case(name, text(content), ConfigError, reason, file=FILE, **more)


def linked(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).mkdir()


typed = partial(refused, field="model_type", reason=UNKNOWN, hint=r"known: .*\bllama\b")
served = partial(refused, field="architectures")

CASES = [
    of_file("nothing in it", "", r"not readable as JSON: Expecting value"),
    of_file("half of it", WHOLE[: len(WHOLE) // 2], r"not readable as JSON"),
    of_file("a brace too many", WHOLE + "}", r"not readable as JSON: Extra data"),
    of_file("a comma at its end", WHOLE[:-1] + ",}", r"not readable as JSON"),
    of_file("a comment", "// a model\n" + WHOLE, r"not readable as JSON: Expecting value"),
    of_file("single quotes", WHOLE.replace('"', "'"), r"not readable as JSON: .*double quotes"),
    of_file("a web page", "<!DOCTYPE html><html>404</html>", r"not readable as JSON"),
    of_file(
        "a pointer to another store", "version https://git-lfs.github.com/spec/v1\n", r"as JSON"
    ),
    of_file("bytes", b"\x80\x04\x95\x00\xff\xfe", r"not readable as JSON: .*decode"),
    of_file("zeros", b"\0" * 400, r"not readable as JSON"),
    of_file("a list", f"[{WHOLE}]", r"not a JSON object"),
    of_file("a number", "3", r"not a JSON object"),
    of_file("a word", '"llama"', r"not a JSON object"),
    of_file("null", "null", r"not a JSON object"),
    of_file("an empty object", "{}", UNKNOWN, field="model_type"),
    of_file("more than a mebibyte", WHOLE + " " * (1 << 20), r"larger than 1048576 bytes"),
    of_file("lists in lists", "[" * 100_000, r"not readable as JSON: .*(recursion|depth)"),
    of_file("objects in objects", '{"a":' * 100_000, r"not readable as JSON: .*(recursion|depth)"),
    of_file(
        "an unknown field of many lists",
        WHOLE[:-1] + f', "a": {"[" * 900}{"]" * 900}}}',
        r"nested|deep|not known",
    ),
    of_file("a field twice", WHOLE[:-1] + ', "hidden_size": 32}', r"twice", field="hidden_size"),
    of_file(
        "a field twice, alike", WHOLE[:-1] + ', "vocab_size": 32}', r"twice", field="vocab_size"
    ),
    of_file(
        "a field twice inside",
        WHOLE[:-1] + ', "rope_scaling": {"factor": 2.0, "factor": 4.0}}',
        r"twice",
        field="factor",
    ),
    of_file("a number too long", WHOLE.replace("10000.0", "1" * 5000), r"JSON: .*digits"),
    of_file("half a surrogate", WHOLE[:-1] + ', "\\ud800": 1}', r"not known", field="\ud800"),
    Case("a folder", linked, Exception, r"no regular file", file=FILE),  # type: ignore[arg-type]
    typed("no model_type", says("model_type")),
    *(
        typed(f"model_type {name}", say("model_type", value))
        for name, value in {
            "null": None,
            "a number": 3,
            "a list": ["llama"],
            "an object": {"llama": 1},
            "empty": "",
            "misspelt": "lama",
            "in capitals": "LLAMA",
            "with a space": "llama ",
            "a path": "../llama",
            "an absolute path": "/etc/passwd",
            "a module": "os.path",
            "of Python's own": "__class__",
            "a private room": "_decoder",
            "another package": "hub",
            "with a null byte": "llama\0",
            "with escape codes": "llama\n\x1b[2J\x1b[31mtrusted",
            "of a million letters": "l" * 900_000,
            "of wide letters": "ｌｌａｍａ",
        }.items()
    ),
    refused("another family", say("model_type", "gpt2"), "architectures", r"LlamaFor.* not served"),
    served(
        "another task", say("architectures", ["LlamaForTokenClassification"]), reason="not served"
    ),
    served(
        "a class of Python", say("architectures", ["os.system"]), reason=r"system is not served"
    ),
    served(
        "architectures a word", say("architectures", "LlamaForCausalLM"), reason=r"is not tuple"
    ),
    served("architectures of numbers", say("architectures", [3]), reason=r"3 is not str"),
    served("architectures of null", say("architectures", [None]), reason=r"None is not str"),
    served("architectures an object", say("architectures", {"a": 1}), reason=r"is not tuple"),
    *(
        refused(f"a field {name!r}", say(name, 1), field, r"not known to the family", hint=hint)
        for name, field, hint in (
            ("hiden_size", "hiden_size", "did you mean 'hidden_size'"),
            ("rope_thetas", "rope_thetas", "did you mean 'rope_theta'"),
            ("num_experts", "num_experts", None),
            ("trust_remote_code", "trust_remote_code", None),
            ("base_model_name_or_path", "base_model_name_or_path", None),
            ("sliding_window", "sliding_window", None),
            ("attn_logit_softcapping", "attn_logit_softcapping", None),
            ("__class__", "__class__", None),
            ("__proto__", "__proto__", None),
            ("", "", None),
            ("\x1b[31mred", r"\x1b\[31mred", None),
        )
        if name
    ),
]
