"""`blocks bench`: how fast a model is here, and how near it comes to what the machine can do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from blocks.cli.options import (
    HUB,
    as_json,
    json_text,
    load_options,
    pick,
    place,
    quantize_option,
)


@click.command()
@click.argument("model")
@click.option("--random", is_flag=True, help="Draw weights for the shape in MODEL's config.json.")
@quantize_option
@click.option("--plain", is_flag=True, help="Take the model as it is loaded, not optimised.")
@click.option("--no-compile", is_flag=True, help="Optimise it without compiling a step.")
@click.option(
    "--context", type=click.IntRange(1), default=512, show_default=True, help="Tokens it reads."
)
@click.option(
    "--tokens", type=click.IntRange(1), default=32, show_default=True, help="Tokens it writes."
)
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Texts at once."
)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often.")
@load_options
@as_json
def bench(model: str, as_json: bool, **given: Any) -> None:
    """Measure how fast MODEL reads and writes.

    Tokens a second as a median with the smallest and largest, the time of loading, the memory, and
    beside them what the machine can do: bytes a second of a plain sum over 400 MB, and FLOPs a
    second of a product of large matrices. MODEL may be the folder of a config.json alone, with
    --random.
    """
    if given["plain"] and (given["quantize"] or given["no_compile"]):
        raise click.UsageError("--plain goes without --quantize and --no-compile.")
    found = measured(model, given)
    click.echo(json_text(found) if as_json else told(found))


def measured(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every figure as JSON data."""
    import torch
    from tqdm.auto import tqdm

    from blocks.models.packing import count_weights
    from blocks.speed.measuring import Spread, paces, peak, product_rate, read_rate

    made, spent = _made(model, given)
    first = next(made.parameters())
    context, tokens, batch = (given[name] for name in ("context", "tokens", "batch"))
    rounds = paces(made, context, tokens, batch, given["rounds"])
    bar = tqdm(rounds, "measuring", total=given["rounds"], leave=False, disable=None)
    reads, writes = (Spread.of(row) for row in zip(*bar, strict=True))
    most, on_cpu = peak(), first.device.type == "cpu"
    limits = {"read": read_rate(), "products": product_rate(first.dtype)} if on_cpu else {}
    flops, read = costs(made, context, context + tokens // 2, batch)
    found: dict[str, Any] = {
        "model": type(made).__name__,
        "parameters": count_weights(made),
        "dtype": str(first.dtype).removeprefix("torch."),
        "quantize": given["quantize"],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **{name: given[name] for name in ("context", "tokens", "batch", "rounds")},
        "done": [*getattr(made, "prepared", ())],
        "load_seconds": spent["load"],
        "optimize_seconds": spent["optimize"],
        "peak_bytes": most,
        "prefill": reads.to_json(),
        "decode": writes.to_json(),
        "flops_read": flops,
        "bytes_written": read,
        "limits": {name: limit.to_json() for name, limit in limits.items()},
    }
    if limits:
        found["share_of_read"] = writes.median / batch * read / limits["read"].median
        if flops is not None:
            found["share_of_products"] = reads.median * flops / limits["products"].median
    return found


def costs(model: Any, context: int, seen: int, batch: int) -> tuple[float | None, int]:
    """FLOPs of a token of a text that is read, and bytes that are read for a written one."""
    from blocks import explain

    half = explain(model, context=max(1, context // 2)).root  # what a token of a text sees
    head = next((part for part in half.parts if part.name == "head"), None)
    flops = half.flops
    if flops is not None and head is not None and head.flops:  # of the last token alone
        flops -= head.flops * (1 - 1 / context)
    step = explain(model, context=seen).root
    kept = model.init_state(1, seen).nbytes
    return flops, step.bytes_read + (batch - 1) * kept


def told(found: dict[str, Any]) -> str:
    """The figures for people."""
    from blocks.hub.columns import columns, counted, human

    def spread(values: dict[str, float], unit: Any) -> list[str]:
        return [unit(values[name]) for name in ("median", "least", "most")]

    def rate(value: float) -> str:
        return f"{value:,.1f}"

    def share(name: str) -> str:
        return f"{found[name]:.0%}" if name in found else ""

    kind = found["quantize"] or found["dtype"]
    head = f"{found['model']}, {counted(found['parameters'])} parameters in {kind}, "
    head += f"batch {found['batch']}, {found['threads']} threads, torch {found['torch']}"
    rows = [["", "MEDIAN", "SMALLEST", "LARGEST", "OF THE LIMIT"]]
    reading = f"reading {found['context']} tokens, tokens/s"
    writing = f"writing {found['tokens']} after them, tokens/s"
    rows.append([reading, *spread(found["prefill"], rate), share("share_of_products")])
    rows.append([writing, *spread(found["decode"], rate), share("share_of_read")])
    if found["limits"]:
        limits = found["limits"]
        rows.append(["limit: bytes read a second", *spread(limits["read"], human), ""])
        rows.append(["limit: FLOPs a second", *spread(limits["products"], counted), ""])
    lines = [head, *found["done"], "", columns(rows), ""]
    loaded, optimised = found["load_seconds"], found["optimize_seconds"]
    lines.append(f"loaded in {loaded:.2f} s, optimised in {optimised:.1f} s")
    lines.append(f"{human(found['bytes_written'])} are read for a step")
    if found["peak_bytes"]:
        lines.append(f"at most {human(found['peak_bytes'])} of memory")
    return "\n".join(lines)


def _made(model: str, given: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """The model, ready, and the seconds of its making."""
    import warnings

    from blocks import optimize
    from blocks.cli.speaking import load_model

    start = time.perf_counter()
    made = (_drawn if given["random"] else load_model)(model, given)
    loaded = time.perf_counter()
    if not given["plain"]:
        click.echo("optimising: the first time takes up to a minute", err=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `prepared` says the same
            made = optimize(made, quantize=given["quantize"], compile=not given["no_compile"])
    return made.eval(), {"load": loaded - start, "optimize": time.perf_counter() - loaded}


def _drawn(model: str, given: dict[str, Any]) -> Any:
    """A model of the shape in a config.json, with fresh weights."""
    import torch

    from blocks.cli.speaking import device_of, dtype_of
    from blocks.hub.outline import read_outline
    from blocks.hub.source import resolve

    folder = Path(model).parent if Path(model).name == "config.json" else place(model)
    torch.manual_seed(0)
    made = read_outline(resolve(folder, **pick(given, HUB))).build()
    dtype = dtype_of(given["dtype"] or "bfloat16")
    return made.to(device=device_of(given["device"]), dtype=dtype)
