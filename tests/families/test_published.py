"""Published configs and indexes: they read, and the parameters are as many as published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import blocks
from blocks.families import family_of
from blocks.hub.config import Config
from blocks.hub.index import read_index
from blocks.hub.match import match
from blocks.hub.outline import outline_of
from blocks.models.places import spread
from tests.clock import soon
from tests.families.reference import case_of, families, named, weighed

# Without which the reference's own config makes no model.
NEEDED = {
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6},
    "glm4_moe": {"head_dim": 128},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 16},
    "hunyuan_v1_dense": {"head_dim": 128},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
}
HUB = Path(__file__).parents[2].parent / "shared" / "data" / "hub"


def built(data):
    """The model of a config on the meta device, with its outline."""
    outline = outline_of(Config(data))
    with torch.device("meta"):
        return outline, outline.build()


def held(outline, model, tied):
    """The tensors of a model by address, tied ones once."""
    tensors = blocks.addresses(model)
    for tie in outline.ties:
        for place, _ in spread(tie, tensors):
            if tied or not place.startswith("head."):
                tensors.pop(place, None)
    return tensors


def learnt(tensors):
    """How many parameters are among them."""
    return sum(it.numel() for it in tensors.values() if isinstance(it, torch.nn.Parameter))


@pytest.mark.parametrize(("family", "repo"), weighed())
def test_parameters(family, repo):
    data, parameters = case_of(family).published[repo]
    outline, model = built(data)
    tensors = held(outline, model, data.get("tie_word_embeddings", case_of(family).tied))
    assert learnt(tensors) == parameters
    assert not match(outline.keys, {a: t.shape for a, t in tensors.items()}, {}).unmapped


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", [name for name in families("decoder") if not case_of(name).published]
)
def test_parameters_of_the_references_own_config(family):
    case = case_of(family)
    config = case.config(**NEEDED.get(family, {}))
    with torch.device("meta"):
        reference = case.model._from_config(config)
    data = {**json.loads(json.dumps(config.to_dict())), "architectures": [case.model.__name__]}
    tensors = held(*built(data), config.tie_word_embeddings)
    # Corrections of routers don't learn; BLT's entropy model has learnt before.
    theirs = (t for n, t in reference.named_parameters() if t.requires_grad or ".patcher." in n)
    assert learnt(tensors) == sum(tensor.numel() for tensor in theirs)


@pytest.mark.parametrize(("family", "repo"), named("published"))
def test_published_fields_go_both_ways(family, repo):
    data, _ = case_of(family).published[repo]
    spec = outline_of(Config(data)).spec
    assert family_of(family).spec(Config(family_of(family).config(spec))) == spec


@pytest.mark.parametrize(("family", "folder"), named("real"))
def test_a_published_index(family, folder):
    if not (HUB / folder).is_dir():
        pytest.skip(f"the published files of {folder} are not beside the repository")
    values = case_of(family).real[folder]
    index = read_index(HUB / folder / "model.safetensors.index.json")
    config = json.loads((HUB / folder / "config.json").read_text())
    outline, model = soon(10, lambda: built(config))
    shapes = {address: tuple(t.shape) for address, t in blocks.addresses(model).items()}
    found = match(outline.keys, shapes, dict.fromkeys(index.weight_map), outline.ties)
    assert (found.missing, found.extra, found.unmapped) == ([], [], [])
    assert found.ties in ((), outline.ties)
    held = sum(
        torch.Size(one.rule.shape([shapes[address] for address in one.ours])).numel()
        for one in found.found
    )
    assert held == values
    assert index.total == values * (index.total // values)
