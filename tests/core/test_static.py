"""Static checkers see through Spec: a misspelt or mistyped option is reported without running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

GOOD = """\
from blocks import GatedMLP, GQAttention, Residual, RMSNorm, RoPE, Spec, Window, replace

attention = Spec(GQAttention, heads=8, kv_heads=2, qk=(Spec(RoPE, theta=5e5),), mask=Window(4))
layer = Spec(Residual, inner=attention, norm_in=Spec(RMSNorm, eps=1e-5))
module = layer(512)
"""

# Each line is one mistake.
BAD = """\
Spec(GQAttention, heads=8, kv_head=2)
Spec(GQAttention, heads="8")
Spec(GatedMLP, hidden=8, act="swish")
Spec(RMSNorm, eps=None)
Spec(GQAttention, heads=8, mask=4)
Spec(Residual, inner=3)
"""


@pytest.mark.slow
def test_mistakes_are_reported_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("pyright", reason="pyright is not installed")
    file = tmp_path / "use.py"
    file.write_text(GOOD + BAD)
    settings = {"extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(tmp_path)]
    command += ["--pythonpath", sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found = json.loads(ran.stdout)["generalDiagnostics"]
    lines = {d["range"]["start"]["line"] for d in found if d["severity"] == "error"}
    first = GOOD.count("\n")
    assert lines == set(range(first, first + BAD.count("\n"))), [d["message"] for d in found]
