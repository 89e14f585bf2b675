"""A side in a process of its own, which waits for its turn: both ends of the line between.

The far end may run under another Python, so that nothing here has to be installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Once = Callable[..., Any]  # a round: what is asked to what it took


class Served:
    """The near end.

    Args:
        name: of the side.
        script: beside this file, which calls `serve`.
        asked: what its maker takes.
        python: that runs it.
    """

    def __init__(self, name: str, script: str, asked: dict[str, Any], python: str = sys.executable):
        self.name = name
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 — it lives as long as the process
        self._process: Any = subprocess.Popen(
            [python, str(Path(__file__).with_name(script)), json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.about = self._answer()  # so that nobody measures while it draws weights

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._said.seek(0)
            last = ["", *self._said.read().split("\n")][-2:]
            raise RuntimeError(f"{self.name} ended with code {code}: {' '.join(last).strip()}")
        return json.loads(line)

    def turn(self, **asked: Any) -> Any:
        """What one round took."""
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return self._answer()

    def rounds(self, **asked: Any) -> Iterator[tuple[float, ...]]:
        """One after another for ever, the first not counted."""
        self.turn(**asked)
        while True:
            yield tuple(self.turn(**asked))

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._said.close()


def serve(make: Callable[..., tuple[dict[str, Any], Once]]) -> None:
    """The far end: makes a side, then answers each line of the input with a round of it."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    about, once = make(**json.loads(sys.argv[1]))
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(once(**json.loads(line))), file=answers, flush=True)
