"""Commands in processes of their own, forked from a warm one, that are broken off at a chosen moment; and what folders hold after it."""

import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hf_rnn.commands import cli

# what a run measures of itself
TIMED = re.compile(r"seconds|runtime|per_second|texts/s|flos|_time")
# of what hashes say nothing: times of day, seconds and paths stand in it
UNTOLD = (
    "training_args.bin",
    "checksums.json",
    "study.db",
    "settings.tex",
    "comparison.*",
    "curve.png",
    "tune.*",
    "learning_curve.*",
    "optimizer.pt",
)
WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")


@dataclass(frozen=True)
class Moment:
    """When a process is broken off: before its n-th change in the folder, or so many seconds after its start."""

    write: int | None = None
    seconds: float | None = None


@dataclass
class Ended:
    """How a process ended: its status, what it said, its seconds, and how often it changed something in the folder."""

    status: int
    said: str
    seconds: float
    writes: int = 0


@dataclass(frozen=True)
class Command:
    """A command with its arguments, what is added where it is to go on, and whether the same call again does the same."""

    arguments: list[str]
    again: list[str] = field(default_factory=list)


def is_write(event: str, arguments: tuple, folder: str) -> bool:
    """Return whether an event is a change below a folder."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return False
    elif event in WRITES:
        path = arguments[0]
    else:
        return False
    return isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(folder)


def call(arguments: list[str], folder: Path, moment: Moment | None = None, number: int = signal.SIGKILL, setup=None) -> Ended:
    """Run a command in a fork of this process, with a folder as its place; send it a signal at a moment."""
    log, count = folder.parent / f"{folder.name}.log", folder.parent / f"{folder.name}.count"
    count.write_text("0")
    # a child may be killed before it opens it
    log.write_text("")
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setsid()
            os.chdir(folder)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            sys.stdout, sys.stderr = (os.fdopen(each, "w", closefd=False) for each in (1, 2))
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # that of all forks is one: killed while it draws a bar, a child would hold it for ever
            tqdm.set_lock(threading.RLock())
            _watch(str(folder), moment, number, count)
            if setup is not None:
                setup()
            status = cli.main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
    if moment is not None and moment.seconds is not None:
        time.sleep(moment.seconds)
        os.kill(child, number)
    _, status = os.waitpid(child, 0)
    seconds = time.perf_counter() - started
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(status)
    return Ended(status, log.read_text(errors="replace"), seconds, int(count.read_text() or 0))


def _watch(folder: str, moment: Moment | None, number: int, count: Path) -> None:
    """Count the changes below a folder, and send this process a signal at one of them."""
    own, seen = os.getpid(), 0
    descriptor = os.open(count, os.O_WRONLY)

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in ("open", *WRITES) or os.getpid() != own or not is_write(event, arguments, folder):
            return
        seen += 1
        os.pwrite(descriptor, str(seen).encode(), 0)
        if moment is not None and moment.write == seen:
            os.kill(own, number)

    sys.addaudithook(hook)


def moments(whole: Ended, count: int, seed: int) -> list[Moment]:
    """Return moments all over a run: most before changes in its folder, the others at any time."""
    at_writes = sorted(set(np.linspace(1, whole.writes, min(whole.writes, count * 3 // 5)).astype(int).tolist()))
    draw = np.random.default_rng(seed)
    times = draw.uniform(0.05, 1, count - len(at_writes)) * whole.seconds
    return [*(Moment(write=write) for write in at_writes), *(Moment(seconds=float(each)) for each in times)]


def held(folder: Path) -> dict[str, str]:
    """Return what each file below a folder holds, without what a run measures of itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name] = "folder"
        elif any(Path(name).match(pattern) for pattern in UNTOLD) or (path.suffix == ".onnx" and not path.stat().st_size):
            found[name] = "there"
        elif path.suffix in (".json", ".jsonl", ".md"):
            text = path.read_text(encoding="utf-8")
            found[name] = hashlib.sha256(_untimed(text, path.suffix).encode()).hexdigest()[:16]
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return found


def _untimed(text: str, suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(_strip(json.loads(text)), sort_keys=True)
    if suffix == ".jsonl":
        return "\n".join(json.dumps(_strip(json.loads(line)), sort_keys=True) for line in text.split("\n") if line)
    # tables and lines with speeds
    return "\n".join(line for line in text.splitlines() if not line.startswith("| ") and " a second" not in line)


def _strip(value):
    if isinstance(value, dict):
        return {name: _strip(each) for name, each in value.items() if not TIMED.search(name)}
    return [_strip(each) for each in value] if isinstance(value, list) else value
