"""Writes what pages show of real blocks and families: docs/blocks/<Block>.svg, docs/gallery.json.

Each block is built, called once and told by `explain`, and each family's Specs are asked which
blocks are in them; that needs torch and the references of the tests, and takes half a minute.
tools/pages.py makes the pages of it without.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from costs import COSTS, value  # noqa: E402
from flowchart import flowchart, shape_text  # noqa: E402
from index import is_block, public  # noqa: E402
from tracing import trace  # noqa: E402
from typical import TYPICAL  # noqa: E402

import blocks  # noqa: E402  # found by the line above
from blocks import Marks, Mask, Scaling, Spec, Step, explain  # noqa: E402
from blocks.carry import rule_for  # noqa: E402
from blocks.hub.config import Config  # noqa: E402
from blocks.hub.outline import outline_of  # noqa: E402
from blocks.surgery.drawing.canvas import Canvas, text_width  # noqa: E402
from tests.blocks.table import TABLE  # noqa: E402
from tests.families.reference import case_of, families, file_of  # noqa: E402

BATCH, TOKENS, MEMORY = 3, 13, 21
SHOWN = {BATCH: "B", BATCH * TOKENS: "B·T"}, {TOKENS: "T", MEMORY: "S"}
SMALL = {3: "B", 12: "B·T"}, {7: "T"}
CONTEXT = 2048
MASKS = (
    blocks.Causal(),
    blocks.Full(),
    blocks.Window(4),
    blocks.Chunk(4),
    blocks.Prefix(4),
    blocks.SymmetricWindow(2),
    blocks.NearChunks(3),
    blocks.Gist(4, 6),
    blocks.Causal() & blocks.SymmetricWindow(3),
)


def example(name: str) -> tuple[tuple[int, ...], dict[str, Any], bool]:
    """The sizes and options a block is shown at, and whether models have such."""
    if name in TYPICAL:
        return *TYPICAL[name], True
    small = TABLE[name]
    return small.sizes, small.options, False


def resized(tensor: Tensor, to: dict[int, int]) -> Tensor:
    shape = [to.get(size, size) for size in tensor.shape]
    if tensor.is_floating_point():
        return torch.randn(shape)
    return torch.arange(shape[-1]).expand(shape) % (int(tensor.max()) + 1)


def inputs_of(name: str) -> tuple[Tensor, ...]:
    """The inputs that tests call it with, of other sizes."""
    small = TABLE[name]
    sizes, options, typical = example(name)
    given = small.x()
    if not typical:
        return given
    to = dict(zip(small.sizes, sizes, strict=True))
    if "width" in small.options:
        to[small.options["width"]] = options["width"]
    to |= {3: BATCH, 7: TOKENS, 12: BATCH * TOKENS}
    return tuple(resized(tensor, to) for tensor in given)


def called(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """All that a block is called with, and the tensors of that by name."""
    wanted = list(inspect.signature(module.forward).parameters.values())
    named = {p.name: value for p, value in zip(wanted, given, strict=False)}
    if len(wanted) <= len(given) or wanted[len(given)].name != "step":
        return given, named
    x = given[0]
    width = getattr(module, "reads", None) or x.shape[-1]
    rows = x.shape[0]
    tokens = x.shape[1 if x.dim() < 4 else 2]
    memory = torch.randn(rows, MEMORY, width)
    reads = wanted[len(given)].default is inspect.Parameter.empty
    step = Step(torch.arange(tokens).expand(rows, -1), memory=memory if reads else None)
    step.saved["skip"] = torch.randn_like(x) if x.is_floating_point() else x
    extra = {"memory": memory} if reads else {}
    if reads and hasattr(module, "merge"):
        extra = {"saved": step.saved["skip"]}
    return (*given, step), named | extra


def shown(name: str, sizes: tuple[int, ...], options: dict[str, Any]) -> str:
    """How the example is built, in code."""
    text = repr(Spec(getattr(blocks, name), **options)).removeprefix("Spec(").removesuffix(")")
    _, _, rest = text.partition(", ")
    return f"{name}({', '.join([*map(str, sizes), *([rest] if rest else [])])})"


def told(name: str) -> tuple[dict[str, Any], str]:
    """What is known of a block, and its picture."""
    sizes, options, typical = example(name)
    torch.manual_seed(0)
    kind = getattr(blocks, name)
    module = Spec(kind, **options)(*sizes).eval()
    given, named = called(module, inputs_of(name))
    letters = SHOWN if typical else SMALL
    nodes = trace(module, given, named)
    part = explain(module, context=CONTEXT).root
    picture = flowchart(module, nodes, letters)
    first, out = given[0], nodes[-1].shape
    data: dict[str, Any] = {
        "example": shown(name, sizes, options),
        "typical": typical,
        "sizes": [
            p.name
            for p in inspect.signature(kind).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ],
        "input": shape_text(tuple(first.shape), letters),
        "output": shape_text(out, letters),
        "keeps": tuple(first.shape) == out,
        "mixes": mixes(module, given),
        "parameters": part.parameters,
        "flops": part.flops,
        "state": [part.state_per_token, part.state_fixed],
        "read": part.bytes_read,
    }
    return data, picture


def mixes(module: nn.Module, given: tuple[Any, ...]) -> bool:
    """Whether what a token gets depends on other tokens."""
    x = given[0]
    if not x.is_floating_point() or x.dim() != 3:
        return False
    torch.manual_seed(1)
    before = module(*given)
    torch.manual_seed(1)
    after = module(torch.cat([x[:, :1] * 0.5, x[:, 1:]], 1), *given[1:])
    if not isinstance(before, Tensor) or before.shape != x.shape:
        return False
    return not torch.equal(before[:, 1:], after[:, 1:])


def grid(mask: Mask) -> str:
    """The picture of a mask: who looks, downwards, at whom, to the right."""
    places, size = 12, 14
    canvas = Canvas("auto")
    q = torch.arange(places)
    seen = mask(q[:, None], q[None]).tolist()
    for row in range(places):
        for column in range(places):
            fill = "attention-line" if seen[row][column] else "frame"
            at = (20.0 + column * size, 40.0 + row * size, size - 2.0, size - 2.0)
            with canvas.box(at, fill, None, radius=2):
                pass
    canvas.text((20, 28), repr(mask), 13, bold=True)
    wide = max(places * size, text_width(repr(mask), 13, True)) + 40
    return canvas.svg(wide, places * size + 58, repr(mask))


def check(name: str, row: dict[str, Any]) -> None:
    """Holds the formulas of a block against what was counted."""
    cost = COSTS.get(name)
    if cost is None:
        return
    letters = {"D": 1024, "S": CONTEXT} | cost.letters
    counted = (row["parameters"], row["flops"], *(nbytes // 4 for nbytes in row["state"]))
    formulas = (cost.parameters, cost.flops, cost.state, cost.fixed)
    for formula, number in zip(formulas, counted, strict=True):
        if formula and number is not None and value(formula, letters) != number:
            raise SystemExit(f"{name}: {formula} is {value(formula, letters)}, not {number}")


def carried(name: str, known: list[str]) -> dict[str, str]:
    """From which blocks `swap` carries weights over to this one, and how in words."""
    kinds = {other: getattr(blocks, other) for other in known if other != name}
    kinds = {other: kind for other, kind in kinds.items() if isinstance(kind, type)}
    new = getattr(blocks, name)
    rules = {other: rule_for(kind, new) for other, kind in kinds.items()}
    return {
        other: (inspect.getdoc(rule) or "").split("\n\n")[0].replace("\n", " ")
        for other, rule in rules.items()
        if rule is not None
    }


def named(spec: Any) -> set[str]:
    """The classes of a Spec's parts, and of the values in their options."""
    found = set()
    for _, part in blocks.walk(spec):
        found.add(part.func.__name__)
        for one in part.keywords.values():
            if isinstance(one, Mask | Scaling | Marks):
                found |= {type(one).__name__} | {
                    type(inner).__name__ for inner in vars(one).values()
                }
    return found


def used(family: str) -> list[str]:
    """The blocks of a family: of all variants that its parity is measured on."""
    case, found = case_of(family), set()
    for variant in case.variants.values():
        data = case.config(**case.options(variant)).to_dict()
        data = {k: str(v)[6:] if isinstance(v, torch.dtype) else v for k, v in data.items()}
        model = variant.model or case.model
        found |= named(outline_of(Config(data | {"architectures": [model.__name__]})).spec)
    return sorted(found)


def main() -> int:
    known = [item for item in public(ROOT / "blocks").values() if is_block(item)]
    names = [item.name for item in known if item.name in TABLE]
    rows: dict[str, Any] = {}
    pictures: dict[str, str] = {}
    for name in names:
        rows[name], pictures[name] = told(name)
        check(name, rows[name])
        rows[name]["carries"] = carried(name, names)
    for mask in MASKS:
        name = type(mask).__name__
        rows[name], pictures[name] = {"title": repr(mask)}, grid(mask)
    made = {file_of(family): used(family) for family in families()}
    both = (
        ",\n".join(f"    {json.dumps(key)}: {json.dumps(one)}" for key, one in some.items())
        for some in (rows, made)
    )
    text = '{{\n  "context": {},\n  "blocks": {{\n{}\n  }},\n  "families": {{\n{}\n  }}\n}}\n'
    docs = ROOT / "docs" / "blocks"
    for old in docs.glob("*.svg"):
        if old.stem not in pictures:
            old.unlink()
    for name, picture in pictures.items():
        (docs / f"{name}.svg").write_text(picture, encoding="utf-8")
    (ROOT / "docs" / "gallery.json").write_text(text.format(CONTEXT, *both), encoding="utf-8")
    print(f"{len(rows)} blocks of {len(known)} drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
