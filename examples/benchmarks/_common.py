"""What the benchmarks share: shapes, rounds that take turns, spreads, and what they say."""

from __future__ import annotations

import itertools
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

import blocks
from blocks.speed.measuring import Spread, product_rate, read_rate

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# 430 million parameters, as large as a notebook likes.
LLAMA = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}
TOY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
}

Pace = tuple[float, ...]  # figures of one round


def reference(kind: str, shape: dict[str, Any], dtype: torch.dtype, folder: Path) -> Any:
    """A model of transformers with fresh weights, which are in `folder` as well."""
    torch.manual_seed(0)
    shape = {**shape, "bos_token_id": None, "eos_token_id": None}  # a toy has no such tokens
    config = getattr(transformers, f"{kind}Config")(**shape)
    made = getattr(transformers, f"{kind}ForCausalLM")(config).to(dtype).eval()
    made.save_pretrained(folder)
    return made


def loaded(kind: str, shape: dict[str, Any], dtype: torch.dtype) -> tuple[Any, blocks.CausalLM]:
    """The reference with fresh weights, and ours from its file."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = reference(kind, shape, dtype, Path(folder))
        return theirs, blocks.from_pretrained(folder, dtype=dtype, copy=True)


@torch.no_grad()
def their_paces(model: Any, context: int, tokens: int, batch: int) -> Iterator[Pace]:
    """Of transformers: what `paces` is of ours."""
    text = torch.randint(model.config.vocab_size, (batch, context))
    for at in itertools.count():
        start = time.perf_counter()
        said = model(text, use_cache=True, logits_to_keep=1)
        middle = time.perf_counter()
        for _ in range(tokens):
            new = said.logits[:, -1].argmax(-1, keepdim=True)
            said = model(new, past_key_values=said.past_key_values, use_cache=True)
        end = time.perf_counter()
        if at:  # the first warms up
            yield batch * context / (middle - start), batch * tokens / (end - middle)


def in_turn(sides: dict[str, Iterator[Pace]], rounds: int) -> dict[str, list[Pace]]:
    """So many figures of each side, taken turn about: a busy moment of the machine slows all."""
    found: dict[str, list[Pace]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(next(side))
    return found


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> Spread:
    """Ours against theirs, round by round."""
    return Spread.of(one / other for one, other in zip(ours, theirs, strict=True))


def limits(dtype: torch.dtype, rounds: int, small: bool = False) -> dict[str, dict[str, float]]:
    """What the machine does at most in these minutes."""
    sizes = (10_000, 64) if small else (100_000_000, 2048)
    return {
        "bytes read a second": read_rate(rounds, sizes[0]).to_json(),
        "FLOPs a second": product_rate(dtype, rounds, sizes[1]).to_json(),
    }


def facts(**more: Any) -> dict[str, Any]:
    """What a figure means nothing without."""
    there = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    there |= {"transformers": transformers.__version__, "processor": platform.machine()}
    return {**more, **there, "capability": torch.backends.cpu.get_cpu_capability()}


def tell(name: str, about: dict[str, Any], rows: list[dict[str, Any]], file: Path | None) -> None:
    """Prints figures and ratios, and writes them where they are asked for.

    Args:
        name: of the benchmark.
        about: its shape, dtype and machine.
        rows: each with `what`, `unit`, its spread, and `against` where it is a ratio.
        file: for JSON.
    """
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in about.items()))
    for row in rows:
        spread = f"{row['median']:.3g} ({row['least']:.3g} to {row['most']:.3g})"
        print(f"  {row['what']:<58} {spread} {row['unit']}")
    if file is not None:
        script = f"python examples/benchmarks/{Path(sys.argv[0]).name}"
        command = " ".join([script, *map(_bare, sys.argv[1:])])
        data = {"name": name, "command": command, "about": about, "rows": rows}
        file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _bare(argument: str) -> str:
    """Without the folders of this machine."""
    if argument.endswith("/bin/python"):
        return "other/bin/python"
    return Path(argument).name if Path(argument).is_absolute() else argument


def row(what: str, unit: str, spread: Spread, **more: Any) -> dict[str, Any]:
    """A line for `tell`."""
    return {"what": what, "unit": unit, **spread.to_json(), **more}


def of_limits(found: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """The lines of the limits."""
    return [{"what": f"limit: {name}", "unit": "", **spread} for name, spread in found.items()]
