"""Matrices are decoded one at a time: no moment holds more than the model and one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from blocks.hub.headers import DTYPE_BITS
from tests.hub.quantised.test_formats import KINDS, storage
from tests.hub.quantised.twins import TWINS
from tests.hub.toy import write

MEASURE = """
import sys, torch, blocks
from pathlib import Path
torch.set_num_threads(1)
def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
blocks.from_pretrained(sys.argv[2])
Path("/proc/self/clear_refs").write_text("5")
start = kib("VmHWM:")
model = blocks.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
print(kib("VmHWM:") - start, sum(p.nbytes for p in model.parameters()))
"""
DIM, HIDDEN = 1024, 4096


def of(kind: str) -> torch.dtype:
    return next(dtype for dtype, header in KINDS.items() if header == kind)


def large(config: dict[str, object]) -> dict[str, torch.Tensor]:
    """A model of six layers whose MLPs are stored: any numbers, for none is looked at."""
    found: dict[str, torch.Tensor] = {}
    form = storage(config).formats("mlp")[0]
    for i in range(6):
        at = f"model.layers.{i}."
        found |= {f"{at}{n}.weight": torch.ones(DIM) for n in NORMS}
        found |= {f"{at}self_attn.{n}_proj.weight": torch.zeros(DIM, DIM).half() for n in "qkvo"}
        for name in ("gate", "up", "down"):
            shape = (DIM, HIDDEN) if name == "down" else (HIDDEN, DIM)
            module = f"{at}mlp.{name}_proj"
            for role, part in form.parts(shape).items():
                if role not in form.names or role in form.optional:
                    continue
                place = form.names[role].format(w=f"{module}.weight", m=module)
                assert DTYPE_BITS[part.kinds[0]]
                found[place] = torch.zeros(part.shape, dtype=of(part.kinds[0]))
    ends = {"model.embed_tokens.weight": (32, DIM), "lm_head.weight": (32, DIM)}
    found |= {name: torch.zeros(shape).half() for name, shape in ends.items()}
    return found | {"model.norm.weight": torch.ones(DIM).half()}


NORMS = ("input_layernorm", "post_attention_layernorm")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["gptq", "awq", "fp8 whole", "modelopt nvfp4"])
def test_one_matrix_at_a_time(tmp_path: Path, name: str) -> None:
    config = TWINS[name].config
    sizes = {"hidden_size": DIM, "intermediate_size": HIDDEN, "num_hidden_layers": 6}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8}
    more = {**sizes, **heads, "quantization_config": config}
    folder = write(tmp_path / "large", large(config), **more)
    file = (folder / "model.safetensors").stat().st_size
    command = [sys.executable, "-c", MEASURE, str(folder), str(write(tmp_path / "small"))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    peak, model = (int(n) for n in ran.stdout.split())
    matrix = 4 * DIM * HIDDEN  # in float32; the allocator keeps some of those that are gone
    assert peak * 1024 - model < file + 9 * matrix, f"{peak >> 10} MiB for {model >> 20}"
    assert 18 * matrix > 1.4 * model  # so that all of them in float32 at once would be seen
