"""The command line: what it prints, what it refuses, and what it does not import."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from index import BLOCK_FOLDERS, ROOT, is_block, public

import blocks
from blocks.cli import catalog
from blocks.cli.main import COMMANDS, main
from blocks.families import model_types
from tests.clock import slower

NAMES = [command.name for command in COMMANDS]


def run(*arguments: str | Path, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=given)


def python(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=given, cwd=ROOT)


def fails(result: Result, *words: str, code: int = 1) -> None:
    """One message that starts with Error and names the words; no traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    for word in ("Error: ", *words):
        assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_python_m_is_the_same_command() -> None:
    result = python("-m", "blocks", "--version")
    assert result.stdout == f"blocks, version {blocks.__version__}\n"


def test_help_lists_every_command_with_a_whole_line() -> None:
    text = run("--help").output
    assert all(f"  {name} " in text for name in NAMES)
    assert not [line for line in text.splitlines()[1:] if line.endswith("...")]  # cut by click


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name: str) -> None:
    result = run(name, "-h")
    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["generate", "--help"],
        ["fill-mask", "--help"],
        ["generate", "--temperature", "warm", "a", "b"],
        ["generate", "to be or not"],
        ["list"],
        ["list", "blocks"],
        ["inspect", "CHECKPOINT"],
        ["inspect", "CHECKPOINT", "--json"],
        ["explain", "CHECKPOINT"],
        ["diff", "CHECKPOINT", "CHECKPOINT"],
    ],
    ids=" ".join,
)
def test_looking_needs_no_torch(arguments: list[str], checkpoint: Path) -> None:
    given = [str(checkpoint) if part == "CHECKPOINT" else part for part in arguments]
    code = (
        "import sys; from blocks.cli.main import main\n"
        "try: main(sys.argv[1:], prog_name='blocks')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'huggingface_hub', 'safetensors'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import time; print(time.process_time())"
    )
    results = [python("-W", "error", "-c", code, *given) for _ in range(3)]
    assert results[0].returncode == 0, results[0].stderr
    assert min(float(result.stdout.split()[-1]) for result in results) < 0.4 * slower()


def test_families_are_listed() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert [row["model_type"] for row in rows] == list(model_types())
    llama = next(row for row in rows if row["model_type"] == "llama")
    assert "LlamaForCausalLM" in llama["architectures"]
    lines = run("list").stdout.splitlines()
    assert ["llama", "LlamaForCausalLM"] in [line.split() for line in lines]


def test_blocks_are_listed_with_a_line_each() -> None:
    rows = json.loads(run("list", "blocks", "--json").stdout)
    listed = {row["block"] for row in rows}
    assert {item.name for item in public().values() if is_block(item)} <= listed
    assert {"GQAttention", "Window", "CausalLM"} <= listed <= set(blocks.__all__)
    assert all(len(row["description"].split()) > 3 for row in rows)
    assert (*BLOCK_FOLDERS, "models") == catalog.FOLDERS
    assert "Rotary position embedding" in run("list", "blocks").stdout


def test_inspect_prints_a_table_and_json(checkpoint: Path) -> None:
    text = run("inspect", checkpoint).stdout
    assert "parameters  14,064" in text
    assert "layers.{0-2}.attention.q.weight" in text
    data = json.loads(run("inspect", checkpoint, "--json").stdout)
    assert data["parameters"] == sum(row["parameters"] for row in data["tensors"]) == 14_064
    assert data["fits"] is True


def test_no_name_in_a_file_commands_the_terminal(checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "model\x1b[31m")
    config = json.loads((folder / "config.json").read_text())
    named = {**config, "_name_or_path": "\u202e\x9b2J", "torch_dtype": "\x1b]0;x\x07"}
    for data in ({**config, "_name_or_path": "\u202e\x9b2J"}, named):
        (folder / "config.json").write_text(json.dumps(data, ensure_ascii=False))
        for arguments in (["inspect"], ["inspect", "--json"], ["explain"], ["explain", "--json"]):
            output = run(arguments[0], folder, *arguments[1:]).output
            assert output and output.replace("\n", "").isprintable()


def test_explain_prints_a_tree_and_json(checkpoint: Path) -> None:
    assert "layers.0-2" in run("explain", checkpoint, "--depth", "1").stdout
    assert "norm_in" not in run("explain", checkpoint, "--depth", "1").stdout
    data = json.loads(run("explain", checkpoint, "--json").stdout)
    assert data["parameters"] == 14_064


def test_generate_prints_prompt_and_continuation(checkpoint: Path) -> None:
    result = run("generate", checkpoint, "hi", "--max-new-tokens", 9)
    model = blocks.from_pretrained(checkpoint)
    tokenizer = blocks.Tokenizer.from_pretrained(checkpoint)
    ids = blocks.generate(model, tokenizer.encode("hi"), max_new_tokens=9)[0]
    said = "".join(c for c in tokenizer.decode(ids) if c.isprintable() or c in "\n\t")
    assert "".join(c for c in result.stdout if c.isprintable() or c in "\n\t") == said + "\n"
    assert result.stderr.startswith("9 tokens, ")
    assert result.stderr.endswith(" tokens per second\n")


def test_a_seed_draws_the_same_text(checkpoint: Path) -> None:
    drawn = ["generate", checkpoint, "hi", "--temperature", "2", "--max-new-tokens", "20"]
    first, again, other = (run(*drawn, "--seed", seed).stdout for seed in ("1", "1", "2"))
    assert first == again != other


def test_text_comes_from_standard_input(checkpoint: Path) -> None:
    told = run("generate", checkpoint, "hi", "--max-new-tokens", 4).stdout
    assert run("generate", checkpoint, "-", "--max-new-tokens", 4, given="hi\n").stdout == told


def test_by_default_the_text_ends_where_the_context_does(checkpoint: Path) -> None:
    assert run("generate", checkpoint, "four").stderr.startswith("60 tokens, ")
    fails(run("generate", checkpoint, "four", "--max-new-tokens", 61), "at most 60 fit")
    fails(run("generate", checkpoint, "x" * 64), "shorten the prompt")


def test_a_string_stops_the_text(checkpoint: Path) -> None:
    whole = run("generate", checkpoint, "hi", "--max-new-tokens", 20).stdout
    stop = next(c for c in whole[2:] if c.isascii() and c.isprintable())
    short = run("generate", checkpoint, "hi", "--max-new-tokens", 20, "--stop", stop).stdout
    assert short == whole[: whole.index(stop, 2) + 1] + "\n"


def test_without_a_model_the_packaged_one_writes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(blocks), "packaged", lambda: checkpoint)
    result = run("generate", "--max-new-tokens", 5)
    assert result.stdout.startswith("ROMEO:")
    assert result.stderr.startswith("5 tokens, ")
    assert run("generate", "packaged", "x", "--max-new-tokens", 5).stdout.startswith("x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["to be or not"], ["is no model", "blocks generate packaged 'to be or not'"]),
        (["hello"], ["TEXT is missing", "blocks generate packaged hello"]),
        (["CHECKPOINT"], ["TEXT is missing"]),
        (["to be", "CHECKPOINT"], ["is no model", "The model comes first"]),
        (["to be", "or not"], ["is no model"]),
        (["CHECKPOINT", "a", "b"], ["unexpected extra argument"]),
        (["CHECKPOINT", "a", "--max-new-tokens", "0"], ["--max-new-tokens"]),
        (["CHECKPOINT", "a", "--dtype", "int8"], ["--dtype"]),
    ],
)
def test_mixed_up_arguments(arguments: list[str], words: list[str], checkpoint: Path) -> None:
    given = [str(checkpoint) if part == "CHECKPOINT" else part for part in arguments]
    fails(run("generate", *given), *words, code=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect", "./nowhere"], ["./nowhere", "is not a folder"]),
        (["explain", "a b"], ["is neither a folder nor a repository's id"]),
        (["inspect", "."], ["has no config.json"]),
        (["generate", "./nowhere", "text"], ["is no model"]),
        (["generate", "CHECKPOINT", "a", "--device", "warp9"], ["device warp9"]),
        (["generate", "CHECKPOINT", "a", "--device", "meta"], ["holds no numbers"]),
        (["generate", "CHECKPOINT", "a", "--temperature", "-1"], ["temperature"]),
        (["generate", "CHECKPOINT", ""], ["nothing to read"]),
        (["export", "./nowhere", "out"], ["is not a folder"]),
        (["verify", "CHECKPOINT"], ["has no sha256.json"]),
    ],
)
def test_errors_are_one_message(
    arguments: list[str],
    words: list[str],
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(checkpoint) if part == "CHECKPOINT" else part for part in arguments]
    result = run(*given)
    fails(result, *words, code=2 if words == ["is no model"] else 1)
    assert result.stderr.count("Error: ") == 1


def test_a_closed_pipe_is_no_traceback(checkpoint: Path) -> None:
    code = (
        "import os, sys; from blocks.cli.main import main; os.close(1); os.open(os.devnull, 1);"
        "reader, writer = os.pipe(); os.dup2(writer, 1); os.close(reader); os.close(writer);"
        "main(['inspect', sys.argv[1]])"
    )
    result = python("-c", code, checkpoint)
    assert result.returncode == 1
    assert result.stderr == ""


def test_chat_keeps_the_conversation(checkpoint: Path) -> None:
    options = ["--max-new-tokens", "3", "--system", "s"]
    result = run("chat", checkpoint, *options, given="a\n\nb\n/exit\nc\n")
    assert result.exit_code == 0
    model = blocks.from_pretrained(checkpoint)
    tokenizer = blocks.Tokenizer.from_pretrained(checkpoint)
    messages, answers = [{"role": "system", "content": "s"}], ""
    for line in "ab":
        messages.append({"role": "user", "content": line})
        prompt = tokenizer.chat(messages)
        ids = blocks.generate(model, prompt, max_new_tokens=3)[0][len(prompt) :]
        text = "".join(c for c in tokenizer.decode(ids) if c.isprintable() or c in "\n\t")
        messages.append({"role": "assistant", "content": text})
        answers += text + "\n"
    assert "".join(c for c in result.stdout if c.isprintable() or c in "\n\t") == answers


def test_ctrl_c_ends_a_text_and_a_conversation(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object, **options: object) -> Iterator[int]:
        yield from (64, 65)
        raise KeyboardInterrupt

    monkeypatch.setitem(vars(blocks), "stream", interrupted)
    result = run("generate", checkpoint, "hi")
    assert result.exit_code == 130
    assert result.stderr.startswith("2 tokens, ")
    result = run("chat", checkpoint, given="a\nb\n")
    assert (result.exit_code, result.stderr) == (0, "")


def test_chat_ends_with_its_input(checkpoint: Path) -> None:
    result = run("chat", checkpoint, given="")
    assert (result.exit_code, result.stdout) == (0, "\n")


def test_chat_needs_a_template(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink()
    fails(run("chat", tmp_path / "plain", given="a\n"), "has no chat template", "blocks generate")


def test_export_writes_model_and_tokenizer(checkpoint: Path, tmp_path: Path) -> None:
    result = run("export", checkpoint, tmp_path / "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert blocks.inspect(tmp_path / "out").tensors == blocks.inspect(checkpoint).tensors
    said = run("verify", tmp_path / "out").output.split()
    assert {"config.json", "model.safetensors", "tokenizer.json"} < set(said)
    ids = blocks.Tokenizer.from_pretrained(tmp_path / "out").encode("hi")
    assert ids == blocks.Tokenizer.from_pretrained(checkpoint).encode("hi")
