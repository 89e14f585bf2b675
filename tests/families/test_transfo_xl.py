"""Transformer-XL: what must hold of it alone, and parity in an environment of its own.

Its reference is gone from the transformers of these tests. `make transfo-xl` installs the last one
that runs it and names its interpreter in BLOCKS_TRANSFO_XL; nothing of it is stored.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import blocks
from blocks import ConfigError, RelativeAttention
from blocks.families import family_of
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families.reference import TOLERANCE, scramble

VARIABLE = "BLOCKS_TRANSFO_XL"
BASE: dict[str, Any] = {
    "model_type": "transfo-xl",
    "architectures": ["TransfoXLLMHeadModel"],
    "vocab_size": 97,
    "cutoffs": [20, 50],
    "d_model": 32,
    "d_embed": 24,
    "n_head": 4,
    "d_head": 10,
    "d_inner": 48,
    "div_val": 2,
    "n_layer": 3,
    "mem_len": 12,
    "clamp_len": 7,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one table": {"div_val": 1},
    "one table as wide as the model": {"div_val": 1, "d_embed": 32},
    "no clusters": {"cutoffs": []},
    "no clusters, one table": {"cutoffs": [], "div_val": 1},
    "longer context": {"same_length": False},
    "norms before": {"pre_lnorm": True},
    "norms before, longer context": {"pre_lnorm": True, "same_length": False},
    "no clamp": {"clamp_len": -1},
    "shared biases": {"untie_r": False},
    "projections of its own": {"proj_share_all_but_first": False},
    "tables of its own": {"tie_word_embeddings": False},
    "short memory": {"mem_len": 3},
}
every = pytest.mark.parametrize("variant", VARIANTS)
TIED = (
    *((f"head.tables.{i}", f"embedding.tables.{i}") for i in range(3)),
    *((f"head.projections.{i}", f"embedding.projections.{i}") for i in (1, 2)),
)
SHARED = tuple(
    (f"layers.{i}.attention.{bias}", f"layers.0.attention.{bias}")
    for bias in ("content_bias", "position_bias")
    for i in (1, 2)
)


def built(variant: str = "plain", ties: Any = ()) -> Any:
    spec = outline_of(Config(BASE | VARIANTS[variant])).spec
    model = blocks.replace(spec, ties=ties)().eval()
    scramble(model)
    return model


def segments(*lengths: int) -> dict[str, Tensor]:
    return {str(n): torch.randint(97, (2, length)) for n, length in enumerate(lengths)}


def in_segments(model: Any, parts: dict[str, Tensor]) -> list[Tensor]:
    state = model.init_state(2)
    with torch.no_grad():
        return [model(parts[name], state=state) for name in sorted(parts)]


@pytest.mark.parametrize("variant", ["plain", "norms before", "short memory"])
def test_segments_are_the_long_context_where_each_token_sees_as_many(variant: str) -> None:
    model, parts = built(variant).double(), segments(5, 1, 9, 1, 4)
    found = torch.cat(in_segments(model, parts), 1)
    whole = model(torch.cat([parts[name] for name in sorted(parts)], 1))
    torch.testing.assert_close(found, whole)
    other = built("longer context").double()
    assert (torch.cat(in_segments(other, parts), 1) - whole).abs().max() > 0.01


def test_context_grows_by_the_memory_with_each_layer() -> None:
    """What lies beyond the memory is seen through it, as far as there are layers."""
    model, parts = built("short memory").double(), segments(4, 4, 4, 4)
    first = in_segments(model, parts)
    changed = parts | {"0": parts["0"].roll(1, 0)}
    moved = [
        bool((a - b).abs().max() > 1e-9)
        for a, b in zip(first, in_segments(model, changed), strict=True)
    ]
    assert moved == [True, True, True, False]


def test_greedy_from_memory_is_greedy_anew() -> None:
    model = built()
    prompts = [[5, 6, 7, 8, 9], [11, 12]]
    ids = blocks.generate(model, prompts, max_new_tokens=8, stop=())
    for row, prompt in zip(ids, prompts, strict=True):
        tokens = torch.tensor([prompt])
        for _ in range(8):
            tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], 1)
        assert row[-tokens.shape[1] :].tolist() == tokens[0].tolist()


def exported(model: Any, folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and fields of an export, after ours has read it as what it was."""
    blocks.export(model, folder, family="transfo-xl")
    again = blocks.from_pretrained(folder)
    ours, theirs = blocks.addresses(model), blocks.addresses(again)
    assert again.spec == model.spec and ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    return load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())


@every
def test_names_and_fields_go_both_ways(tmp_path: Path, variant: str) -> None:
    tensors, fields = exported(built(variant), tmp_path)
    layer = "transformer.layers.2."
    assert tensors[layer + "dec_attn.qkv_net.weight"].shape == (120, 32)
    assert {layer + "dec_attn.r_w_bias", layer + "pos_ff.CoreNet.3.bias"} <= set(tensors)
    assert fields["untie_r"] and not fields["tie_word_embeddings"] and not any(fields["tie_projs"])
    assert {name: fields[name] for name in ("mem_len", "cutoffs", "div_val")}.items() <= (
        BASE | VARIANTS[variant]
    ).items()


def test_what_is_shared_is_written_once(tmp_path: Path) -> None:
    tensors, fields = exported(built(ties=TIED + SHARED), tmp_path)
    assert "transformer.r_w_bias" in tensors and "crit.out_projs.0" in tensors
    gone = ("transformer.layers.0.dec_attn.r_w_bias", "crit.out_layers.0.weight")
    assert not any(name in tensors for name in (*gone, "crit.out_projs.1"))
    assert not fields["untie_r"] and fields["tie_word_embeddings"]
    assert fields["tie_projs"] == [False, True, True]


def test_an_older_file_holds_copies_and_a_table_of_waves(tmp_path: Path) -> None:
    model = built(ties=TIED + SHARED)
    held, _ = exported(model, tmp_path)
    for i in range(3):
        held[f"crit.out_layers.{i}.weight"] = held[f"transformer.word_emb.emb_layers.{i}.weight"]
        for bias in ("r_w_bias", "r_r_bias"):
            held[f"transformer.layers.{i}.dec_attn.{bias}"] = held[f"transformer.{bias}"]
    for i in (1, 2):
        held[f"crit.out_projs.{i}"] = held[f"transformer.word_emb.emb_projs.{i}"]
    held["transformer.pos_emb.inv_freq"] = torch.ones(16)
    whole = {name: tensor.clone() for name, tensor in held.items()}
    save_file(whole, tmp_path / "model.safetensors")
    again = blocks.from_pretrained(tmp_path)
    assert set(again.spec.keywords["ties"]) == set(TIED + SHARED)
    assert again.head.tables[2] is again.embedding.tables[2]
    tokens = torch.arange(8)[None]
    torch.testing.assert_close(again(tokens), model(tokens))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"attn_type": 1}, "attn_type"),
        ({"adaptive": False}, "adaptive"),
        ({"sample_softmax": 10}, "sample_softmax"),
        ({"mem_len": 0}, "mem_len"),
        ({"cutoffs": [50, 20]}, "cutoffs"),
        ({"cutofs": [50]}, "cutofs"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        outline_of(Config(BASE | fields)).build()


def test_the_published_model() -> None:
    published = {"d_model": 1024, "n_head": 16, "d_head": 64, "d_inner": 4096, "n_layer": 18}
    fields = {"model_type": "transfo-xl", "vocab_size": 267_735, "untie_r": True, **published}
    spec = outline_of(Config(fields)).spec
    attention = blocks.at(spec, "layers.0.attention")
    assert attention.func is RelativeAttention and attention.keywords["mask"] == blocks.Window(1600)
    ties = [
        (place, source)
        for part, first in (("tables", 0), ("projections", 1))
        for i in range(first, 4)
        for place, source in [(f"head.{part}.{i}", f"embedding.{part}.{i}")]
    ]
    with torch.device("meta"):
        model = blocks.replace(spec, ties=tuple(ties))()
    assert sum(tensor.numel() for tensor in model.parameters()) == 285_205_322
    family = family_of("transfo-xl")
    assert family.spec(Config(family.config(spec))) == spec


def ask(folder: Path, parts: dict[str, Tensor], options: dict[str, Any]) -> dict[str, Tensor]:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no interpreter with transformers 4.35.2: make transfo-xl")
    (folder / "options.json").write_text(json.dumps(options))
    save_file(parts, folder / "segments.safetensors")
    script = Path(__file__).with_name("transfo_xl_reference.py")
    done = subprocess.run([python, script, folder], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return load_file(folder / "answers.safetensors")


@pytest.mark.slow
@every
def test_parity_in_segments_and_of_an_export(tmp_path: Path, variant: str) -> None:
    parts = segments(9, 1, 20, 5)
    options = {k: v for k, v in (BASE | VARIANTS[variant]).items() if k != "model_type"}
    made = tmp_path / "made"
    made.mkdir()
    wanted = ask(made, parts, options)
    ours = blocks.from_pretrained(made)
    greedy = blocks.generate(ours, parts["0"], max_new_tokens=6, stop=())
    assert greedy.tolist() == wanted["greedy"].tolist()
    spread = float(torch.cat([wanted[name] for name in sorted(parts)], 1).std())
    for name, logits in zip(sorted(parts), in_segments(ours, parts), strict=True):
        assert float((logits - wanted[name]).abs().max()) <= TOLERANCE * spread
    again = tmp_path / "again"
    blocks.export(ours, again)
    before, after = (load_file(at / "model.safetensors") for at in (made, again))
    del before["transformer.pos_emb.inv_freq"]
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    theirs = ask(again, parts, options)
    assert all(torch.equal(theirs[name], wanted[name]) for name in parts)
