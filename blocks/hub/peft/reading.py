"""load_adapter: an adapter of PEFT's format on a model of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from blocks.edit import replace
from blocks.errors import CheckpointError
from blocks.hub.fill import check_dtype
from blocks.hub.headers import read_header
from blocks.hub.keys import FLOATS
from blocks.hub.match import listed
from blocks.hub.peft.planning import Plan
from blocks.hub.peft.settings import NAME, PICKLE, WEIGHTS, read_settings
from blocks.hub.peft.table import table_of
from blocks.hub.rebuilt import adapted
from blocks.hub.source import Source, resolve
from blocks.models.adapters import adapted_matrices, matrices_of, with_adapters
from blocks.models.places import addresses

__all__ = ["load_adapter"]


def load_adapter(
    model: Any,
    repo_or_dir: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    family: str | None = None,
    dtype: torch.dtype | None = None,
) -> Any:
    """A model with a LoRA or DoRA from a folder or repository in the format of PEFT.

    The files are adapter_config.json and adapter_model.safetensors. Their names are those of the
    model's family; where its files hold several of our matrices as one, such as a fused projection
    to queries, keys and values, each gets its rows of B, and all share A. The given model stays as
    it is and shares every tensor that the adapter doesn't bring.

    Args:
        model: the base, loaded with `from_pretrained`; its matrices may be packed.
        repo_or_dir: a folder, or a repository.
        revision, token, cache_dir, local_files_only, force_download: as in `from_pretrained`.
        family: whose names the adapter uses; by default what the model was loaded as.
        dtype: of A and B; by default that of the model.

    Returns:
        The model, in which the adapter alone trains, and what it says it has trained beside it.

    Errors:
        HubError: no such folder or repository.
        ConfigError: a config that can't be read, of another kind of adapter, or with a field that
            would change the computation and isn't known.
        CheckpointError: tensors that don't fit this model, all of which are listed, or a pickle.

    Example:
        >>> import blocks, tempfile
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> folder = tempfile.mkdtemp()
        >>> blocks.save_adapter(blocks.add_adapter(model, rank=2), folder)
        >>> len(blocks.trainable(blocks.load_adapter(model, folder)))
        16
    """
    source = resolve(
        repo_or_dir,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        force_download=force_download,
    )
    check_dtype(dtype)
    with source.settled():
        hint = "a model's own folder is for from_pretrained" if source.has("config.json") else None
        settings = read_settings(source.need(NAME, hint=hint))
        tensors = _tensors(source)
        table = table_of(model, family)
        plan = Plan.of(tensors, settings, table, source.name)
    taken = [address for address in plan.wanted if address in adapted_matrices(model)]
    if taken:
        reason = f"{listed(taken)} have an adapter already"
        raise CheckpointError(reason, field="model", hint="merge_adapter makes one matrix of both")
    spec = with_adapters(model.spec, plan.wanted, matrices_of(model.spec))
    kind = dtype or next(p.dtype for p in model.parameters())
    device = next(model.parameters()).device
    held = addresses(model)
    given = {
        address: tensor.to(device=device, dtype=held[address].dtype if address in held else kind)
        for address, tensor in plan.given.items()
    }
    given = _changed(given, plan.trained, model)
    ties = [pair for pair in spec.keywords["ties"] if given.get(pair[0]) is given.get(pair[1])]
    spec = replace(spec, ties=(*ties, *plan.ties))
    name = source.name if source.commit is None else f"{source.name}@{source.commit}"
    change = f"adapter {Path(name).name if source.commit is None else name} loaded"
    return adapted(model, spec, given, change, more=plan.trained)


def _tensors(source: Source) -> dict[str, Tensor]:
    """The tensors of an adapter's file, whose header has been checked."""
    path = source.find(WEIGHTS)
    if path is None:
        if source.has(PICKLE):
            raise CheckpointError(
                f"has its weights only as a pickle ({PICKLE}), which is never opened because a "
                "pickle can run any code",
                file=source.name,
                hint="load it with PEFT once, and save it with safe_serialization=True",
            )
        raise CheckpointError(f"has no {WEIGHTS}", file=source.name)
    for name, entry in read_header(path).entries.items():
        if entry.dtype not in FLOATS:
            raise CheckpointError(f"holds {entry.dtype}, not floats", file=path, tensor=name)
    try:
        with safe_open(path, framework="pt") as handle:
            found = {name: handle.get_tensor(name).clone() for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = f"can't be read: {error}"
        raise CheckpointError(reason, file=path, hint="download the file again") from error
    for name, tensor in found.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError("holds NaN or infinity", file=path, tensor=name)
    return found


def _changed(given: dict[str, Tensor], trained: list[str], model: Any) -> dict[str, Tensor]:
    """Without copies of what the model has; what several share is one tensor again."""
    held = addresses(model)
    left = {
        address: tensor
        for address, tensor in given.items()
        if address in trained or address not in held or not torch.equal(held[address], tensor)
    }
    for pair in model.spec.keywords["ties"]:
        for here, there in (pair, pair[::-1]):
            if here in left and not {here, there} & {*trained}:
                left[there] = left[here]
    return left
