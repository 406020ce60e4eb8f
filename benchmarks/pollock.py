"""The reader against Pollock's malformed CSV files, by Pollock's own measure.

Pollock (Vitagliano et al., VLDB 2023) scores a reader by ten figures, each the mean over all files: success, and
precision, recall and F1 of header cells, of records and of cells, compared as multisets with the clean file. The score
is their sum, 10 at best. As there, precision is the share of the clean file that was found and recall the share of the
loaded one that is right; cells of headers and records are compared by their normal form, single cells by their text.

    python benchmarks/pollock.py FOLDER [--json]

FOLDER holds `csv/`, `clean/` and `parameters/` with one file each per case. The reader needs declared columns: they are
the clean file's header. `declared` gives it the dialect of `parameters/` and the row of the first record, as Pollock's
own runs do; `detected` gives it the columns alone. What the reader refuses counts as no success, save a file without a
record: that is what was read. Records in quarantine count as not loaded.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

from resources.reader import Job, Reader, Reading

Rows = list[list[str]]
MEASURES = ("success", *(f"{what}_{how}" for what in ("header", "record", "cell") for how in ("p", "r", "f1")))


def main() -> None:
    """Score both ways and print the figures and the files below ten."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    with Reader() as reader:
        found = {way: _scores(reader, given.folder, declared=way == "declared") for way in ("declared", "detected")}
    totals = {way: _total(scores) for way, scores in found.items()}
    if given.json:
        sys.stdout.write(json.dumps({"files": len(found["declared"]), **totals}) + "\n")
        return
    for way, scores in found.items():
        print(f"{way}: {totals[way]:.3f} of 10 over {len(scores)} files")
        for name, (figures, why) in sorted(scores.items(), key=lambda one: sum(one[1][0])):
            if sum(figures) < len(MEASURES) - 1e-9:
                print(f"  {sum(figures):6.3f}  {name}: {why}")


def _total(scores: dict[str, tuple[list[float], str]]) -> float:
    return sum(sum(figures) / len(scores) for figures in zip(*(one for one, _ in scores.values()), strict=True))


def _scores(reader: Reader, folder: Path, *, declared: bool) -> dict[str, tuple[list[float], str]]:
    """Per file its ten figures and what the reader said."""
    scores = {}
    for path in sorted((folder / "csv").iterdir()):
        clean = _rows(folder / "clean" / path.name)
        said = json.loads((folder / "parameters" / f"{path.name}_parameters.json").read_text())
        with tempfile.TemporaryDirectory() as scratch:
            loaded, why = _loaded(reader, path, Path(scratch), clean, said if declared else None)
        scores[path.name] = ([0.0] * len(MEASURES) if loaded is None else [1.0, *_measures(clean, loaded)], why)
    return scores


def _loaded(
    reader: Reader, path: Path, folder: Path, clean: Rows, said: dict[str, Any] | None
) -> tuple[Rows | None, str]:
    """The table as the reader gives it, header first, and its reasons."""
    names = clean[0] if clean else []
    titled = said is None or bool(said["header_lines"])
    columns = names or ["column"]
    job = Job(
        path=path,
        name=path.name,
        kind="csv",
        packing="",
        columns={f"c{i}": (name,) for i, name in enumerate(columns)},
        ignore=(),
        folder=folder,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        layout=_layout(said) if said and clean else {},
    )
    reading = reader.read(job)
    why = "; ".join(f"{reason.code}: {reason.message.partition(': ')[2]}" for reason in reading.reasons)
    if reading.refused:
        nothing = reading.reasons[-1].code == "empty"
        return ([names] if names else []) if nothing else None, why
    return [*([names] if titled else []), *_records(reading, len(columns))], why


def _layout(said: dict[str, Any]) -> dict[str, Any]:
    """Pollock's parameters in the catalogue's words; no escape stands for NUL."""
    first = said["preamble_lines"] + said["header_lines"] + 1
    return {
        "delimiter": said["delimiter"],
        "quote": said["quotechar"],
        "escape": said["escapechar"] or "\x00",
        "header_row": 0,
        "first_row": first,
    }


def _records(reading: Reading, width: int) -> Rows:
    picked = ", ".join(f"coalesce(c{i}, '')" for i in range(width))
    return [list(row) for row in duckdb.sql(f"select {picked} from read_parquet('{reading.rows_file}')").fetchall()]


def _rows(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def _measures(clean: Rows, loaded: Rows) -> list[float]:
    """Precision, recall and F1 of header, records and cells."""
    if not clean:
        return [1.0] * (len(MEASURES) - 1)
    header = _compared([_normal(cell) for cell in clean[0]], [_normal(cell) for cell in loaded[0]] if loaded else [])
    records = _compared(["".join(map(_normal, r)) for r in clean[1:]], ["".join(map(_normal, r)) for r in loaded[1:]])
    cells = _compared([cell for row in clean for cell in row], [cell for row in loaded for cell in row])
    return [*header, *records, *cells]


def _compared(wanted: list[str], found: list[str]) -> tuple[float, float, float]:
    if not wanted:
        return 1.0, 1.0, 1.0
    common = (Counter(wanted) & Counter(found)).total()
    if not common:
        return 0.0, 0.0, 0.0
    share, right = common / len(wanted), common / len(found)
    return share, right, 2 * share * right / (share + right)


def _normal(cell: str) -> str:
    """Pollock's normal form as far as it can tell two texts of the same file apart: numbers by value, text by case.

    Its forms of dates, times and prices only make more spellings equal; none differ here between clean and loaded.
    """
    try:
        return str(float(cell))
    except ValueError:
        return cell.lower()


if __name__ == "__main__":
    main()
