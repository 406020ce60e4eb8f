"""The engines' whole processes beside ours, in turn, on one Parquet file of people: `benchmarks.validate --engines`.

One row per engine in the answer: seconds and peak megabytes of the process, what it kept of failing rows, and the rules
it cannot express. What it finds of a rule must be what ours finds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.engines import THREADS
from benchmarks.people import ROW_RULES, restore
from benchmarks.validate import child, loaded
from benchmarks.whole_city import watched

HERE = Path(__file__).parent
ENGINES = tuple(sorted(file.stem for file in (HERE / "requirements").glob("*.txt")))


def environment(folder: Path, engine: str) -> Path:
    """The interpreter of the engine's environment below `folder`, made first where it is missing or not as pinned.

    Raises:
        subprocess.CalledProcessError: uv could not make it.
    """
    wanted = HERE / "requirements" / f"{engine}.txt"
    home = folder.absolute() / engine
    python, made = home / "bin" / "python", home / "made_of.txt"
    if not made.exists() or made.read_text() != wanted.read_text():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-r", wanted], check=True
        )
        made.write_text(wanted.read_text())
    return python


def beside(scratch: Path, folder: Path, rows: int, repeat: int) -> dict[str, object]:
    """Every engine and ours in turn; engines that cannot be installed are named with uv's exit code.

    Raises:
        ValueError: an engine finds otherwise than ours.
    """
    pythons, missing = {}, {}
    for engine in ENGINES:
        try:
            pythons[engine] = environment(folder, engine)
        except subprocess.CalledProcessError as error:
            missing[engine] = f"not installed: uv ended with {error.returncode}"
    home, catalogue, people = loaded(scratch, rows, ROW_RULES)
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    answers: dict[str, dict[str, Any]] = {}
    for turn in range(repeat):
        restore(home)
        commands = {"ours": child("--whole", home, catalogue)}
        for engine, python in pythons.items():
            out = scratch / f"{engine}{turn}"
            out.mkdir()
            threads = f"POLARS_MAX_THREADS={THREADS}"
            commands[engine] = [
                "env",
                threads,
                str(python),
                "-m",
                f"benchmarks.engines.{engine}",
                str(people),
                str(out),
            ]
        for engine, command in commands.items():
            told, taken, peak = watched(command, home if engine == "ours" else scratch)
            seconds.setdefault(engine, []).append(taken)
            peaks[engine] = max(peak, peaks.get(engine, 0))
            answers[engine] = json.loads(told.splitlines()[-1])
    right = answers["ours"]["found"]
    answers["ours"] |= {"rows": rows, "kept": sum(right.values())}
    for engine, answer in answers.items():
        _compare(engine, answer, right, rows)
    order = sorted(seconds, key=lambda engine: statistics.median(seconds[engine]))
    return {"rows": rows, **{f"failing {rule}": count for rule, count in right.items()}} | {
        engine: {
            "whole_s": round(statistics.median(seconds[engine]), 2),
            "peak_mb": round(peaks[engine] / 1e6),
            "failing_rows": answers[engine]["kept"],
            "cannot": sorted(right.keys() - answers[engine]["found"].keys()),
        }
        for engine in order
    } | missing  # fmt: skip


def _compare(engine: str, answer: dict[str, Any], right: dict[str, int], rows: int) -> None:
    wrong = {rule: count for rule, count in answer["found"].items() if count != right[rule]}
    if wrong or answer["rows"] != rows or answer["duplicates"]:
        raise ValueError(
            f"{engine} found {wrong} of {answer['rows']} rows where ours found {right} of {rows}: {answer}"
        )
