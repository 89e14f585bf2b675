"""Loading maps the files: next to no memory of its own, and no moment with two copies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.hub.toy import CONFIG, tensors, write

MEASURE = """
import sys, torch, blocks
from pathlib import Path
folder = Path(sys.argv[1])
torch.set_num_threads(1)
def kib(name):
    text = Path("/proc/self/smaps_rollup").read_text() + Path("/proc/self/status").read_text()
    return sum(int(l.split()[1]) for l in text.splitlines() if l.startswith(name))
def private():
    return kib("Private_Dirty:")
small = blocks.from_pretrained(sys.argv[2])  # what is imported and warmed up is not the file's
small(torch.ones(1, 2, dtype=torch.int64))
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before, start = private(), kib("VmHWM:")
model = blocks.from_pretrained(folder)
after, loaded = private(), kib("VmHWM:")
total = sum(float(p.detach().sum()) for p in model.parameters())  # every page is read
assert total == total
peak = kib("VmHWM:") - start
copied = blocks.from_pretrained(folder, copy=True)  # what would be seen if nothing were mapped
print(after - before, loaded - start, peak, private() - after)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("shards", [1, 3])
def test_loading_maps_and_takes_no_memory_of_its_own(tmp_path: Path, shards: int) -> None:
    sizes = {"hidden_size": 1024, "num_attention_heads": 8, "intermediate_size": 4096}
    config = {
        **CONFIG,
        **sizes,
        "num_key_value_heads": 8,
        "vocab_size": 8192,
        "num_hidden_layers": 5,
    }
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    data = {name: torch.randn(shape).bfloat16() for name, shape in large(config).items()}
    names = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    names = ["model.safetensors"] if shards == 1 else names
    homes = {name: names[i % shards] for i, name in enumerate(data)}
    for file in names:
        save_file(
            {n: t for n, t in data.items() if homes[n] == file}, folder / file, {"format": "pt"}
        )
    os.sync()  # pages that wait for the disk count as dirty in whoever maps them
    if shards > 1:
        index = {"metadata": {}, "weight_map": homes}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    size = sum(t.nbytes for t in data.values())
    assert size > 190e6
    command = [sys.executable, "-c", MEASURE, str(folder), str(write(tmp_path / "small"))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    private, loaded, peak, copied = (int(n) * 1024 for n in ran.stdout.split())
    assert copied > 0.9 * size, "the measure sees memory"
    assert private <= 32 * 2**20, f"{private >> 20} MiB are private after loading"
    assert loaded <= 1.05 * size and peak <= 1.05 * size, (
        f"{loaded >> 20}, {peak >> 20} MiB at most"
    )


def large(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    d, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    new = {16: d, 8: d, 24: f, 32: v}
    every = tensors(layers=config["num_hidden_layers"])
    return {name: tuple(new[n] for n in tensor.shape) for name, tensor in every.items()}
