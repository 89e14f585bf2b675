"""The whole ejected file: head, imports, config, functions, classes, the model and its loader."""

from __future__ import annotations

import ast
import re
from typing import Any

from blocks.surgery.ejecting.assembly import Assembly
from blocks.surgery.ejecting.code import names
from blocks.surgery.ejecting.decoder import GENERATE
from blocks.surgery.ejecting.printing import class_definition, definition

__all__: list[str] = []

HELPERS = {
    "remember": '''\
def remember(cache: dict[str, Tensor], key: str, new: Tensor) -> Tensor:
    """New keys or values [B K T E] behind those of earlier calls: [B K S E]."""
    cache[key] = torch.cat([cache[key], new], 2) if key in cache else new
    return cache[key]
''',
    "visible": '''\
def visible(see: Tensor, mask: Tensor | None) -> Tensor:
    """Which keys a query sees [B T S] -> [B 1 T S], padding left out."""
    return (see if mask is None else see & mask[:, None])[:, None]
''',
    "visible_all": '''\
def visible(see: Tensor) -> Tensor:
    """Which keys a query sees, [B T S] -> [B 1 T S]."""
    return see[:, None]
''',
    "biased": '''\
def biased(bias: Tensor, seen: Tensor) -> Tensor:
    """Biases of scores [B H T S], -inf where a query doesn't see a key."""
    return bias.masked_fill(~seen, -math.inf)
''',
    "biased_or_not": '''\
def biased(bias: Tensor, seen: Tensor | None) -> Tensor:
    """Biases of scores [B H T S], -inf where a query doesn't see a key."""
    return bias if seen is None else bias.masked_fill(~seen, -math.inf)
''',
}
LOAD = '''\
def load(folder: str | Path) -> {model}:
    """The model that config.json and model.safetensors of a folder hold."""
    config = Config(**json.loads((Path(folder) / "config.json").read_text()))
    with torch.device("meta"):
        model = {model}(config)
    {read}
    return model.eval()
'''
IMPORTS = (
    ("json", "import json"),
    ("math", "import math"),
    ("dataclass", "from dataclasses import dataclass"),
    ("Path", "from pathlib import Path"),
    ("", ""),
    ("torch", "import torch"),
    ("F", "import torch.nn.functional as F"),
    ("load_file", "from safetensors.torch import load_file"),
    ("Tensor nn", "from torch import {}"),
)


def whole(made: Assembly, told: str, ties: list[tuple[str, str]]) -> str:
    """The text of model.py."""
    book = made.book
    label = type(made.module).__name__
    book.finish(made.info)
    parts = [HELPERS[key] for key in sorted(book.helpers)]
    parts += ["\n".join(definition(tree, 0)) + "\n" for tree in book.functions.values()]
    parts += ["\n".join(class_definition(tree)) + "\n" for tree in book.classes.values()]
    if made.causal:
        starts = "start" in names(made.info.methods["forward"])
        parts.append(GENERATE if starts else GENERATE.replace(", start=start", ""))
    read = 'model.load_state_dict(load_file(Path(folder) / "model.safetensors"), assign=True)'
    if ties:
        rows = ['tensors = load_file(Path(folder) / "model.safetensors")']
        rows += [f'tensors["{place}"] = tensors["{source}"]' for place, source in ties]
        rows += ["model.load_state_dict(tensors, assign=True)"]
        rows += [f"model.{place} = model.{source}  # one tensor" for place, source in ties]
        read = "\n    ".join(rows)
    parts.append(LOAD.format(model=label, read=read))
    body = "\n\n".join(parts)
    used = set(re.findall(r"config\.(\w+)", body))
    book.config = {key: value for key, value in book.config.items() if key in used}
    config = [
        "@dataclass",
        "class Config:",
        *(f"    {k}: {_kind(v)}" for k, v in book.config.items()),
    ]
    body = "\n".join(config) + "\n\n\n" + body
    return f'"""{told}\n"""\n\nfrom __future__ import annotations\n\n{imports(body)}\n\n\n{body}'


def imports(body: str) -> str:
    """Only what the file uses."""
    used = names(ast.parse(body))
    rows = []
    for keys, row in IMPORTS:
        found = [key for key in keys.split() if key in used]
        if found or not keys:
            rows.append(row.format(", ".join(found)))
    return "\n".join(rows)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        inner = {_kind(part) for part in value}
        return f"list[{inner.pop() if len(inner) == 1 else 'float'}]"
    return type(value).__name__
