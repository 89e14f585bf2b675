"""One damaged input, in a process of its own under a watchdog: what came of it.

A case is a sound checkpoint (sound.py), what is done to it, how it is used, and the error that
must come: its class, a place (file, tensor or field) and a reason, as attributes and not only as
text. The files in cases/ hold one group each in a list CASES.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks import BlocksError, Tokenizer, from_pretrained, generate
from tests.clock import slower

SECONDS = 25.0  # after which a child is killed
MEMORY = 4 << 30  # of a child, above which it is killed
REFUSED_SECONDS = 2.0  # processor time of a refusal
REFUSED_MEMORY = 64 << 20  # growth of a refusal, and ten times the header on top
CODE = {
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen"),
    *("socket.connect", "socket.getaddrinfo", "socket.bind", "pickle.find_class", "marshal.loads"),
    *("ctypes.dlopen", "code.__new__", "compile", "exec"),
}
PROMPT = [0, 5, 9, 3]

Act = Callable[[Path], Any]


def load(folder: Path) -> list[float]:
    """Loads the model; the logits of a prompt."""
    import torch

    with torch.no_grad():
        return from_pretrained(folder)(torch.tensor([PROMPT])).flatten().tolist()


def answer(folder: Path) -> list[int]:
    """Loads the model and generates greedily."""
    return generate(from_pretrained(folder), [PROMPT], max_new_tokens=4).flatten().tolist()


def tokenize(folder: Path) -> Any:
    """Reads the tokenizer; text there and back."""
    tokenizer = Tokenizer.from_pretrained(folder)
    return tokenizer.decode(tokenizer.encode("the other"))


def chat(folder: Path) -> Any:
    """Renders a short conversation through the folder's own template."""
    return Tokenizer.from_pretrained(folder).render([{"role": "user", "content": "the other"}])


@dataclass(frozen=True)
class Case:
    """One damaged input and what must come of it.

    Attributes:
        name: in words.
        damage: what is done to the folder of a sound checkpoint, or what is put into it.
        error: the class of the error; None where it must load and be as the sound one.
        reason: a pattern that `error.reason` must hold.
        file, tensor, field: patterns of the whole attribute; at least one says where it is.
        hint: a pattern that `error.hint` must hold.
        act: how the folder is used.
        warns: patterns of the warnings, in order.
        header: bytes of the headers in it, where they are large.
    """

    name: str
    damage: Callable[[Path], object]
    error: type[BlocksError] | None = BlocksError
    reason: str = ""
    file: str | None = None
    tensor: str | None = None
    field: str | None = None
    hint: str | None = None
    act: Act = load
    warns: tuple[str, ...] = ()
    header: int = 0


def found(case: Case, folder: Path) -> dict[str, Any]:
    """What came of it: `error` with its attributes, or `result`; `seconds`, `grown`, `events`.

    Of a child that had to be killed, or that died: `verdict` is "hang", "memory" or "crash".
    """
    case.damage(folder)
    with tempfile.TemporaryFile("w+") as kept:  # a pipe would block who writes much
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside other threads
            child = os.fork()
        if not child:
            try:
                json.dump(_watched(case.act, folder), kept)
            except BaseException as error:  # nothing may run on in the child
                kept.write(json.dumps({"verdict": f"harness: {error!r}"}))
            kept.flush()
            os._exit(0)
        verdict = _wait(child)
        kept.seek(0)
        text = kept.read() if verdict is None else ""
    return json.loads(text) if text else {"verdict": verdict or "crash"}


def _watched(act: Act, folder: Path) -> dict[str, Any]:
    faulthandler.disable()  # a crash is told by the parent
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads don't survive the fork
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    events: list[str] = []
    report: dict[str, Any] = {"events": events}
    home, place = folder.resolve(), folder.parent.resolve()

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in CODE and not _is_import(event, args):
            events.append(f"{event} {str(args)[:200]}")
        elif event == "open" and isinstance(args[0], (str, bytes)):
            path = Path(os.path.realpath(os.fsdecode(args[0])))
            if path.is_relative_to(place) and not path.is_relative_to(home):
                events.append(f"open {path}")

    gc.freeze()  # what the parent made is no garbage of this case
    _reset_peak()
    before, start = _memory("RssAnon"), time.process_time()
    sys.addaudithook(hook)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            report["result"] = act(folder)
        except BaseException as error:  # a panic of a native library is no Exception
            report["error"] = _told(error)
    report["seconds"] = time.process_time() - start
    # Without the pages of files: a process that was forked meets those of its libraries anew.
    report["grown"] = _memory("VmHWM") - _memory("RssFile") - before
    report["warnings"] = [str(one.message) for one in said]
    return report


def _is_import(event: str, args: tuple[Any, ...]) -> bool:
    """Whether a module is being imported that lies where modules lie."""
    if event in ("marshal.loads", "code.__new__"):
        return True  # of a module's cached code; what runs of it is seen as `exec`
    if event not in ("compile", "exec"):
        return False
    if sys._getframe(2).f_globals.get("__name__") in ("dataclasses", "collections", "typing"):
        return True  # methods and annotations of a class in such a module
    name = args[0].co_filename if event == "exec" else args[1]
    name = os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
    return os.path.isabs(name) and os.path.isfile(name) and name.endswith(".py")


def _told(error: BaseException) -> dict[str, Any]:
    places = {name: getattr(error, name, None) for name in ("file", "tensor", "field", "hint")}
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "reason": getattr(error, "reason", None),
        "text": str(error),
        **{name: None if value is None else str(value) for name, value in places.items()},
    }


def _wait(child: int) -> str | None:
    until = time.monotonic() + SECONDS
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return None if status == 0 else f"crash: {status}"
        verdict = "hang" if time.monotonic() > until else None
        if _memory("RssAnon", child) > MEMORY:
            verdict = "memory"
        if verdict:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return verdict
        time.sleep(0.002)


def _memory(what: str, process: int | str = "self") -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    match = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) << 10 if match else 0


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def judge(case: Case, report: dict[str, Any], sound: Any) -> list[str]:
    """What is not as it must be; nothing if it is."""
    if "verdict" in report:
        return [report["verdict"]]
    wrong = [f"{event} happened" for event in report["events"]]
    error = report.get("error")
    if case.error is None:
        if error:
            return [*wrong, f"refused: {error['text']}"]
        if report["result"] != sound:
            wrong.append("is not as the sound one")
        return wrong + _warned(case, report["warnings"])
    if error is None:
        return [*wrong, f"accepted: {str(report['result'])[:100]}, {report['warnings']}"]
    if case.error.__name__ not in error["kinds"]:
        return [*wrong, f"{error['kinds'][0]}, not {case.error.__name__}: {error['text']}"]
    if not (case.file or case.tensor or case.field) or not case.reason:
        wrong.append("the case says neither where nor why")
    for name in ("file", "tensor", "field"):
        wanted = getattr(case, name)
        if wanted is not None and not re.fullmatch(wanted, _bare(error[name])):
            wrong.append(f"{name} is {error[name]!r}, not {wanted!r}")
    for name in ("reason", "hint"):
        wanted = getattr(case, name)
        if wanted is not None and not re.search(wanted, error[name] or ""):
            wrong.append(f"{name} is {error[name]!r}, not {wanted!r}")
    if len(error["text"]) > 2000 or not error["text"].replace("\n", "").isprintable():
        wrong.append("its text is not fit for a terminal")
    if report["seconds"] > REFUSED_SECONDS * slower():
        wrong.append(f"took {report['seconds']:.1f} s")
    if report["grown"] > REFUSED_MEMORY + 10 * case.header:
        wrong.append(f"took {report['grown'] >> 20} MiB")
    return wrong


def _bare(place: str | None) -> str:
    """A path without the folders above it, which are another for every run."""
    return "" if place is None else os.path.basename(place) if os.path.isabs(place) else place


def _warned(case: Case, warned: list[str]) -> list[str]:
    fits = len(warned) == len(case.warns) and all(map(re.search, case.warns, warned))
    return [] if fits else [f"warned {warned}, not {case.warns}"]
