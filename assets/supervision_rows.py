"""The rows that figures of supervision are counted from, as CSV files: one per case, one per order.

Items are told apart by a pseudonym in the city's files, since an item's id is a hash of its record that could be tried;
a department's own file names its items as its notices do. No value of a record stands in either.
"""

from __future__ import annotations

from pathlib import Path

from duckdb import DuckDBPyConnection

from quality_checks.supervision import CASES, ORDERS
from resources.city import City
from resources.lake import literal


def pseudonym_sql(city: City) -> str:
    """What tells the items of the city's files apart: the same in every file of this home, nobody can try values."""
    return f"left(sha256({literal(city.home.pseudonym_key())} || item_id), 32)"


def write_rows(con: DuckDBPyConnection, folder: Path, item: str, department: str | None = None) -> tuple[Path, Path]:
    """`cases.csv` and `orders.csv` of the temporary tables, one department's or all; the same rows, the same bytes.

    `item` is SQL for the column `item`.
    """
    where = f"WHERE department = {literal(department)}" if department else ""
    place = "department, length(order_number), order_number"
    cases = f"SELECT {', '.join(CASES)}, {item} AS item FROM supervision_cases {where} ORDER BY {place}, item"
    orders = f"SELECT {', '.join(ORDERS)} FROM supervision_orders {where} ORDER BY {place}"
    paths = folder / "cases.csv", folder / "orders.csv"
    for path, query in zip(paths, (cases, orders), strict=True):
        con.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT csv, HEADER)")
    return paths
