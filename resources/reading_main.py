"""The reader's child process: takes jobs from stdin as JSON lines and answers each with one JSON line.

Started by `resources.reader` as `python -m resources.reading_main`. Holds the process's limits and the judgement whose
fault a failure is; formats are in `resources.reading` and `resources.reading_formats`.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from resources.reading import EMPTY, RefusedError, Work
from resources.reading_formats import FORMATS
from resources.reading_packed import unpacked


def read_job(con: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> dict[str, Any]:
    """One job's answer; everything it writes is in its folder."""
    folder = Path(job["folder"])
    work = Work(
        con, job["name"], job["columns"], job["ignore"], job["layout"], folder, job["unpacked_limit"], job["optional"]
    )
    delivered = Path(job["path"])
    before = _state(delivered)
    try:
        with ThreadPoolExecutor(1) as beside:
            digest = beside.submit(_digest, delivered)
            path, kind = unpacked(work, delivered, job["packing"], job["kind"])
            rows = FORMATS[kind](work, path)
        if not rows:
            raise work.refuse("empty", f"holds a header and no records; {EMPTY}")
        content = digest.result() if _state(delivered) == before else _digest(delivered)
        if content != job["sha256"]:
            raise work.refuse("changed", "changed after it was registered; deliver it again")
    except RefusedError as error:
        return {"refused": True, "reasons": [*work.reasons, {"code": error.code, "message": error.message}]}
    return {
        "refused": False,
        "reasons": work.reasons,
        "rows": rows,
        "bad_rows": work.bad_rows,
        "numbered": work.numbered,
        "rows_file": str(work.rows_file),
        "bad_file": str(work.bad_file) if work.bad_rows else None,
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> tuple[int, int, int]:
    """What changes with every write to a file, though not only with a write."""
    now = path.stat()
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns


def answer_job(con: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> dict[str, Any]:
    """`read_job`, with every known failure told apart: the file's fault, the machine's, or memory."""
    try:
        return read_job(con, job)
    except (MemoryError, duckdb.OutOfMemoryException):
        return _starved(job)
    except (OSError, duckdb.IOException) as error:
        if getattr(error, "errno", None) == errno.ENOMEM:
            return _starved(job)
        if getattr(error, "errno", None) == errno.EINVAL:  # a damaged directory points before the file's beginning
            return _unreadable(job, error)
        return {"fault": f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'input or output failed'}"}
    except (duckdb.Error, UnicodeError, csv.Error) as error:
        return _unreadable(job, error)


def _starved(job: dict[str, Any]) -> dict[str, Any]:
    limit = f"{job['limits']['memory_mb']} MB"
    message = f"{job['name']}: needs more than {limit} of memory, the limit of a file; split it"
    return {"refused": True, "reasons": [{"code": "memory", "message": message}], "spent": True}


def _unreadable(job: dict[str, Any], error: Exception) -> dict[str, Any]:
    kind = job["kind"] or job["packing"]
    message = f"{job['name']}: not readable as {kind} ({type(error).__name__}); deliver it again"
    return {"refused": True, "reasons": [{"code": "unreadable", "message": message}]}


def limit_time(seconds: float) -> None:
    """End this process after so much more processor time: a child whose parent died must not run for ever."""
    spent = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent + 4 * seconds) + 1, resource.RLIM_INFINITY))


def connect(threads: int, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """A connection that takes half of the process's memory limit and loads nothing from outside."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    return duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": f"{memory_mb // 2}MB",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


def main() -> None:
    """Answer jobs until stdin ends."""
    settings = json.loads(sys.argv[1])
    con = connect(settings["threads"], settings["memory_mb"])
    for line in sys.stdin.buffer:
        job = json.loads(line)
        limit_time(job["seconds"])
        sys.stdout.write(json.dumps(answer_job(con, job)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
