"""The whole run against a plain hand-written DuckDB script on the same files, interleaved, as whole processes.

    python benchmarks/whole_city.py [--people N] [--repeat N] [--json]

Prints medians of both, their ratio, the peak memory of all our processes together (proportional share, so that shared
pages count once), and where our time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]


def environment(home: Path) -> dict[str, str]:
    """The environment, with the city at `home`."""
    return {**os.environ, "SHUYUAN_HOME": str(home), "SHUYUAN_CATALOG": str(ROOT / "catalog")}  # noqa: TID251


def family(process: psutil.Process, home: Path) -> list[psutil.Process]:
    """The process, its children, and the PostgreSQL server of this home."""
    members = [process, *process.children(recursive=True)]
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    if pid_file.exists():
        try:
            server = psutil.Process(int(pid_file.read_text().split()[0]))
            members += [server, *server.children(recursive=True)]
        except (psutil.Error, ValueError, IndexError):
            pass
    return members


def watched(command: list[str], home: Path) -> tuple[str, float, int]:
    """Run a command; its stdout, seconds, and the peak memory in bytes of it and all it started."""
    began = time.perf_counter()
    peak = 0
    with tempfile.TemporaryFile("w+") as told:  # a pipe that nobody empties would stop a child that tells much
        child = subprocess.Popen(command, env=environment(home), cwd=ROOT, stdout=told, text=True)
        process = psutil.Process(child.pid)
        while True:
            peak = max(peak, _memory(family(process, home)))
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.5)  # to look takes 25 ms of a core: more often would slow what is measured
                break
        seconds = time.perf_counter() - began
        told.seek(0)
        output = told.read()
    if child.returncode:
        raise SystemExit(f"{command} failed with {child.returncode}")
    return output, seconds, peak


def _memory(members: list[psutil.Process]) -> int:
    total = 0
    for member in {member.pid: member for member in members}.values():
        with suppress(psutil.Error):
            total += member.memory_full_info().pss
    return total


def tell(result: Mapping[str, object], *, as_json: bool) -> None:
    """Figures on stdout, as one JSON object or a line each."""
    print(json.dumps(result) if as_json else "\n".join(f"{key:>14}  {value}" for key, value in result.items()))


def copy_landing(source: Path, home: Path) -> None:
    """The same files under a second name: a run moves what it takes in."""
    shutil.copytree(source, home / "landing", copy_function=os.link)


def main() -> None:
    """Make the city once, then run both in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shuyuan = [sys.executable, "-m", "pipelines.cli"]
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as folder:
        scratch = Path(folder)
        made, _, _ = watched([*shuyuan, "demo", "--people", str(options.people), "--days", "1", "--json"], scratch)
        ours, plain, peaks, rows = [], [], [], 0
        for turn in range(options.repeat):
            home = scratch / f"home{turn}"
            home.mkdir()
            copy_landing(scratch / "landing", home)
            out = scratch / f"plain{turn}"
            out.mkdir()
            landing = home / "landing"
            told, seconds, _ = watched(
                [sys.executable, "-m", "benchmarks.plain_city", str(landing), str(ROOT / "catalog"), str(out)], scratch
            )
            plain.append(seconds)
            rows = json.loads(told)["rows"]
            _, seconds, peak = watched([*shuyuan, "run", "--json"], home)
            ours.append(seconds)
            peaks.append(peak)
            _, again, _ = watched([*shuyuan, "run", "--json"], home)
            shutil.rmtree(home)
            shutil.rmtree(out)
        result = {
            "people": options.people,
            "rows": rows,
            "deliveries": json.loads(made)["files"],
            "ours_s": round(statistics.median(ours), 2),
            "plain_s": round(statistics.median(plain), 2),
            "ratio": round(statistics.median(ours) / statistics.median(plain), 2),
            "peak_mb": round(max(peaks) / 1e6),
            "nothing_new_s": round(again, 2),
        }
    tell(result, as_json=options.json)


if __name__ == "__main__":
    main()
