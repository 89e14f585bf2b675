"""Odd checkpoints that are as good as any: they load, and compute the same."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from blocks import from_pretrained
from tests.gallery import sound
from tests.gallery.cases import sound_beside
from tests.gallery.cases.config_text import say, says, text
from tests.gallery.cases.sound_others import OTHERS
from tests.gallery.harness import PROMPT, Case, answer, chat, load, tokenize
from tests.gallery.sound import CONFIG, INDEX, MODEL, edit, pack, put, shard, tensors, vector
from tests.hub import craft

Damage = Callable[[Path], object]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TABLE = vector([2], random.Random(5))
BOOKKEEPING = {
    "transformers_version": "4.45.0",
    "use_cache": False,
    "initializer_range": 0.02,
    "pretraining_tp": 2,
    "problem_type": None,
    "task_specific_params": {"text": {"max_length": 50}},
    "id2label": {"0": "a"},
    "torchscript": False,
    "unsloth_fixed": True,
    "unsloth_version": "2024.9",
}


def packed(metadata: Any = None, change: Callable[[Any], Any] | None = None) -> Damage:
    """The same tensors in another file."""
    return lambda folder: (folder / MODEL).write_bytes(pack(tensors(), metadata, change))


def beside(**extra: Any) -> Damage:
    """The same tensors, and those of rotary tables that older files hold."""
    more = {
        f"model.layers.{i}.self_attn.rotary_emb.{name}": t
        for i in (0, 1)
        for name, t in extra.items()
    }
    return lambda folder: (folder / MODEL).write_bytes(pack(tensors() | more))


def shuffled(header: Any) -> Any:
    names = list(header)
    random.Random(3).shuffle(names)
    return {name: header[name] for name in names}


def backwards(folder: Path) -> None:
    """The data in another order than the names."""
    data = dict(reversed(tensors().items()))
    (folder / MODEL).write_bytes(pack(data, None, lambda header: dict(sorted(header.items()))))


def written(change: Callable[[bytes], bytes], pad: int = 0) -> Damage:
    """The header in other words."""

    def damage(folder: Path) -> None:
        raw = pack(tensors())
        end = 8 + struct.unpack("<Q", raw[:8])[0]
        (folder / MODEL).write_bytes(craft.file(change(raw[8:end]), raw[end:], pad=pad))

    return damage


def indented(header: bytes) -> bytes:
    return json.dumps(json.loads(header), indent=3).encode()


def escaped(header: bytes) -> bytes:
    return header.replace(b"model.norm", rb"\u006d\u006fdel.norm")


def index(change: Callable[[Any], Any]) -> Damage:
    """Two shards, with another index."""

    def damage(folder: Path) -> None:
        shard(folder)
        edit(folder / INDEX, change)

    return damage


def index_of_one(folder: Path) -> None:
    put(folder / INDEX, {"metadata": {}, "weight_map": dict.fromkeys(tensors(), MODEL)})


def below(folder: Path) -> None:
    """The shards in a folder of their own."""
    parts = shard(folder)
    (folder / "weights").mkdir()
    for file in parts:
        (folder / file).rename(folder / "weights" / file)
    homes = {name: f"weights/{file}" for file, some in parts.items() for name in some}
    edit(folder / INDEX, lambda index: index | {"weight_map": homes})


def snapshot(folder: Path) -> None:
    """As the Hub's cache has it: links to blobs that are named by their checksums."""
    repo = folder.parents[1] / f"{folder.parent.name}-hub" / "models--org--name"
    home, blobs = repo / "snapshots" / COMMIT, repo / "blobs"
    home.mkdir(parents=True)
    blobs.mkdir()
    for path in folder.iterdir():
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        (home / path.name).symlink_to(Path("../../blobs") / blob.name)
    link(folder, home)


def link(folder: Path, home: Path) -> None:
    """`folder` becomes a link to another."""
    if home.is_dir():
        shutil.rmtree(folder)
    else:
        folder.rename(home)
    folder.symlink_to(home)


def linked_inside(folder: Path) -> None:
    (folder / MODEL).rename(folder / "weights")
    (folder / MODEL).symlink_to("weights")


def company(folder: Path) -> None:
    """What the Hub's tools and people leave in a folder."""
    for name in ("consolidated.00.pth", "run.py"):
        (folder / name).write_bytes(b"\x80\x04\x95 not to be opened")
    for name in ("original/params.json", ".cache/huggingface/download/x.lock", "onnx/model.onnx"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"\0")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")


def rounded(kind: str) -> tuple[sound.Tensors, sound.Tensors]:
    """The tensors in 16 bits, and the same numbers in 32."""
    few, many = {}, {}
    for name, (_, shape, raw) in tensors().items():
        if kind == "BF16":
            half = b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))
            whole = b"".join(b"\0\0" + half[i : i + 2] for i in range(0, len(half), 2))
        else:
            half = struct.pack(f"<{len(raw) // 4}e", *struct.unpack(f"<{len(raw) // 4}f", raw))
            whole = struct.pack(f"<{len(raw) // 4}f", *struct.unpack(f"<{len(half) // 2}e", half))
        few[name], many[name] = (kind, shape, half), ("F32", shape, whole)
    return few, many


def halved(kind: str) -> Damage:
    return lambda folder: (folder / MODEL).write_bytes(pack(rounded(kind)[0]))


def widened(kind: str) -> Callable[[Path], None]:
    """The 16-bit file in 32 bits is the file of the same numbers in 32 bits."""

    def act(folder: Path) -> None:
        model = from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            logits = model(torch.tensor([PROMPT])).flatten().tolist()
        assert logits == load(sound.write(folder / "whole", rounded(kind)[1]))
        assert next(from_pretrained(folder).parameters()).dtype != torch.float32

    return act


def tied(folder: Path) -> None:
    """A head that is the table of tokens, twice in the file."""
    data = tensors()
    data["lm_head.weight"] = data["model.embed_tokens.weight"]
    sound.write(folder, data, tie_word_embeddings=True)


def is_tied(folder: Path) -> None:
    data = tensors()
    del data["lm_head.weight"]
    assert load(folder) == load(sound.write(folder / "once", data, tie_word_embeddings=True))
    model = from_pretrained(folder)
    assert model.head.weight is model.embedding.weight


BOTH = r"tie_word_embeddings is true, but .* differ: both are kept"
SIZE = r"claims 7 bytes, its files hold 19776"

CASES = [
    Case("two shards", shard, None),
    Case("two shards, generating", shard, None, act=answer),
    Case("an index without metadata", index(lambda i: {"weight_map": i["weight_map"]}), None),
    Case("an index with empty metadata", index(lambda i: i | {"metadata": {}}), None),
    Case(
        "an index with more metadata",
        index(lambda i: i | {"metadata": {"a": [1], "total_parameters": 4}}),
        None,
    ),
    Case(
        "an index with a false total",
        index(lambda i: i | {"metadata": {"total_size": 7}}),
        None,
        warns=(SIZE,),
    ),
    Case(
        "an index in another order",
        index(lambda i: i | {"weight_map": dict(reversed(i["weight_map"].items()))}),
        None,
    ),
    Case("an index of one file", index_of_one, None),
    Case("shards in a folder below", below, None),
    Case("a header in another order", packed(change=shuffled), None),
    Case("data in another order", backwards, None),
    Case("a header with spaces behind", written(bytes, pad=4096), None),
    Case("a header over many lines", written(indented), None),
    Case("a header with escapes", written(escaped), None),
    Case(
        "no metadata",
        packed(change=lambda h: {n: e for n, e in h.items() if n != "__metadata__"}),
        None,
    ),
    Case("metadata without a word", packed({}), None),
    Case("metadata of TensorFlow", packed({"format": "tf"}), None),
    Case("metadata of Flax", packed({"format": "flax"}), None),
    Case("metadata of MLX", packed({"format": "mlx"}), None),
    Case("metadata of many words", packed({f"note {i}": "x" * 100 for i in range(500)}), None),
    Case("tables of old files", beside(inv_freq=TABLE), None),
    Case("a head beside the same table", tied, None, act=is_tied),
    Case(
        "a head of its own where it should be tied",
        say("tie_word_embeddings", True),
        None,
        warns=(BOTH,),
    ),
    Case("bfloat16", halved("BF16"), None, act=widened("BF16")),
    Case("float16", halved("F16"), None, act=widened("F16")),
    Case("a snapshot of the Hub's cache", snapshot, None),
    Case("a snapshot, its tokenizer", snapshot, None, act=tokenize),
    Case("a link to the folder", lambda folder: link(folder, folder.parent / "home"), None),
    Case("a link inside the folder", linked_inside, None),
    Case("other company", company, None),
    Case(
        "no generation_config.json",
        lambda folder: (folder / "generation_config.json").unlink(),
        None,
        act=answer,
    ),
    Case(
        "a config in one line, its order reversed",
        text(json.dumps(dict(reversed(CONFIG.items())))),
        None,
    ),
    Case("a config over many lines", text(json.dumps(CONFIG, indent=4) + "\n\n"), None),
    Case("no torch_dtype", says("torch_dtype"), None),
    Case("the newer dtype", says("torch_dtype", dtype="float32"), None),
    Case("another dtype than the weights'", say("torch_dtype", "bfloat16"), None),
    Case(
        "the newer dialect of RoPE",
        says("rope_theta", rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        None,
    ),
    Case("a RoPE that is not stretched", say("rope_scaling", None), None),
    Case("an integer for a float", say("rope_theta", 10000), None),
    Case("a file from before theta", says("rope_theta", transformers_version="4.28.1"), None),
    Case("LLaMA 2, before theta", says("rope_theta", transformers_version="4.32.0.dev0"), None),
    Case("bookkeeping", says(**BOOKKEEPING), None, act=chat),
    Case("a token to pad with beyond the vocabulary", say("pad_token_id", 32), None, act=answer),
    Case(
        "tokens beyond a vocabulary that was cut",
        says(eos_token_id=[1, 50256], suppress_tokens=[220]),
        None,
    ),
    *sound_beside.CASES,
    *OTHERS,
]
