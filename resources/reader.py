"""The reader: one child process that reads department files, so that no file can harm the run.

Holds the parent's side: what is asked (`Job`), what comes back (`Reading`), and the life of the child, which is killed
and replaced when it crashes, hangs or outgrows its memory. How a format is read is `resources.reading_main` and what it
imports, in the child alone. What the records mean (types, keys, modes) is `assets.pools`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from catalog.layout import Kind
from resources.failures import PermanentError
from resources.landed import Packing

BYTES_PER_SECOND = 2_000_000  # of packed file; 119 MB of CSV take 0.5 s when the machine is idle
SLOW: tuple[Kind | None, ...] = (None, "xlsx", "xls", "geojson", "shapefile")
SLOWNESS = 10  # packed files and those formats take so many times longer a byte
UNPACKED_FLOOR = 100_000_000
LAST_WORDS = 10_000  # bytes
OUT_OF_MEMORY = (b"memory allocation of", b"allocate memory", b"bad_alloc", b"MemoryError")  # what a dying child says


class ReaderError(PermanentError):
    """The reading failed for a reason that is not the file's: disk full, file gone. Nothing was decided about it."""


@dataclass(frozen=True)
class Reason:
    """Why a delivery, or a part of it, was not taken as it is; the message is for the department's clerk."""

    code: str
    message: str


@dataclass(frozen=True)
class Limits:
    """What one file may take: seconds (and more for each byte), memory, and how many times its size it may unpack to.

    A table of text packs 3 to 30 times; 9 MB of a known bomb unpack to 3.1 GB.
    """

    seconds: float = 50.0
    memory_mb: int = 1024
    unpacked_ratio: int = 100


@dataclass(frozen=True)
class Job:
    """One file to read.

    `name` is the file's name as its sender knows it, `columns` maps each declared column to the headers it may have,
    `optional` names those that may be missing, `ignore` delivered columns left out on purpose, `layout` is what the
    catalogue says of the file's form (`catalog.layout`), `folder` a fresh folder for everything the child writes.
    Without `kind`, what is inside a zip says it.
    """

    path: Path
    name: str
    kind: Kind | None
    packing: Packing
    columns: Mapping[str, tuple[str, ...]]
    ignore: tuple[str, ...]
    folder: Path
    sha256: str
    optional: tuple[str, ...] = ()
    layout: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()

    @property
    def seconds(self) -> float:
        factor = SLOWNESS if self.packing or self.kind in SLOW else 1
        return self.limits.seconds + factor * self.path.stat().st_size / BYTES_PER_SECOND

    @property
    def unpacked_limit(self) -> int:
        return max(UNPACKED_FLOOR, self.limits.unpacked_ratio * self.path.stat().st_size)


@dataclass(frozen=True)
class Reading:
    """What the child found: staged records, or the reasons why the file cannot be read.

    `rows` counts the records staged in `rows_file` (declared columns as raw text, NULL where empty), `bad_rows` those
    in `bad_file` (row_number, reason_code, reason, content). `numbered`: `rows_file` holds its record numbers as
    `_row`; otherwise they are its row order, from 1.
    """

    refused: bool
    reasons: tuple[Reason, ...]
    rows: int = 0
    bad_rows: int = 0
    numbered: bool = False
    rows_file: Path | None = None
    bad_file: Path | None = None


class Reader:
    """A child process kept for many files. One file at a time; calls from several threads wait for each other."""

    def __init__(self, *, threads: int = 2) -> None:
        self._threads = threads
        self._memory_mb = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, job: Job) -> Reading:
        """Read one file; whatever it does to the child, an answer comes back within the job's time.

        Raises:
            ReaderError: the file could not be judged (disk full, file missing).
        """
        with self._turn:
            try:
                answer = self._ask(job)
            except FileNotFoundError as error:
                raise ReaderError(f"{job.name}: the archived file {job.path} is gone") from error
        if answer.get("fault"):
            raise ReaderError(f"{job.name}: {answer['fault']}")
        return _reading(answer)

    def close(self) -> None:
        if self._child is not None and self._said is not None:
            _end(self._child)
            self._said.close()
            self._child = None

    def _ask(self, job: Job) -> dict[str, Any]:
        limit = job.seconds
        if self._memory_mb != job.limits.memory_mb:
            self.close()
        request = asdict(job) | {"seconds": limit, "unpacked_limit": job.unpacked_limit}
        child = self._child or self._start(job.limits.memory_mb)
        assert child.stdin is not None  # noqa: S101  # both are pipes
        try:
            child.stdin.write(json.dumps(request, default=str).encode() + b"\n")
            child.stdin.flush()
            line = _line_within(child, limit)
        except BrokenPipeError:
            line = b""
        if line is None:
            self.close()
            return _refusal(
                "reader_timeout",
                f"{job.name}: not read within {limit:.0f} s, the limit of a file; it is damaged or too large",
            )
        if not line.endswith(b"\n"):
            code = child.wait()
            starved = self._starved()
            self.close()
            if starved:
                limit_mb = f"{job.limits.memory_mb} MB of memory, the limit of a file"
                return _refusal("memory", f"{job.name}: needs more than {limit_mb}; split it")
            return _refusal(
                "reader_crashed", f"{job.name}: reading it ended the reader ({_how(code)}); the file is damaged"
            )
        answer: dict[str, Any] = json.loads(line)
        if answer.pop("spent", False):
            self.close()
        return answer

    def _starved(self) -> bool:
        """Whether the child died of its memory limit, by what it said last; nothing of that is kept or shown."""
        assert self._said is not None  # noqa: S101  # opened with the child
        self._said.seek(max(0, self._said.seek(0, 2) - LAST_WORDS))
        said = self._said.read()
        return any(words in said for words in OUT_OF_MEMORY)

    def _start(self, memory_mb: int) -> subprocess.Popen[bytes]:
        """A child of its own session: Ctrl-C reaches the parent alone, and the end of stdin ends the child."""
        self._memory_mb = memory_mb
        self._said = os.fdopen(os.memfd_create("reader"), "w+b")  # a traceback carries values: never on a disk
        settings = {"threads": self._threads, "memory_mb": memory_mb}
        self._child = subprocess.Popen(  # noqa: S603  # our own module, no value from outside
            [sys.executable, "-m", "resources.reading_main", json.dumps(settings)],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # noqa: TID251  # passed on; an arena takes 128 MB of the limit
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )
        return self._child


def _line_within(child: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """The child's answer, b"" when it died, None when the time ran out."""
    assert child.stdout is not None  # noqa: S101  # a pipe
    end = time.monotonic() + seconds
    ready, _, _ = select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))
    return child.stdout.readline() if ready else None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # unsent bytes of a request nobody will read


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _refusal(code: str, message: str) -> dict[str, Any]:
    return {"refused": True, "reasons": [{"code": code, "message": message}]}


def _reading(answer: dict[str, Any]) -> Reading:
    return Reading(
        refused=answer["refused"],
        reasons=tuple(Reason(**reason) for reason in answer["reasons"]),
        rows=answer.get("rows", 0),
        bad_rows=answer.get("bad_rows", 0),
        numbered=answer.get("numbered", False),
        rows_file=Path(answer["rows_file"]) if answer.get("rows_file") else None,
        bad_file=Path(answer["bad_file"]) if answer.get("bad_file") else None,
    )
