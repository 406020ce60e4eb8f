"""Other engines, each judging one Parquet file of people by the same rules as a process of its own.

`python -m benchmarks.engines.<engine> PEOPLE.parquet FOLDER` runs in an environment with the pinned packages of
`requirements/<engine>.txt`, uses two threads, writes what it can tell of failing rows to FOLDER and ends with one line
of JSON (`tell`). Rules as SQL are in `sql`, as polars expressions in `expressions`: the same texts for every engine, in
plain words of DuckDB 1.0 or polars, without macros of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

THREADS = 2


def tell(found: Mapping[str, int], *, rows: int, duplicates: int | None, kept: int | None) -> None:
    """Print failing rows by rule (a rule the engine cannot express is left out), records, records whose key another
    has too, and how many findings were written; None where the engine cannot say.
    """
    print(json.dumps({"found": dict(sorted(found.items())), "rows": rows, "duplicates": duplicates, "kept": kept}))
