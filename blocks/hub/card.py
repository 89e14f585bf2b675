"""The model card: the README.md by which the Hub finds and shows a model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from blocks.errors import printable

PLAIN = re.compile(r"[A-Za-z][\w./-]*", re.ASCII)  # YAML reads it as a string without quotes
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def model_card(
    name: str,
    *,
    architecture: str,
    parameters: int | None = None,
    base_model: str | None = None,
    licence: str | None = None,
    pipeline_tag: str | None = None,
    tags: Iterable[str] = (),
    datasets: Iterable[str] = (),
    provenance: Iterable[str] = (),
    swaps: Iterable[str] = (),
) -> str:
    """The text of a README.md, with the front matter that the Hub reads.

    Args:
        name: the repository's id.
        architecture: the model in a word, such as its class.
        parameters: how many it has.
        base_model: the repository its weights come from.
        licence: the Hub's word for the licence, such as "apache-2.0".
        pipeline_tag: the task, such as "text-generation".
        tags, datasets: further words and data sets the Hub may find it by.
        provenance: where its weights come from, a sentence each.
        swaps: what was changed in it, a sentence each.

    Example:
        >>> print(model_card("me/tiny", architecture="CausalLM", tags=["llama"])[:60])
        ---
        library_name: blocks
        tags:
        - blocks
        - llama
        ---
        <BLANKLINE>
        # tiny
    """
    fields: dict[str, str | list[str] | None] = {
        "library_name": "blocks",
        "license": licence,
        "base_model": base_model,
        "pipeline_tag": pipeline_tag,
        "datasets": list(datasets),
        "tags": ["blocks", *tags],
    }
    size = f" with {parameters:,} parameters" if parameters else ""
    parts = [
        front_matter(fields),
        f"# {name.rpartition('/')[2]}",
        f"A {printable(architecture)}{size}, saved by `blocks`.",
        f'```python\nimport blocks\n\nmodel = blocks.from_pretrained("{name}")\n```',
        _listed("Where it comes from", provenance),
        _listed("What was changed", swaps),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(fields: Mapping[str, str | list[str] | None]) -> str:
    """YAML between two lines of dashes; what is None or empty is left out.

    Example:
        >>> print(front_matter({"license": "mit", "tags": ["a b"], "base_model": None}))
        ---
        license: mit
        tags:
        - "a b"
        ---
    """
    lines = []
    for key, value in fields.items():
        if isinstance(value, str):
            lines.append(f"{key}: {_scalar(value)}")
        elif value:
            lines += [f"{key}:", *(f"- {_scalar(item)}" for item in dict.fromkeys(value))]
    return "\n".join(["---", *lines, "---"])


def _scalar(text: str) -> str:
    # What JSON quotes, YAML reads alike.
    return text if PLAIN.fullmatch(text) and text.lower() not in WORDS else json.dumps(text)


def _listed(title: str, lines: Iterable[str]) -> str:
    shown = ["- " + printable(line.replace("\n", " "), 500) for line in lines]
    return "\n".join([f"## {title}", "", *shown]) if shown else ""
