"""How positions turn: the base, how it is stretched, and both dialects of saying so."""

from __future__ import annotations

from functools import partial
from math import inf, nan
from typing import Any

from tests.gallery.cases.config_text import refused, say, says

LATER = {"transformers_version": "4.40.0"}


def scaled(**fields: Any) -> Any:
    """A RoPE that is stretched."""
    return say("rope_scaling", fields)


def long(short: Any, long: Any) -> Any:
    return scaled(type="longrope", short_factor=short, long_factor=long)


theta = partial(refused, field="rope_theta")
rope = partial(refused, field="rope_scaling")
factor = partial(refused, field="rope_scaling.factor")
llama3 = partial(scaled, rope_type="llama3", factor=8.0, original_max_position_embeddings=32)
yarn = partial(scaled, type="yarn", factor=2.0)

CASES = [
    *(
        theta(f"theta {value}", say("rope_theta", value), reason=reason)
        for value, reason in (
            (0, r"^0\.0 is not in \(1, 1e15\]"),
            (-10000.0, r"^-10000\.0 is not in"),
            (1e-30, r"^1e-30 is not in"),
            (1.0, r"^1\.0 is not in"),
            (1e30, r"^1e\+30 is not in"),
            (nan, r"^nan is not float"),
            (inf, r"^inf is not a finite"),
            ("10000", r"^'10000' is not float"),
        )
    ),
    theta("theta missing", says("rope_theta"), reason=r"missing", hint=r"mean 10000\.0"),
    theta("theta lost", says("rope_theta", **LATER), reason=r"^this field is missing"),
    theta(
        "two thetas",
        says(rope_theta=5e5, rope_parameters={"rope_type": "default", "rope_theta": 2e6}),
        reason=r"500000\.0 here, 2000000\.0 in rope_parameters",
    ),
    rope("scaling a word", say("rope_scaling", "linear"), reason=r"'linear' is not an object"),
    rope("scaling a list", say("rope_scaling", [2.0]), reason=r"\[2\.0\] is not an object"),
    rope(
        "two dialects",
        says(
            rope_scaling={"type": "linear", "factor": 2.0},
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
        reason=r"beside rope_parameters",
    ),
    rope(
        "scaling unheard of",
        scaled(type="spiral", factor=2.0),
        field="rope_scaling.rope_type",
        reason=r"'spiral' is not known",
        hint=r"known: .*yarn",
    ),
    rope(
        "scaling by a number",
        scaled(type=3, factor=2.0),
        field="rope_scaling.type",
        reason=r"3 is not str",
    ),
    rope(
        "two scalings",
        scaled(type="linear", rope_type="dynamic", factor=2.0),
        field="rope_scaling.rope_type",
        reason=r"'dynamic', and type is 'linear'",
    ),
    *(
        factor(f"factor {value}", scaled(type="linear", factor=value), reason=reason)
        for value, reason in (
            (0, r"^0\.0 is not in \[1, 1e6\]"),
            (-2.0, r"^-2\.0 is not in"),
            (0.5, r"^0\.5 is not in"),
            (1e30, r"^1e\+30 is not in"),
            (nan, r"^nan is not float"),
            ("2", r"^'2' is not float"),
            (None, r"^this field is missing"),
        )
    ),
    factor("dynamic factor 0.5", scaled(type="dynamic", factor=0.5), reason=r"^0\.5 is not in"),
    rope(
        "scaling misspelt",
        yarn(fator=1),
        field="rope_scaling.fator",
        reason=r"not known",
        hint="'factor'",
    ),
    rope(
        "ramp upside down",
        yarn(beta_fast=1.0, beta_slow=32.0),
        field="rope_scaling.beta_slow",
        reason=r"slow \(32\.0\) must be below fast",
    ),
    rope(
        "ramp below zero",
        yarn(beta_fast=-1),
        field="rope_scaling.beta_fast",
        reason=r"above zero, not -1",
    ),
    rope(
        "magnitude below zero",
        yarn(attention_factor=-1.0),
        field="rope_scaling.attention_factor",
        reason=r"above zero, not -1",
    ),
    rope(
        "llama3 of one frequency",
        scaled(rope_type="llama3", factor=8.0),
        field="rope_scaling.low_freq_factor",
        reason=r"missing",
    ),
    rope(
        "llama3 upside down",
        llama3(low_freq_factor=4.0, high_freq_factor=1.0),
        field="rope_scaling.low_freq_factor",
        reason=r"low \(4\.0\) must be below high",
    ),
    rope(
        "trained on nothing",
        scaled(rope_type="yarn", factor=2.0, original_max_position_embeddings=0),
        field=r"rope_scaling\.original_max_position_embeddings",
        reason=r"0 is not between",
    ),
    rope(
        "too few factors",
        long([1.0], [1.0]),
        field="rope_scaling.short_factor",
        reason=r"1 factors for 2",
    ),
    rope(
        "factors of two lengths", long([1.0, 1.0], [1.0]), field="rope_scaling.*", reason=r"factors"
    ),
    rope(
        "a factor NaN",
        long([1.0, nan], [1.0, 1.0]),
        field="rope_scaling.short_factor",
        reason=r"nan is not float",
    ),
    rope(
        "a factor of zero",
        long([1.0, 1.0], [1.0, 0]),
        field="rope_scaling.long_factor",
        reason=r"zero, not 0",
    ),
    rope(
        "a factor a word",
        long([1.0, "2"], [1.0, 1.0]),
        field="rope_scaling.short_factor",
        reason=r"'2' is not float",
    ),
]
