"""Calls with arguments that can't be, and of models that can't do it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from blocks import (
    GenerationError,
    Tokenizer,
    TokenizerError,
    beam_search,
    embed,
    fill_mask,
    from_pretrained,
    generate,
    packaged,
    stream,
    transcribe,
)
from tests.gallery.harness import Case

ROW = torch.tensor([[0, 5, 9, 3]])
PAIR = torch.tensor([[0, 5, 9], [0, 7, 8]])
MASK = torch.ones(1, 3, dtype=torch.bool)


def nothing(folder: Path) -> None: ...


def read(model: Any, state: Any) -> Any:
    return model(ROW, None, state)


def of_another(model: Any) -> Any:
    """The state of a model with other layers."""
    return read(model, from_pretrained(packaged()).init_state())


def when_full(model: Any) -> Any:
    state = model.init_state(1, 4)
    read(model, state)
    return model(ROW[:, :1], None, state)


def call(name: str, act: Callable[[Any], Any], reason: str, field: str, **more: Any) -> Case:
    def loaded(folder: Path) -> Any:
        return str(act(from_pretrained(folder)))

    return Case(name, nothing, GenerationError, reason, field=field, act=loaded, **more)


def asked(reason: str, **options: Any) -> Case:
    """Generation with options of which the last is at fault."""
    field, value = list(options.items())[-1]
    options = {"max_new_tokens": 4, **options}
    plain = isinstance(value, float | int | str)
    name = f"{field} is {value!r}" if plain else f"{field}: {reason}"
    return call(name, lambda model: generate(model, [0, 5], **options), reason, field)


def said(name: str, tokens: Any, reason: str, field: str = "tokens", **options: Any) -> Case:
    """Generation from something."""
    given: dict[str, Any] = {"max_new_tokens": 4, **options}
    return call(name, lambda model: generate(model, tokens, **given), reason, field)


def spelled(name: str, act: Callable[[Tokenizer], Any], reason: str, field: str) -> Case:
    def read_it(folder: Path) -> Any:
        return act(Tokenizer.from_pretrained(folder))

    return Case(name, nothing, TokenizerError, reason, field=field, act=read_it)


INPUTS = [
    call("a negative id", lambda model: model(ROW - 4), "token -4 is not in the voc", "tokens"),
    call("the id after the last", lambda model: model(ROW + 23), "token 32 is not in", "tokens"),
    call("an id far out", lambda model: model(ROW + (1 << 62)), "is not in the voc", "tokens"),
    call("ids are floats", lambda model: model(ROW.float()), "integers, not torch.f", "tokens"),
    call("ids are bools", lambda model: model(ROW.bool()), "integers, not torch.bool", "tokens"),
    call("ids are bytes", lambda model: model(ROW.byte()), "integers, not torch.ui", "tokens"),
    call("ids are a list", lambda model: model([[1]]), "tensor .*, not list", "tokens"),
    call("ids on three axes", lambda model: model(ROW[None]), "not .1, 1, 4.", "tokens"),
    call("no tokens", lambda model: model(ROW[:, :0]), "nothing to read", "tokens"),
    call("no rows", lambda model: model(ROW[:0]), "nothing to read", "tokens"),
    call("mask of another length", lambda model: model(ROW, MASK), r"mask is \[1, 3\]", "mask"),
    call("mask is a list", lambda model: model(ROW, [[1] * 4]), "is a list, not a", "mask"),
    call("mask of floats", lambda model: model(ROW, ROW.float()), "bool or 0 and 1", "mask"),
    call("mask of other numbers", lambda model: model(ROW, ROW), "bool or 0 and 1", "mask"),
    call("segments are few", lambda m: m(ROW, segments=PAIR), r"is \[2, 3\]", "segments"),
    call("segments of floats", lambda m: m(ROW, segments=ROW.float()), "whole num", "segments"),
    call("images to a reader", lambda m: m(ROW, media=ROW.float()), "tokens alone", "media"),
    said("no prompt", [], "token ids, not list"),
    said("text as a prompt", "the other", "token ids, not str"),
    said("an empty row", [[1], []], "row 1 is empty"),
    said("a row that is none", [[1], 2], "row 1 holds something that is no int"),
    said("ids with a fraction", [1.5], "row 0 holds something that is no int"),
    said("an id beyond 64 bits", [1 << 70], "too large for any vocabulary"),
    said("ids elsewhere", ROW.to("meta"), "are on meta, the model is on cpu"),
    said("a long prompt", [1] * 64, "64 tokens leaves no room in the model's context of 64"),
    said("padding alone", PAIR, "row 1 is empty", mask=PAIR.bool() & (PAIR[:, 1:2] == 5)),
    said("lists with a mask", [[1]], "lists need no mask", "mask", mask=MASK),
]
OPTIONS = [
    asked("not a whole number above zero", max_new_tokens=0),
    asked("not a whole number above zero", max_new_tokens=-1),
    asked("not a whole number above zero", max_new_tokens=2.5),
    asked("exceed the model's context of 64", max_new_tokens=1 << 60),
    asked("not in .0.0, inf", temperature=-1.0),
    asked("not in .0.0, inf", temperature=math.nan),
    asked("not in .0.0, inf", temperature=math.inf),
    asked("'hot' is not a number", temperature="hot"),
    asked("0 is not in .1", temperature=1.0, top_k=0),
    asked("not a whole number", temperature=1.0, top_k=2.5),
    asked("0.0 is not in", temperature=1.0, top_p=0.0),
    asked("2.0 is not in", temperature=1.0, top_p=2.0),
    asked("nan is not in", temperature=1.0, top_p=math.nan),
    asked("-0.1 is not in", temperature=1.0, min_p=-0.1),
    asked("0.0 is not in", repetition_penalty=0.0),
    asked("nan is not in", repetition_penalty=math.nan),
    asked("not a number of tokens", no_repeat_ngram=-1),
    asked("not a whole number", temperature=1.0, seed=1.5),
    asked("neither a token id nor a string", stop=1.5),
    asked("can't be found without a tokenizer", stop="the"),
    asked("99 is not in the vocabulary", stop=99),
    asked("begins with its prompt", start=3),
    asked("must be callables", rules=[5]),
    asked("gives NoneType, not scores", rules=(lambda scores, draft: None,)),
    asked("scores that are NaN", temperature=1.0, rules={lambda s, draft: s * math.nan}),
    call("no beams", lambda m: beam_search(m, [1], beams=0), "whole number", "beams"),
    call("2^30 beams", lambda m: beam_search(m, [1], beams=1 << 30), "to 1024", "beams"),
    call(
        "two prompts streamed",
        lambda m: stream(m, [[1]] * 2, max_new_tokens=4),
        "one prompt",
        "tokens",
    ),
]
STATES = [
    call("a number as a state", lambda m: read(m, 5), "is a int, not what init_state", "state"),
    call("state of other rows", lambda m: read(m, m.init_state(2)), "for 2 sequences", "state"),
    call(
        "state of another dtype",
        lambda m: read(m, m.init_state(dtype=torch.float16)),
        "float16, not",
        "state",
    ),
    call("state of another model", of_another, "a model with other layers", "state"),
    call("a full state", when_full, "5 tokens don't fit into room for 4", "room"),
    call("a state of no rows", lambda m: m.init_state(0), "0 is not a whole", "batch"),
    call("a state beyond memory", lambda m: m.init_state(1, 1 << 50), "is no memory for", "room"),
]
KINDS = [
    call("masks for a writer", lambda m: fill_mask(m, "a"), "CausalLM fills no m", "model"),
    call("vectors of a writer", lambda m: embed(m, "a"), "without a SentenceH", "model"),
    call("sound to a writer", lambda m: transcribe(m, torch.zeros(9)), "hear", "model"),
    call("a layer that is asked", lambda m: generate(m.head, [1]), "has no vocab", "model"),
    spelled("a number as text", lambda t: t.encode(5), "must be a text, not int", "text"),  # pyright: ignore[reportArgumentType]  # that is the test
    spelled("half a character", lambda t: t.encode("\ud800"), "half a surrogate", "text"),
    spelled("an id that is no token", lambda t: t.decode([32]), "32 is not in the", "ids"),
    spelled("a negative id decoded", lambda t: t.decode([-1]), "-1 is not in the", "ids"),
    spelled("a batch decoded", lambda t: t.decode(ROW), "must be ints, not list", "ids"),
]
CASES = [*INPUTS, *OPTIONS, *STATES, *KINDS]
