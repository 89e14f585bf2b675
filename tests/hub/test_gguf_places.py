"""Which file of a place is meant, parts of one, and files on the Hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from gguf import GGUFWriter

import blocks
from blocks.cli.main import main
from blocks.errors import CheckpointError, ConfigError, HubError
from tests.hub.gguf_bytes import LIST, TEXT, U32, file, key, tensor
from tests.hub.gguf_files import reference, write
from tests.hub.gguf_kinds import KINDS
from tests.hub.loopback import HubServer

REPO = "org/small-GGUF"
TOKENS = torch.arange(3, 20)[None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file."""
    folder = tmp_path_factory.mktemp("sound")
    write(folder / "small-q8_0.gguf", reference(KINDS["qwen2"], "plain")[0], KINDS["qwen2"])
    return folder


def answer(place: str | Path) -> torch.Tensor:
    with torch.no_grad():
        return blocks.from_pretrained(place)(TOKENS)


def test_a_folder_with_one_file_is_that_file(sound: Path) -> None:
    model = blocks.from_pretrained(sound)
    assert model.provenance.source == f"{sound}/small-q8_0.gguf"
    assert model.provenance.family == "qwen2"
    assert torch.equal(answer(sound), answer(sound / "small-q8_0.gguf"))
    assert model.origin["repo_or_dir"] == sound.resolve() / "small-q8_0.gguf"


def test_safetensors_beside_it_are_the_model(sound: Path, tmp_path: Path) -> None:
    blocks.export(blocks.from_pretrained(sound), tmp_path)
    (tmp_path / "other.gguf").write_bytes(b"GGUF, and no more")
    assert blocks.from_pretrained(tmp_path).provenance.source == str(tmp_path)
    with pytest.raises(CheckpointError, match="other.gguf"):
        blocks.from_pretrained(tmp_path / "other.gguf")


def test_of_several_one_must_be_named(sound: Path, tmp_path: Path) -> None:
    data = (sound / "small-q8_0.gguf").read_bytes()
    for name in ("a-q4_k_m.gguf", "a-q8_0.gguf"):
        (tmp_path / name).write_bytes(data)
    for call in (blocks.from_pretrained, blocks.inspect, blocks.Tokenizer.from_pretrained):
        with pytest.raises(CheckpointError) as caught:
            call(tmp_path)
        assert "holds 2 GGUF files: a-q4_k_m.gguf, a-q8_0.gguf" in str(caught.value)
        assert f"{tmp_path}/a-q4_k_m.gguf" in str(caught.value.hint)
    assert torch.equal(answer(tmp_path / "a-q8_0.gguf"), answer(sound))


def parts(sound: Path, count: int = 3) -> dict[str, bytes]:
    """The same model in parts, as gguf-split writes them: all metadata is in the first."""
    from blocks.hub.gguf.container import parse

    raw = (sound / "small-q8_0.gguf").read_bytes()
    found = parse(raw, len(raw), "x")
    head = raw[24 : raw.index(b"token_embd.weight") - 8]
    files = {}
    names = list(found.tensors)
    for n in range(count):
        told, data = [], b""
        for name in names[n::count]:
            one = found.tensors[name]
            told.append(tensor(name, one.shape[::-1], 0, len(data)))
            data += raw[one.start : one.end]
            data += bytes(-len(data) % 32)
        own = [key("split.count", U32, count), key("split.no", U32, n)]
        keys = [head, *own] if n == 0 else own
        counts = (len(told), len(found.metadata) + 2 if n == 0 else 2)
        files[f"small-{n + 1:05}-of-{count:05}.gguf"] = file(keys, told, data, counts=counts)
    return files


def test_parts_are_one_model(sound: Path, tmp_path: Path) -> None:
    made = parts(sound)
    for name, raw in made.items():
        (tmp_path / name).write_bytes(raw)
    first, second, _ = made
    for place in (tmp_path, tmp_path / first):
        assert torch.equal(answer(place), answer(sound))
        assert blocks.inspect(place).files == tuple(made)
    with pytest.raises(ConfigError, match=f"part 2 of 3. Hint: give the first, {first}"):
        answer(tmp_path / second)
    (tmp_path / second).unlink()
    with pytest.raises(HubError, match=f"{second}: is missing beside {first}"):
        answer(tmp_path)
    (tmp_path / second).write_bytes(made[first])
    with pytest.raises(CheckpointError, match="is in two parts"):
        answer(tmp_path)
    lone = tmp_path / "small-00001-of-00002.gguf"
    lone.write_bytes(made[first])
    (tmp_path / "small-00002-of-00002.gguf").write_bytes(made[first])
    with pytest.raises(CheckpointError, match="one of 3 parts, its name says 2"):
        answer(lone)


def test_a_file_on_the_hub(hub_server: HubServer, sound: Path) -> None:
    raw = (sound / "small-q8_0.gguf").read_bytes()
    hub_server.add(REPO, {"small-q8_0.gguf": raw, "README.md": b"# small"})
    report = blocks.inspect(REPO)
    assert report.fits and report.commit and report.parameters > 20_000
    asked = [r for r in hub_server.requests if r.method == "GET" and ".gguf" in r.path]
    assert [r.headers.get("range") for r in asked] == ["bytes=0-1048575"]
    model = blocks.from_pretrained(REPO)
    assert (model.provenance.source, model.provenance.commit) == (
        f"{REPO}/small-q8_0.gguf",
        report.commit,
    )
    assert torch.equal(answer(f"{REPO}/small-q8_0.gguf"), answer(sound))
    hub_server.add(REPO, {"small-q8_0.gguf": raw, "q4/other.gguf": raw})
    with pytest.raises(CheckpointError, match=r"2 GGUF files: q4/other.gguf, small-q8_0.gguf"):
        blocks.inspect(REPO)
    assert blocks.inspect(f"{REPO}/q4/other.gguf").fits
    with pytest.raises(HubError, match=r"lost.gguf: is missing|has no lost.gguf"):
        blocks.inspect(f"{REPO}/lost.gguf")
    with pytest.raises(HubError, match="name"):
        blocks.inspect(f"{REPO}/../../up.gguf")


def test_a_long_header_is_asked_for_again(hub_server: HubServer, sound: Path) -> None:
    words = [f"word {n:07}" for n in range(60_000)]
    raw = (sound / "small-q8_0.gguf").read_bytes()
    counts = int.from_bytes(raw[8:16], "little"), int.from_bytes(raw[16:24], "little") + 1
    more = key("tokenizer.ggml.tokens", LIST, (TEXT, words))
    words[0] += " " * (-len(more) % 32)  # the padding behind the header stays as it is
    more = key("tokenizer.ggml.tokens", LIST, (TEXT, words))
    end = raw.index(b"token_embd.weight") - 8
    told = raw[24:end], more, raw[end : (len(raw) - _data(raw))]
    hub_server.add(REPO, {"a.gguf": file(told, (), raw[-_data(raw) :], counts=counts)})
    assert blocks.inspect(REPO).fits
    asked = [r.headers.get("range") for r in hub_server.requests if ".gguf" in r.path]
    assert asked[-2:] == ["bytes=0-1048575", "bytes=0-8388607"]


def _data(raw: bytes) -> int:
    """How many bytes of data a file has."""
    from blocks.hub.gguf.container import parse

    return len(raw) - min(one.start for one in parse(raw, len(raw), "x").tensors.values())


REFUSED = {
    "an adapter": ({"general.type": "adapter"}, "holds no model but 'adapter'"),
    "no architecture": ({"general.architecture": None}, "names no architecture"),
    "an architecture that isn't known": (
        {"general.architecture": "qwen22"},
        "'qwen22' can't be read from GGUF. Hint: did you mean 'qwen2",
    ),
    "a key that isn't known": ({"qwen2.attention.sinks": "yes"}, "attention.sinks: this field"),
    "a key of something else": ({"clip.width": "4"}, "clip.width: this key is not known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_said_and_can_not_be_read_is_refused(name: str, tmp_path: Path) -> None:
    changed, told = REFUSED[name]
    fields = {"general.architecture": "qwen2", **changed}
    keys = [key(k, TEXT, v) for k, v in fields.items() if v is not None]
    numbers = "embedding_length block_count feed_forward_length context_length".split()
    keys += [key(f"qwen2.{n}", U32, 32) for n in (*numbers, "attention.head_count")]
    keys += [key("qwen2.attention.layer_norm_rms_epsilon", 6, 1e-6)]
    one = tensor("token_embd.weight", [32, 4])
    (tmp_path / "model.gguf").write_bytes(file(keys, [one], bytes(512)))
    for call in (blocks.from_pretrained, blocks.inspect):
        with pytest.raises(ConfigError, match=told):
            call(tmp_path / "model.gguf")


def test_a_tensor_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    model = reference(KINDS["qwen2"], "plain")[0]
    add = GGUFWriter.add_tensor

    def twice(self: GGUFWriter, name: str, *rest: Any, **more: Any) -> None:
        add(self, name, *rest, **more)
        if name == "blk.0.attn_q.weight":
            add(self, "blk.0.attn_sinks.weight", *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GGUFWriter, "add_tensor", twice)
        write(tmp_path / "model.gguf", model, KINDS["qwen2"])
    with pytest.raises(CheckpointError, match="not used by the model: blk.0.attn_sinks.weight"):
        blocks.from_pretrained(tmp_path / "model.gguf")


def test_the_commands_take_a_file(sound: Path) -> None:
    shown = CliRunner().invoke(main, ["inspect", str(sound / "small-q8_0.gguf")])
    assert shown.exit_code == 0 and "qwen2" in shown.output and "fits" in shown.output


def letters(writer: GGUFWriter, config: Any) -> None:
    """A vocabulary of letters."""
    own = ["ab", "\u0120", "<|end|>"]
    tokens = [*(chr(33 + n) for n in range(config.vocab_size - len(own))), *own]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 1) + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(len(tokens) - 1)


def test_text_is_generated_from_a_file_alone(tmp_path: Path) -> None:
    kind = replace(KINDS["qwen2"], tell=letters)
    write(tmp_path / "model.gguf", reference(kind, "plain")[0], kind)
    model = blocks.from_pretrained(tmp_path / "model.gguf")
    assert model.generation.eos == (96,)
    how = ["--max-new-tokens", "3"]
    shown = CliRunner().invoke(main, ["generate", str(tmp_path / "model.gguf"), "ab c", *how])
    assert shown.exit_code == 0, shown.output
    tokenizer = blocks.Tokenizer.from_pretrained(tmp_path)
    ids = blocks.generate(model, torch.tensor([tokenizer.encode("ab c")]), max_new_tokens=3)
    assert shown.output.startswith(tokenizer.decode(ids[0]))


def test_no_file_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="there is no such file"):
        blocks.from_pretrained(f"{tmp_path}/none.gguf")
