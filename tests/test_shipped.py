"""The model in the package: its files, what it knows of Shakespeare, and how it was made."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

import blocks

ROOT = Path(__file__).parents[1]
PLAYS = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"
FOLDER = blocks.packaged()
AT_MOST = 1.70  # nats per character


def held_out() -> str:
    return (FOLDER / "held-out.txt").read_text(encoding="utf-8")


def test_the_last_tenth_is_held_out() -> None:
    if not PLAYS.is_file():
        pytest.skip("the plays are not at ../shared/data/tinyshakespeare.txt")
    text = PLAYS.read_text(encoding="utf-8")
    assert held_out() == text[int(len(text) * 0.9) :]


def nats_per_character(text: str, stride: int) -> float:
    """Windows as long as the model's context, a stride apart; each token is scored once."""
    model = blocks.from_pretrained(FOLDER, dtype=torch.float32)
    tokens = torch.tensor(blocks.Tokenizer.from_pretrained(FOLDER).encode(text))

    def nats(windows: Tensor) -> Tensor:
        logits = model(windows[:, :-1]).transpose(1, 2)
        return F.cross_entropy(logits, windows[:, 1:], reduction="none").double()  # B T

    total, scored = 0.0, 0
    with torch.inference_mode():
        while scored < len(tokens) - 1:
            end = min(max(scored + stride, model.context), len(tokens) - 1)
            window = tokens[None, max(end - model.context, 0) : end + 1]
            total += float(nats(window)[:, scored - end :].sum())
            scored = end
    return total / len(text)


def test_weights_are_small_and_in_bfloat16() -> None:
    path = FOLDER / "model.safetensors"
    assert 1e6 <= path.stat().st_size <= 4e6
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "pt"
        names = list(file.keys())
        assert {file.get_slice(name).get_dtype() for name in names} == {"BF16"}
        assert "model.layers.0.self_attn.q_proj.weight" in names


def test_config_is_in_the_dialect_every_reader_knows() -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["torch_dtype"] == "bfloat16"
    assert config["rope_theta"] == 10_000
    tokenizer = blocks.Tokenizer.from_pretrained(FOLDER)
    assert config["bos_token_id"] == config["eos_token_id"] == tokenizer.bos == tokenizer.eos


def test_any_text_survives_the_tokenizer() -> None:
    tokenizer = blocks.Tokenizer.from_pretrained(FOLDER)
    for text in ("ROMEO:\nO, speak!\n\nJULIET:\n'Tis I.", "\tcafé  №5\r\n\n\n", "", "日本語 🎭"):
        ids = tokenizer.encode(text)
        assert ids[0] == tokenizer.bos
        assert tokenizer.decode(ids) == text


def test_knows_plays_it_never_saw() -> None:
    # Windows side by side: most tokens have less context than they could, so the figure is high.
    assert nats_per_character(held_out()[:15_000], stride=256) <= AT_MOST


@pytest.mark.slow
def test_knows_all_that_was_held_out_as_the_card_says() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    told = re.search(r"\*\*([\d.]+) nats per character\*\*", card)
    assert told is not None
    nats = nats_per_character(held_out(), stride=32)
    assert nats <= AT_MOST
    assert nats == pytest.approx(float(told[1]), abs=1e-3)


def test_writes_plays() -> None:
    model = blocks.from_pretrained(FOLDER)
    tokenizer = blocks.Tokenizer.from_pretrained(FOLDER)
    prompt = torch.tensor([tokenizer.encode("")])
    ids = blocks.generate(model, prompt, max_new_tokens=200, temperature=0.8, top_p=0.95, seed=0)
    text = tokenizer.decode(ids[0])
    speeches = re.findall(r"^[A-Z][A-Za-z ]+:\n[A-Z']", text, re.MULTILINE)
    words = re.findall(r"\b(?:the|and|of|to|my|you|I|is)\b", text)
    assert len(speeches) >= 2 and len(words) >= 10, text


def test_transformers_gives_the_same_logits() -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    text = "ROMEO:\nBut, soft! what light through yonder window breaks?"
    ids = blocks.Tokenizer.from_pretrained(FOLDER).encode(text)
    assert tokenizer(text)["input_ids"] == ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        ours = blocks.from_pretrained(FOLDER, dtype=torch.float32)(tokens)
        torch.testing.assert_close(ours, theirs(tokens).logits, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_anyone_can_make_it_again(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(held_out(), encoding="utf-8")
    script = ROOT / "examples" / "train_shakespeare.py"
    options = ["--data", tmp_path / "text.txt", "--out", tmp_path / "model", "--steps", "2"]
    done = subprocess.run(
        [sys.executable, script, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "nats per character" in done.stdout
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {path.name for path in FOLDER.iterdir()} - names <= {"README.md", "held-out.txt"}
    made = blocks.from_pretrained(tmp_path / "model")
    assert made.spec == blocks.from_pretrained(FOLDER).spec
