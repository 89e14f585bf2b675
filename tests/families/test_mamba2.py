"""Mamba-2's first files, whose options stand inside `ssm_cfg`."""

from __future__ import annotations

import pytest

import blocks
from blocks import ConfigError
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families import ageing
from tests.families.cases.mamba2 import PUBLISHED
from tests.families.test_mamba import first_form, renamed

FIRST, _ = PUBLISHED["state-spaces/mamba2-130m"]


def in_first_form(data):
    said = {"layer": "Mamba2", "headdim": data["head_dim"], "ngroups": data["n_groups"]}
    said |= {"d_state": data["state_size"], "dt_limit": data["time_step_limit"]}
    return first_form(data, ssm_cfg=said)


@pytest.mark.parametrize("variant", ["plain", "tied", "limits"])
def test_the_first_files(loaded, tmp_path, variant):
    it = loaded("mamba2", variant)
    folder = ageing.aged(it.folder, tmp_path / "first", config=in_first_form, tensors=renamed)
    ours = blocks.from_pretrained(folder)
    assert ours.spec == it.ours.spec
    assert it.close(it.answer(ours, it.tokens), it.logits) <= it.case.tolerance


def test_options_that_the_first_files_leave_out():
    mixer = blocks.at(outline_of(Config(FIRST)).spec, "layers.0.mixer").keywords
    said = {"heads": 24, "head_dim": 64, "state_dim": 128, "groups": 1, "kernel": 4}
    assert mixer.items() >= said.items()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"D_has_hdim": True}, "ssm_cfg.D_has_hdim"),
        ({"rmsnorm": False}, "ssm_cfg.rmsnorm"),
        ({"norm_before_gate": True}, "ssm_cfg.norm_before_gate"),
        ({"headdim": 100}, "num_heads"),
        ({"ngroups": 5}, "n_groups"),
        ({"dt_limit": [0.2, 0.1]}, "time_step_limit"),
        ({"d_stat": 8}, "ssm_cfg.d_stat"),
    ],
)
def test_what_cannot_be_read_is_named(options, field):
    with pytest.raises(ConfigError) as caught:
        outline_of(Config(FIRST | {"ssm_cfg": {"layer": "Mamba2"} | options}))
    assert caught.value.field == field
