"""Commands over models that read: encoder–decoders answer, masked models fill in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from tokenizers import Tokenizer as Trained
from tokenizers import decoders, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, GenerationConfig, T5Config
from transformers import T5ForConditionalGeneration as T5

import blocks
from blocks.cli.main import main

START, END, MASK = 256, 257, 258


def run(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def tokenizer() -> blocks.Tokenizer:
    """A token a byte, and three special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained = Trained(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    trained.decoder = decoders.ByteLevel()  # pyright: ignore
    trained.add_special_tokens(["<pad>", "</s>", "[MASK]"])
    return blocks.Tokenizer.from_backend(trained, pad="<pad>", eos="</s>", mask="[MASK]")


def scrambled(model: torch.nn.Module) -> torch.nn.Module:
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.3)
    return model


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answering")
    sizes = {"vocab_size": 259, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2}
    ids = {"pad_token_id": START, "eos_token_id": END, "decoder_start_token_id": START}
    scrambled(T5(T5Config(**sizes, num_heads=4, **ids))).save_pretrained(folder)  # type: ignore[attr-defined]  # a model has it
    GenerationConfig(**ids, num_beams=3, forced_bos_token_id=65).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masked")
    sizes = {"vocab_size": 259, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    config = BertConfig(**sizes, num_attention_heads=4, max_position_embeddings=16, pad_token_id=0)
    scrambled(BertForMaskedLM(config)).save_pretrained(folder)  # type: ignore[attr-defined]  # a model has it
    tokenizer().save_pretrained(folder)
    return folder


def shown(ids: list[int]) -> str:
    return "".join(c for c in tokenizer().decode(ids) if c.isprintable() or c in "\n\t")


def printed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return "".join(c for c in result.stdout if c.isprintable() or c in "\n\t")


def test_an_answer_is_printed_alone(answering: Path) -> None:
    model, ids = blocks.from_pretrained(answering), tokenizer().encode("hi")
    _, found = blocks.beam_search(model, ids, max_new_tokens=9)
    assert (model.generation.beams, found[0, :2].tolist()) == (3, [START, 65])
    result = run("generate", answering, "hi", "--max-new-tokens", 9)
    assert printed(result) == shown(found[0, 1:].tolist()) + "\n"
    assert result.stderr.startswith(f"{found.shape[1] - 1} tokens, ")


def test_beams_are_as_many_as_asked_for(answering: Path, checkpoint: Path) -> None:
    asked = ["--max-new-tokens", 9]
    model, ids = blocks.from_pretrained(answering), tokenizer().encode("hi")
    greedy = blocks.generate(model, ids, max_new_tokens=9)
    told = run("generate", answering, "hi", "--beams", 1, *asked)
    assert printed(told) == shown(greedy[0, 1:].tolist()) + "\n"
    drawn = ["generate", answering, "hi", "--temperature", 2, "--seed", 1, *asked]
    assert printed(run(*drawn)) == printed(run(*drawn)) != printed(told)
    found = blocks.beam_search(blocks.from_pretrained(checkpoint), ids, beams=2, max_new_tokens=9)
    told = run("generate", checkpoint, "hi", "--beams", 2, *asked)
    assert printed(told) == shown(found[1][0].tolist()) + "\n"


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--beams", "2", "--temperature", "1"], "--temperature draws one", 2),
        (["--beams", "2", "--top-k", "3"], "top_k", 1),
        (["--beams", "0"], "--beams", 2),
    ],
)
def test_beams_do_not_draw(options: list[str], words: str, code: int, checkpoint: Path) -> None:
    result = run("generate", checkpoint, "hi", *options)
    assert result.exit_code == code and words in result.stderr
    assert "Traceback" not in result.stderr


def test_masks_are_filled(masked: Path) -> None:
    text = "a[MASK]b[MASK]"
    wanted = blocks.fill_mask(blocks.from_pretrained(masked), text, tokenizer=tokenizer(), top=2)
    rows = json.loads(run("fill-mask", masked, text, "--top", 2, "--json").stdout)
    assert [[row["token"] for row in best] for best in rows] == [
        [each.token for each in best] for best in wanted
    ]
    lines = run("fill-mask", masked, text, "--top", 2).stdout.split("\n")
    assert [line[:6] for line in lines] == [
        *(f"{each.probability:.4f}" for each in wanted[0]),
        "",
        *(f"{each.probability:.4f}" for each in wanted[1]),
        "",
    ]
    assert len(run("fill-mask", masked, "a[MASK]").stdout.splitlines()) == 5


@pytest.mark.parametrize(
    ("text", "words"), [("ab", "write [MASK]"), ("[MASK]" * 17, "context of 16")]
)
def test_masks_that_cannot_be_filled(text: str, words: str, masked: Path) -> None:
    result = run("fill-mask", masked, text)
    assert result.exit_code == 1 and words in result.stderr
    assert "Traceback" not in result.stderr


def test_another_kind_of_model(checkpoint: Path, masked: Path) -> None:
    result = run("fill-mask", checkpoint, "[MASK]")
    assert result.exit_code == 1 and "CausalLM fills no masks" in result.stderr
    result = run("generate", masked, "hi")
    assert result.exit_code == 1 and "a MaskedLM writes nothing" in result.stderr
