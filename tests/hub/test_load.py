"""from_pretrained: every tensor lands where it belongs, nothing is lost, copied or left empty."""

from __future__ import annotations

import dataclasses
import json
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import (
    LSTM,
    CheckpointError,
    ConfigError,
    GatedMLP,
    GQAttention,
    HubError,
    MoE,
    RoPE,
    Spec,
    Window,
    addresses,
    at,
    from_pretrained,
    generate,
    replace,
    rewrite,
    save_pretrained,
)
from tests.hub.toy import tensors, write

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "toy")


def without(*names: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors().items() if name not in names}


def test_every_tensor_is_where_it_belongs(folder: Path) -> None:
    model, held = from_pretrained(folder), tensors()
    ours = addresses(model)
    assert len(ours) == len(held) and not model.training
    assert torch.equal(
        ours["layers.1.attention.k.weight"], held["model.layers.1.self_attn.k_proj.weight"]
    )
    assert torch.equal(
        ours["layers.0.mlp.norm_in.weight"], held["model.layers.0.post_attention_layernorm.weight"]
    )
    found = sorted(float(t.detach().double().sum()) for t in ours.values())
    assert found == sorted(float(t.double().sum()) for t in held.values())
    assert all(isinstance(t, nn.Parameter) and t.requires_grad for t in ours.values())
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
    told = model.provenance
    assert (told.source, told.commit, told.family) == (str(folder), None, "llama")
    assert told.initialised == told.left_out == told.changes == ()


EDITS: dict[str, Any] = {
    "a mixture of experts for every MLP": lambda spec: rewrite(
        spec, GatedMLP, lambda mlp: Spec(MoE, experts=3, top_k=2, expert=mlp)
    ),
    "a window in every attention": lambda spec: rewrite(
        spec, GQAttention, lambda old: replace(old, mask=Window(3))
    ),
    "another RoPE": lambda spec: rewrite(spec, RoPE, Spec(RoPE, theta=77.0, rotated=0.5)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_rewritten_model_trains_generates_saves_and_loads(
    edit: str, folder: Path, tmp_path: Path
) -> None:
    plain, model = from_pretrained(folder), from_pretrained(folder, rewrite=EDITS[edit])
    assert torch.allclose(plain(TOKENS), model(TOKENS), atol=1e-5) == ("experts" in edit)
    mine, theirs = addresses(model), addresses(plain)
    kept = [a for a in mine if a in theirs]
    assert all(torch.equal(mine[a], theirs[a]) for a in kept)
    assert list(model.provenance.initialised) == [a for a in mine if "router" in a]
    assert not model.provenance.left_out
    assert len(model.provenance.changes) == 1 and model.spec == EDITS[edit](plain.spec)
    assert all(bool(t.isfinite().all()) for t in mine.values())
    losses = train(model)
    assert losses[-1] < losses[0] - 0.2
    said = generate(model, TOKENS, max_new_tokens=6)
    save_pretrained(model, tmp_path / "mine")
    again = from_pretrained(tmp_path / "mine")
    assert again.spec == model.spec
    torch.testing.assert_close(again(TOKENS), model.eval()(TOKENS))
    assert torch.equal(generate(again, TOKENS, max_new_tokens=6), said)
    told = again.provenance
    assert told.source == folder.name, "where it lay on one machine is nobody's business"
    assert told == dataclasses.replace(model.provenance, source=told.source)


def train(model: Any) -> list[float]:
    optimizer = torch.optim.Adam(model.train().parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss = nn.functional.cross_entropy(model(TOKENS)[0, :-1], TOKENS[0, 1:])
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def test_initialised_parts_follow_the_blocks_own_rule(folder: Path) -> None:
    def seeded() -> Any:
        torch.manual_seed(3)
        return from_pretrained(folder, rewrite=lambda s: rewrite(s, "layers.0.mlp", LSTM))

    model, twin = seeded(), seeded()
    assert torch.equal(model(TOKENS), twin(TOKENS))
    part = addresses(model)["layers.0.mlp.weight_hh_l0"]
    assert 0 < part.abs().max() <= 1 / 4 and abs(part.std() - 1 / 4 / 3**0.5) < 0.02
    mixed = from_pretrained(folder, rewrite=EDITS["a mixture of experts for every MLP"])
    assert addresses(mixed)["layers.0.mlp.router.weight"].std() < 0.04


def test_part_of_a_shape_is_no_reason_to_keep(folder: Path) -> None:
    other = Spec(GQAttention, heads=4, head_dim=6)
    wider = from_pretrained(folder, rewrite=lambda s: rewrite(s, "layers.1.attention", other))
    names = {f"layers.1.attention.{part}.weight" for part in ("q", "k", "v", "out")}
    assert set(wider.provenance.initialised) == set(wider.provenance.left_out) == names


def test_rewrite_gives_a_spec(folder: Path) -> None:
    wrongs = (lambda s: None, lambda s: s(), lambda s: GQAttention, lambda s: at(s, "layers.0"))
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="rewrite"):
            from_pretrained(folder, rewrite=wrong)


def test_a_rewritten_model_never_hides_a_broken_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, without("model.layers.0.mlp.up_proj.weight"))
    with pytest.raises(CheckpointError, match="up_proj"):
        from_pretrained(tmp_path, rewrite=EDITS["a window in every attention"])


def test_not_strict_lists_what_it_did(tmp_path: Path) -> None:
    missing, extra = "model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.sinks"
    write(tmp_path, {**without(missing), extra: torch.ones(4)})
    with pytest.raises(CheckpointError) as caught:
        from_pretrained(tmp_path)
    assert missing in str(caught.value) and extra in str(caught.value) and caught.value.hint
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = from_pretrained(tmp_path, strict=False)
    assert (
        len(warned) == 1 and "up_proj" in str(warned[0].message) and extra in str(warned[0].message)
    )
    assert warned[0].filename == __file__, "the warning points at the caller"
    assert model.provenance.initialised == ("layers.1.mlp.up.weight",)
    assert model.provenance.left_out == (extra,)
    assert model(TOKENS).isfinite().all()


def test_a_wrong_shape_is_never_forgiven(tmp_path: Path) -> None:
    write(tmp_path, {**tensors(), "model.norm.weight": torch.ones(15)})
    with pytest.raises(CheckpointError, match=r"model.norm.weight is \[15\], not \[16\]"):
        from_pretrained(tmp_path, strict=False)


def tied(model: Any) -> bool:
    return model.head.weight is model.embedding.weight


@pytest.mark.parametrize("flag", [True, False, None])
@pytest.mark.parametrize("said", ["absent", "equal", "different", "embedding absent"])
def test_ties_are_what_the_tensors_say(tmp_path: Path, said: str, flag: bool | None) -> None:
    data, head, table = tensors(), "lm_head.weight", "model.embed_tokens.weight"
    if said == "absent":
        del data[head]
    elif said == "embedding absent":
        del data[table]
    elif said == "equal":
        data[head] = data[table].clone()
    write(tmp_path, data, tie_word_embeddings=flag)
    if flag is False and "absent" in said:
        lost = head if said == "absent" else table
        with pytest.raises(CheckpointError, match=f"missing: {lost}"):
            from_pretrained(tmp_path)
        return
    odd = flag and said == "different"
    with pytest.warns(UserWarning, match="differ: both are kept") if odd else nullcontext():
        model = from_pretrained(tmp_path)
    assert tied(model) == (said != "different")
    assert torch.equal(model.head.weight, data.get(head, data.get(table)))
    assert torch.equal(model.embedding.weight, data.get(table, data.get(head)))
    assert bool(model.spec.keywords["ties"]) == tied(model)
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(t.numel() for t in tensors().values()) - 32 * 16 * tied(model)
    save_pretrained(model, tmp_path / "again")
    again = from_pretrained(tmp_path / "again")
    assert tied(again) == tied(model)
    torch.testing.assert_close(again(TOKENS), model(TOKENS))


def test_heads_that_differ_late_are_not_tied(tmp_path: Path) -> None:
    data = tensors()
    data["lm_head.weight"] = data["model.embed_tokens.weight"].clone()
    data["lm_head.weight"][-1, -1] += 1
    assert not tied(from_pretrained(write(tmp_path, data)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtype(folder: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    model = from_pretrained(folder, dtype=dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert torch.equal(model.norm.weight, tensors()["model.norm.weight"].to(dtype))
    kept = from_pretrained(write(tmp_path / "held", tensors(dtype)))
    assert {p.dtype for p in kept.parameters()} == {dtype}, (
        "as the file has it, whatever the config says"
    )
    assert kept(TOKENS).dtype == dtype


def test_mixed_dtypes_become_the_one_that_most_bytes_have(tmp_path: Path) -> None:
    data = {n: t if "norm" in n else t.bfloat16() for n, t in tensors().items()}
    model = from_pretrained(write(tmp_path, data))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in from_pretrained(tmp_path, dtype=torch.float32).parameters()} == {
        torch.float32
    }


def test_device(folder: Path) -> None:
    model = from_pretrained(folder, device="cpu")
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert from_pretrained(folder, device=torch.device("cpu"))(TOKENS).isfinite().all()


def test_a_copy_is_not_touched_by_what_happens_to_the_file(folder: Path) -> None:
    mapped, copied = from_pretrained(folder), from_pretrained(folder, copy=True)
    wanted = copied(TOKENS)
    with open(folder / "model.safetensors", "r+b") as file:
        size = file.seek(0, 2)
        file.seek(size - 4 * 16 * 32)
        file.write(bytes(4 * 16 * 32))
    assert torch.equal(copied(TOKENS), wanted)
    assert not torch.equal(mapped(TOKENS), wanted), "mapped, not copied"


def test_training_never_writes_into_the_file(folder: Path) -> None:
    before = (folder / "model.safetensors").read_bytes()
    train(from_pretrained(folder))
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_check_finite(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    data = tensors(dtype)
    data["model.layers.1.mlp.up_proj.weight"][3, 3] = value
    write(tmp_path, data)
    with pytest.raises(CheckpointError, match="NaN or infinity") as caught:
        from_pretrained(tmp_path, check_finite=True)
    assert caught.value.tensor == "model.layers.1.mlp.up_proj.weight"
    assert from_pretrained(tmp_path) is not None


def test_check_finite_allows_large_weights(tmp_path: Path) -> None:
    data = tensors()
    data["model.embed_tokens.weight"][:] = 3e38
    assert from_pretrained(write(tmp_path, data), check_finite=True) is not None


def test_generation_defaults_come_along(folder: Path) -> None:
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [5, 6], "pad_token_id": 2})
    )
    model = from_pretrained(folder)
    assert model.generation.eos == (5, 6) and model.generation.pad == 2


def test_a_path_or_a_string(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    for name in (folder, str(folder), "./toy", Path("toy")):
        assert torch.equal(from_pretrained(name)(TOKENS), from_pretrained(folder)(TOKENS))


def test_the_packaged_model_is_a_checkpoint_like_any() -> None:
    model = from_pretrained(blocks.packaged())
    assert at(model.spec, "layers.0.attention").func is GQAttention


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HubError):
        from_pretrained(tmp_path / "nowhere")
