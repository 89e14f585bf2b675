"""The files that a sentence-transformers repository has beside its encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.edit import replace
from blocks.errors import ConfigError, printable
from blocks.heads.sentence import SentenceHead
from blocks.hub.config import Config, read_json, read_value
from blocks.hub.index import unsafe_name
from blocks.hub.source import Source
from blocks.spec import Spec

if TYPE_CHECKING:
    from blocks.hub.folder import Draft

MODULES = "modules.json"
# What a pooling may be, by its own field.
_POOLS = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
}
_OTHERS = ("pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens")


def read_sentence_head(source: Source, dim: int) -> Spec[Any] | None:
    """The head that modules.json describes; None where there is no such file.

    Errors:
        ConfigError: a module, or a way of pooling, that isn't supported.
    """
    path = source.find(MODULES, assume_absent=True)
    if path is None:
        return None
    kinds = [_kind(module, path) for module in _modules(path)]
    known = ("Transformer", "Pooling", "Normalize")
    other = next((kind for kind, _ in kinds if kind not in known), None)
    if other is not None or [kind for kind, _ in kinds[:2]] != list(known[:2]):
        reason = f"{other or [kind for kind, _ in kinds]} is not supported"
        raise ConfigError(reason, file=path, field="type", hint=f"supported: {', '.join(known)}")
    folder = kinds[1][1]
    pooling = source.need(f"{folder}/config.json" if folder else "config.json")
    return Spec(SentenceHead, pool=_pool(pooling, dim), unit=len(kinds) > 2)


def _modules(path: Path) -> list[Any]:
    found = read_value(path)
    if not isinstance(found, list) or not found:
        raise ConfigError("is not a list of modules", file=path)
    return found


def _kind(module: Any, path: Path) -> tuple[str, str]:
    """The last part of a module's type, and its folder."""
    if not isinstance(module, dict) or not isinstance(module.get("type"), str):
        raise ConfigError(f"{module!r} is not a module", file=path, field="type")
    folder = module.get("path", "")
    if not isinstance(folder, str):
        raise ConfigError(f"{folder!r} is not a folder", file=path, field="path")
    if folder and (reason := unsafe_name(folder)):
        raise ConfigError(f"the folder {printable(repr(folder))} {reason}", file=path, field="path")
    return module["type"].rpartition(".")[2], folder


def _pool(path: Path, dim: int) -> Any:
    c = Config(read_json(path), path)
    width = c.take("word_embedding_dimension", int, dim)
    if width != dim:
        raise c.error("word_embedding_dimension", f"is {width}, the encoder's width is {dim}")
    c.only("include_prompt", True)
    for name in _OTHERS:
        c.only(name, False)
    chosen = [pool for name, pool in _POOLS.items() if c.take(name, bool, False)]
    c.finish()
    if len(chosen) != 1:
        raise c.error("pooling_mode_mean_tokens", f"{len(chosen)} ways of pooling at once")
    return chosen[0]


def bare(spec: Spec[Any]) -> tuple[Spec[Any], Spec[Any] | None]:
    """A model without its sentence head, and the head."""
    head = spec.keywords.get("head")
    if head is None or head.func is not SentenceHead:
        return spec, None
    return replace(spec, head=None), head


def write_sentence_head(draft: Draft, head: Spec[Any], dim: int) -> None:
    """The files that `read_sentence_head` reads."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if head.keywords["unit"] else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    draft.json(MODULES, modules)
    modes = {name: pool == head.keywords["pool"] for name, pool in _POOLS.items()}
    draft.json(f"{paths[1]}/config.json", {"word_embedding_dimension": dim, **modes})
