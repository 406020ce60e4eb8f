"""Wrong cells found in the error-detection benchmarks of Raha and HoloClean, learned from the dirty copy alone.

    python -m benchmarks.error_detection FOLDER [--rules] [--json]

FOLDER holds one folder per data set with `dirty.csv`, `clean.csv` and the published dependencies, `A ⇒ B` a line. A
cell is wrong where the dirty copy differs from the clean one; the clean copy is used for counting only. Measured are

    dependencies      those published: flagged is what differs from the strict majority of its group
    with_blanks       also blanks and words for "no value" in any column
    with_suggestions  also the rules that `quality_checks.suggestions` learns from the dirty copy
    commonest         all of these, but flagged is what differs from the commonest value of its group, majority or not
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import duckdb

from catalog.columns import Column, ColumnType
from quality_checks.macros import name, quote
from quality_checks.suggestions import MAJORITY, Suggestion, dependency, flagged, is_blank, suggest, to_yaml

DEPENDENCIES = "dc_rules-validate-fd-horizon.txt"
RENAMED = {  # words of hospital's dependencies -> columns of its dirty copy
    "hospitalname": "name", "phonenumber": "phone", "zipcode": "zip", "hospitalowner": "owner", "countyname": "county",
    "stateavg": "stateaverage",
}  # fmt: skip
MEASURES = ("dependencies", "with_blanks", "with_suggestions", "commonest")


def main() -> None:
    """Measure every data set of the folder and print precision, recall and F1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--rules", action="store_true", help="print the suggested rules with their right and wrong cells"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {path.name: scores(path, show=given.rules) for path in sorted(given.folder.iterdir()) if path.is_dir()}
    if given.json:
        print(json.dumps(found))
        return
    for data_set, figures in found.items():
        print(f"{data_set}: {figures['wrong']['cells']} wrong cells")
        for measure in MEASURES:
            told = "  ".join(f"{what} {value}" for what, value in figures[measure].items())
            print(f"  {measure:16}  {told}")


def scores(folder: Path, *, show: bool = False) -> dict[str, dict[str, float]]:
    """Per measure: flagged cells, right ones among them, precision, recall, F1."""
    with duckdb.connect(config={"threads": 1}) as con:
        columns = _load(con, folder)
        published, suggested = _published(folder, columns), suggest(con, "dirty", columns)
        blanks = " UNION ALL ".join(
            f"SELECT row_key, {quote(column)} AS column_name FROM numbered WHERE {is_blank(column)}"
            for column in columns
        )
        con.execute(f"CREATE TABLE dependencies AS {_cells(con, published)}")
        con.execute(f"CREATE TABLE with_blanks AS FROM dependencies UNION ALL ({blanks})")
        con.execute(f"CREATE TABLE with_suggestions AS FROM with_blanks UNION ALL ({_cells(con, suggested)})")
        con.execute(
            f"CREATE TABLE commonest AS ({blanks}) UNION ALL {_cells(con, [*published, *suggested], majority=0)}"
        )
        if show:
            _show(con, suggested)
        wrong: dict[str, float] = {"cells": _count(con, "wrong")}
        return {"wrong": wrong} | {measure: _score(con, measure) for measure in MEASURES}


def _load(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, Column]:
    """The tables `dirty` and `wrong`, the latter one row per wrong cell; the columns of the dirty copy, all text."""
    names: dict[str, list[str]] = {}
    for copy in ("dirty", "clean"):
        file = quote(str(folder / f"{copy}.csv"))
        read = f"read_csv({file}, header = true, delim = ',', quote = '\"', all_varchar = true)"
        con.execute(f"CREATE TABLE {copy} AS FROM {read}")
        names[copy] = [str(row[0]) for row in con.execute(f"DESCRIBE {copy}").fetchall()]
    con.execute("CREATE VIEW numbered AS SELECT row_number() OVER () AS row_key, * FROM dirty")
    differing = " UNION ALL ".join(
        f"SELECT d.row_key, {quote(dirty)} AS column_name FROM numbered d"
        f" JOIN (SELECT row_number() OVER () AS row_key, * FROM clean) c USING (row_key)"
        f" WHERE d.{name(dirty)} IS DISTINCT FROM c.{name(clean)}"
        for dirty, clean in zip(names["dirty"], names["clean"], strict=True)
    )
    con.execute(f"CREATE TABLE wrong AS {differing}")
    return {column: Column(title=column, type=ColumnType.text) for column in names["dirty"]}


def _published(folder: Path, columns: dict[str, Column]) -> list[Suggestion]:
    """The published dependencies; they name columns with other capitals and without underscores."""
    plain = {column.replace("_", ""): column for column in columns}
    found = {}
    for line in (folder / DEPENDENCIES).read_text(encoding="utf-8").splitlines():
        left, right = (side.strip().replace("_", "").lower() for side in line.split("⇒"))
        found[left, right] = dependency(plain[RENAMED.get(right, right)], (plain[RENAMED.get(left, left)],))
    return list(found.values())


def _cells(con: duckdb.DuckDBPyConnection, rules: Iterable[Suggestion], *, majority: float = MAJORITY) -> str:
    return " UNION ALL ".join(f"({flagged(con, 'dirty', rule, majority=majority)})" for rule in rules)


def _show(con: duckdb.DuckDBPyConnection, suggestions: Iterable[Suggestion]) -> None:
    for one in suggestions:
        cells = flagged(con, "dirty", one)
        right = _count(con, f"({cells}) JOIN wrong USING (row_key, column_name)")
        print(to_yaml([one], "benchmark.records") + f"  # {right} of {one.flagged} are wrong")


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def _score(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, float]:
    found = _count(con, f"(SELECT DISTINCT * FROM {table})")
    right = _count(con, f"(SELECT DISTINCT * FROM {table}) JOIN wrong USING (row_key, column_name)")
    wrong = _count(con, "wrong")
    return {
        "flagged": found,
        "right": right,
        "precision": round(right / found, 4) if found else 1.0,
        "recall": round(right / wrong, 4),
        "f1": round(2 * right / (found + wrong), 4),
    }


if __name__ == "__main__":
    main()
