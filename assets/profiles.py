"""The profile of one delivery: what its columns hold, in counts, for trends and for rules about volume and drift.

Taken from the records just written, in one scan; no value of a personal or sensitive column leaves it, only lengths.
Stored in `ops.profiles` by `assets.register`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from catalog.columns import Column, ColumnType
from catalog.models import Resource
from quality_checks.macros import is_missing
from resources.lake import literal, quoted

SAMPLE = 100_000  # records of which the commonest lengths are counted
TOP = 3


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one delivery. Counts are records pooled.

    `distinct_values` is an estimate, good to some percent. `converted` were written otherwise than their value,
    `unparsed` were not of their type. `lowest` and `highest` are null for text and for personal columns. Lengths, in
    characters, are those of a sample of every n-th record; `top_lengths` are the commonest, as {characters: share}.
    """

    column_name: str
    rows: int
    nulls: int
    distinct_values: int
    converted: int
    unparsed: int
    lowest: str | None
    highest: str | None
    shortest: int | None
    longest: int | None
    top_lengths: dict[str, float]


def profile(
    con: DuckDBPyConnection, resource: Resource, relation: str, delivered: Collection[str]
) -> tuple[ColumnProfile, ...]:
    """Profiles of the delivered columns; `relation` holds the records as the pool does."""
    columns = {name: column for name, column in resource.columns.items() if name in delivered}
    figures = ", ".join(_figures(name, column) for name, column in columns.items())
    row = con.execute(f"select count(*), {figures} from {relation}").fetchone()
    assert row is not None  # noqa: S101  # an aggregate
    rows, values = row[0], row[1:]
    raw = _raw_counts(con, resource, columns, relation)
    lengths = _lengths(con, columns, relation, rows)
    found = []
    for number, name in enumerate(columns):
        there, distinct, lowest, highest = values[4 * number : 4 * number + 4]
        counted = lengths.get(name) or {}
        total = sum(counted.values())
        top = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        found.append(
            ColumnProfile(
                name,
                rows,
                rows - there,
                min(distinct, there),
                *raw.get(name, (0, 0)),
                lowest,
                highest,
                min(counted, default=None),
                max(counted, default=None),
                {str(length): round(count / total, 4) for length, count in top},
            )
        )
    return tuple(found)


def _figures(name: str, column: Column) -> str:
    value = quoted(name)
    shown = column.logical_type is not ColumnType.text and column.is_open
    ends = f"min({value})::varchar, max({value})::varchar" if shown else "null, null"
    return f"count({value}), approx_count_distinct({value}), {ends}"


def _raw_counts(
    con: DuckDBPyConnection, resource: Resource, columns: dict[str, Column], relation: str
) -> dict[str, tuple[int, int]]:
    """Per column: texts that were converted, texts that were not of the type."""
    kept = [name for name in columns if resource.keeps_raw(name)]
    if not kept:
        return {}
    counts = []
    for name in kept:
        raw, value = f"_raw[{literal(name)}]", quoted(name)
        spellings = resource.missing_in(name)
        failed = f"{value} is null and {raw} is not null"
        wrong = f"{failed} and not {is_missing(raw, spellings)}" if spellings else failed
        counts.append(f"count(*) filter ({value} is not null and {raw} is not null), count(*) filter ({wrong})")
    row: Any = con.execute(f"select {', '.join(counts)} from {relation} where _raw is not null").fetchone()
    return {name: (row[2 * n], row[2 * n + 1]) for n, name in enumerate(kept)}


def _lengths(
    con: DuckDBPyConnection, columns: dict[str, Column], relation: str, rows: int
) -> dict[str, dict[int, int]]:
    """Per text column how many records of the sample have how many characters."""
    texts = [name for name, column in columns.items() if column.logical_type is ColumnType.text]
    if not texts or not rows:
        return {}
    step = max(1, rows // SAMPLE)
    sample = f"from {relation}" if step == 1 else f"from {relation} where _row % {step} = 0"
    counted = ", ".join(f"histogram(length({quoted(name)}))" for name in texts)
    row: Any = con.execute(f"select {counted} {sample}").fetchone()
    return dict(zip(texts, row, strict=True))


def as_rows(delivery_id: str, profiles: tuple[ColumnProfile, ...]) -> list[dict[str, Any]]:
    """Rows of `ops.profiles`."""
    return [
        {**vars(one), "delivery_id": delivery_id, "position": n, "top_lengths": json.dumps(one.top_lengths)}
        for n, one in enumerate(profiles, 1)
    ]
