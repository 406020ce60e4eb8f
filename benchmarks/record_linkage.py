"""Recognition of persons in public data sets whose truth is known: FEBRL 1 to 3 and fake_1000.

    python -m benchmarks.record_linkage FOLDER [--only NAME] [--json]

What is compared stands in `benchmarks/record_linkage/*.yaml`, written as in a library; the model is learned from each
file without its labels, and `quality_checks.identity_links` makes entities of the records. F1 is pairwise: of all pairs
of records put into one entity, and of all that are one person. FEBRL's labels are in `rec_id`, those of fake_1000 in
`cluster`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import yaml
from duckdb import DuckDBPyConnection

from benchmarks.identity_city import link
from catalog.identity import Identity
from quality_checks import identity_links, identity_model, macros
from quality_checks.identity_nodes import ENTITIES, RECORDS
from quality_checks.macros import name, quote

SETTINGS = Path(__file__).parent / "record_linkage"


class DataSet(NamedTuple):
    """A file, its settings, what tells the person (SQL over its columns), and the F1 that is asked for."""

    file: str
    settings: str
    label: str
    wanted: float


DATA_SETS = {
    "febrl_1": DataSet("dataset1.csv", "febrl", "split_part(rec_id, '-', 2)", 0.996),
    "febrl_2": DataSet("dataset2.csv", "febrl", "split_part(rec_id, '-', 2)", 0.996),
    "febrl_3": DataSet("dataset3.csv", "febrl", "split_part(rec_id, '-', 2)", 0.996),
    "fake_1000": DataSet("fake_1000.csv", "fake_1000", '"cluster"', 0.83),
}


def settings(stem: str) -> Identity:
    """What is compared in a kind of file."""
    return Identity.model_validate(yaml.safe_load((SETTINGS / f"{stem}.yaml").read_text(encoding="utf-8")))


def read(con: DuckDBPyConnection, file: Path, stated: Identity, label: str) -> None:
    """`RECORDS` without labels, no `ENTITIES`, and `truth` (unique_id, person) apart."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE file AS FROM read_csv({quote(str(file))}, all_varchar = true, header = true)"
    )
    columns = [row[0] for row in con.execute("DESCRIBE file").fetchall()]
    trimmed = ", ".join(f"nullif(trim({name(column)}), '') AS {name(column.strip())}" for column in columns)
    con.execute(f"CREATE OR REPLACE TEMP TABLE raw AS SELECT row_number() OVER () AS n, {trimmed} FROM file")
    features = {
        column: sql
        for feature, one in stated.compare.items()
        for column, sql in identity_model.node_columns(feature, one.as_, name(feature)).items()
    }
    made = ", ".join(f"{sql} AS {name(column)}" for column, sql in features.items())
    con.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT n AS unique_id, 'd' AS department, 'r' AS resource,"
        f" n::VARCHAR AS record_key, hash(n) AS content, {made} FROM raw"
    )
    con.execute(
        f"CREATE OR REPLACE TABLE {ENTITIES} AS SELECT unique_id, '' AS entity_key,"
        f" {', '.join(map(name, features))} FROM {RECORDS} LIMIT 0"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE truth AS SELECT n::VARCHAR AS record_key, {label} AS person FROM raw")


def measure(con: DuckDBPyConnection) -> tuple[float, float, float]:
    """Pairwise F1, precision and recall of the entities against the truth."""
    pairs = "coalesce(sum(n * (n - 1) / 2), 0)"
    joined = f"(FROM {identity_links.LINKS} JOIN truth USING (record_key))"
    row = con.execute(f"""
        SELECT (SELECT {pairs} FROM (SELECT count(*) AS n FROM {joined} GROUP BY entity_key, person)),
            (SELECT {pairs} FROM (SELECT count(*) AS n FROM {joined} GROUP BY entity_key)),
            (SELECT {pairs} FROM (SELECT count(*) AS n FROM {joined} GROUP BY person))""").fetchone()
    right, put, true = row or (0, 0, 0)
    precision, recall = right / max(put, 1), right / max(true, 1)
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def run(folder: Path, one: DataSet) -> dict[str, object]:
    """Learn, link and measure one data set."""
    stated = settings(one.settings)
    began, worked = time.monotonic(), time.process_time()
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        read(con, folder / one.file, stated, one.label)
        model = identity_model.train(con, stated, "identity_entities", "identity_records")
        link(con, stated, model)
        f1, precision, recall = measure(con)
        counted = con.execute(f"SELECT count(*), count(DISTINCT entity_key) FROM {identity_links.LINKS}").fetchone()
    records, entities = counted or (0, 0)
    return {
        "records": records, "entities": entities, "f1": round(f1, 4), "precision": round(precision, 4),
        "recall": round(recall, 4), "wanted": one.wanted, "met": f1 >= one.wanted,
        "wall_s": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - worked, 1),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; exit code 1 when an F1 is too low."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=sorted(DATA_SETS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    told = {n: run(options.folder, one) for n, one in DATA_SETS.items() if options.only in (None, n)}
    if options.json:
        print(json.dumps(told))
    else:
        for data_set, figures in told.items():
            print(data_set, "  ".join(f"{key} {value}" for key, value in figures.items()))
    raise SystemExit(0 if all(figures["met"] for figures in told.values()) else 1)


if __name__ == "__main__":
    main()
