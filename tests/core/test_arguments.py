"""Whatever a public function is called with, it answers with an error of ours, or with none."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import blocks
from blocks import BlocksError, Chain, GQAttention, Mamba, Residual, Spec
from blocks.arguments import near_words

WRONG: tuple[Any, ...] = (None, 3.5, -1, "", "nonsense", [], {}, object(), b"x", [[]], ["a", 3])
TEXT = torch.tensor([[1, 2, 3]])
PLACE = "layers.0.attention"


@cache
def model() -> Any:
    return blocks.from_pretrained(blocks.packaged())


@cache
def tokenizer() -> Any:
    return blocks.Tokenizer.from_pretrained(blocks.packaged())


@cache
def small(kind: str) -> Any:
    layer = Spec(Chain, steps={"mlp": Spec(Residual, inner=Spec(blocks.MLP, hidden=4))})
    head = Spec(blocks.SentenceHead, pool="mean")
    made = {
        "reads": blocks.Encoder(vocab=1024, dim=4, layers=(layer,), head=head),
        "fills": blocks.MaskedLM(vocab=1024, dim=4, layers=(layer,)),
        "adapted": blocks.add_adapter(model(), rank=2),
    }
    return made[kind]


@cache
def spec() -> Any:
    return model().spec


def there(folder: Path) -> dict[str, dict[str, Any]]:
    """What each function is called with where nothing is wrong; what it takes first, first."""
    new = Spec(Mamba)
    return {
        "ablate": {"model": model(), "names": f"{PLACE}.after", "heads": None, "to": "zero"},
        "activation": {"name": "silu"},
        "activation_statistics": {"model": model(), "inputs": TEXT, "at": ("**.after",)},
        "add_adapter": {"model": model(), "on": ("q",), "rank": 2, "alpha": 1.0, "dtype": None}
        | {"kind": "LoRA", "dropout": 0.0, "train": ()},
        "addresses": {"model": model()},
        "alignment": {"model": model(), "source": TEXT, "target": TEXT},
        "at": {"spec": spec(), "address": PLACE},
        "attention_maps": {"model": model(), "inputs": TEXT, "at": "**.pattern"},
        "beam_search": {"model": model(), "tokens": [1, 2], "beams": 2, "max_new_tokens": 1}
        | {"stop": None, "rules": (), "mask": None, "tokenizer": None},
        "capture": {"model": model(), "patterns": f"{PLACE}.after"},
        "diff": {"a": model(), "b": spec()},
        "draw": {"x": spec(), "file": None, "title": None, "theme": "auto"},
        "dream": {"machine": model(), "v": TEXT, "most": 1},
        "embed": {"model": small("reads"), "texts": "hi", "tokenizer": tokenizer(), "batch": 1},
        "explain": {"x": spec(), "depth": 1, "context": 4},
        "export": {"model": model(), "folder": folder, "family": None, "max_shard_size": "5GB"},
        "factorise": {"model": model(), "where": ("layers.0.mlp.up",), "rank": 2, "energy": None},
        "fill_mask": {"model": small("fills"), "text": "a", "tokenizer": tokenizer(), "top": 1},
        "find": {"model": model(), "address": PLACE},
        "from_infill": {"arranged": "a"},
        "from_json": {"data": blocks.to_json(new), "blocks": ()},
        "from_pretrained": {"repo_or_dir": blocks.packaged(), "dtype": None, "device": None}
        | {"rewrite": None, "blocks": ()},
        "generate": {"model": model(), "tokens": [1, 2], "max_new_tokens": 1, "temperature": 0.0}
        | {"top_k": None, "stop": None, "seed": None, "mask": None, "cache": None, "chunk": None}
        | {"rules": (), "start": None, "tokenizer": None, "assistant": None},
        "gpt3": {"name": "125M", "vocab": 9},
        "handwrite": {"model": model(), "text": None},
        "hippo_dplr": {"size": 4},
        "hippo_legs": {"size": 4},
        "hook_points": {"model": model(), "patterns": f"{PLACE}.after"},
        "infill_prompt": {"prefix": "a", "suffix": "b", "order": "psm"},
        "inspect": {"repo_or_dir": blocks.packaged(), "blocks": ()},
        "load_adapter": {"model": model(), "repo_or_dir": folder, "family": None},
        "logit_lens": {"model": model(), "inputs": TEXT, "top": 1},
        "mamba_byte": {"name": "353M"},
        "merge_adapter": {"model": small("adapted")},
        "next_token_loss": {"model": model(), "tokens": TEXT, "mask": None, "targets": None},
        "palm": {"name": "8B", "vocab": 9},
        "patch": {"model": model(), "changes": {f"{PLACE}.after": lambda x: x}},
        "push_to_hub": {"model": model(), "repo_id": "no id"},
        "read_audio": {"path": "none.wav", "rate": 16000},
        "read_features": {"repo_or_dir": blocks.packaged()},
        "replace": {"spec": spec()},
        "rewrite": {"spec": spec(), "where": PLACE, "new": new},
        "save_adapter": {"model": small("adapted"), "folder": folder, "base": None, "family": None},
        "save_pretrained": {"model": model(), "folder": folder, "max_shard_size": "5GB"},
        "stream": {"model": model(), "tokens": [1, 2], "max_new_tokens": 1},
        "swap": {"model": model(), "where": PLACE, "new": new, "rules": (), "probe": None},
        "to_infill": {"text": "abc", "random": random.Random(0), "order": "psm", "rate": 1.0},
        "to_json": {"spec": spec()},
        "to_torch": {"block": blocks.GRU(4)},
        "trainable": {"model": model()},
        "transcribe": {"model": model(), "audio": torch.zeros(9)},
        "two_streams": {"model": model(), "tokens": TEXT},
        "verify": {"repo_or_dir": blocks.packaged()},
        "walk": {"spec": spec(), "address": ""},
    }


def call(name: str, given: Mapping[str, Any]) -> None:
    """The call, and what its answer does only when it is used."""
    function: Callable[..., Any] = getattr(blocks, name)
    parameters = inspect.signature(function).parameters.values()
    first = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.name in given]
    named = {key: value for key, value in given.items() if key not in first}
    answer = function(*(given[key] for key in first), **named)
    if isinstance(answer, AbstractContextManager):
        with answer:
            model()(TEXT)
    elif isinstance(answer, Iterator):
        list(answer)


# What the functions hand over to others, or have no argument of; each is tried elsewhere.
ELSEWHERE = {"Rename", "byte_tokenizer", "character_tokenizer", "eject", "flash_attend"}
ELSEWHERE |= {"bahdanau", "from_torch", "graves_handwriting", "graves_text", "optimize"}
ELSEWHERE |= {"packaged", "scan", "ssd", "sutskever", "use_kernels"}
NAMES = sorted(n for n in blocks.__all__ if inspect.isfunction(getattr(blocks, n)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_each_argument_is_wrong_in_turn(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)  # "nonsense" is a good name for a folder
    given = there(tmp_path / "out")[name]
    for argument in given:
        for wrong in WRONG:
            try:
                call(name, {**given, argument: wrong})
            except BlocksError as error:
                assert error.reason, f"{argument}={wrong!r}"
            except Exception as error:
                pytest.fail(f"{name}({argument}={wrong!r}) ended in {error!r}")


UNKNOWN: dict[str, tuple[Callable[[], Any], str]] = {
    "an activation": (lambda: blocks.activation("sillu"), "the nearest are silu"),  # pyright: ignore[reportArgumentType]  # a user's mistake
    "a size": (lambda: blocks.gpt3("125"), "the nearest are 125M"),
    "a dtype": (lambda: load(dtype="float32"), "torch.float32"),
    "another dtype": (lambda: load(dtype="float"), "torch.float32"),
    "a device": (lambda: load(device="cud"), "the nearest are cuda"),
    "an option": (lambda: Spec(GQAttention, head=4), "did you mean 'heads'?"),  # pyright: ignore[reportCallIssue]  # a user's mistake
    "an address": (lambda: blocks.find(model(), "layers.0.atention"), PLACE),
    "a kind": (lambda: blocks.add_adapter(model(), kind="lora"), "LoRA"),  # pyright: ignore[reportArgumentType]  # a user's mistake
    "a block": (lambda: blocks.from_json({"block": "GQAtention", "options": {}}), "GQAttention"),
    "a family": (lambda: blocks.export(model(), "x", family="lama"), "llama"),
    "a way to pack": (lambda: blocks.optimize(model(), quantize="int5"), "int4"),  # pyright: ignore[reportArgumentType]  # a user's mistake
}


def load(**options: Any) -> Any:
    return blocks.from_pretrained(blocks.packaged(), **options)


@pytest.mark.parametrize("what", UNKNOWN)
def test_an_unknown_name_is_answered_with_the_nearest(what: str) -> None:
    wrong, words = UNKNOWN[what]
    with pytest.raises(BlocksError) as caught:
        wrong()
    assert words in str(caught.value.hint), caught.value


def test_what_is_said_of_known_names() -> None:
    many = [f"name{i}" for i in range(30)]
    assert str(near_words("nam7", many)).startswith("the nearest are name7, ")
    assert near_words("xyz", many) == "such as name0, name1, name2"
    assert near_words("xyz", many, "look there") == "look there"
    assert near_words(None, ["a", "b"]) == "known: a, b"
    assert near_words("a", []) is None
