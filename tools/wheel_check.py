"""Builds the wheel, installs it without extras in a fresh environment, and uses it there.

What works in a clone may lack a file or a dependency once installed: this is the test of that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("blocks/__init__.py", "blocks/py.typed", "entry_points.txt", "LICENSE")


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    print("+", *command, flush=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "hf")} if cwd != ROOT else {}
    subprocess.run([str(part) for part in command], cwd=cwd, env=clean | offline, check=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="blocks-wheel-") as folder:
        there = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", there, ".")
        (wheel,) = there.glob("blocks-*.whl")
        inside = zipfile.ZipFile(wheel).namelist()
        missing = [name for name in NEEDED if not any(path.endswith(name) for path in inside)]
        strangers = [
            n for n in inside if not n.startswith(("blocks/", f"{wheel.stem.split('-py')[0]}."))
        ]
        if missing or strangers:
            sys.exit(f"the wheel lacks {missing} and should not hold {strangers}")

        venv.create(there / "venv", with_pip=True)
        python = there / "venv" / "bin" / "python"
        pip = [python, "-m", "pip", "install", "-q"]
        constraints = ["-c", ROOT / "constraints.txt"]
        run(*pip, "--upgrade", "pip")
        run(*pip, *constraints, "torch==2.13.0")  # first and alone: see the Makefile
        run(*pip, *constraints, wheel)
        run(python, "-m", "pip", "check")
        run(python, "-W", "error", "-I", ROOT / "tools" / "wheel_smoke.py", cwd=there)
        command = there / "venv" / "bin" / "blocks"
        run(command, "--help", cwd=there)
        run(command, "generate", cwd=there)
    print("the wheel works")


if __name__ == "__main__":
    main()
