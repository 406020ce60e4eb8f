"""What the ledger's tables hold, and what is hashed of each row, as DuckDB SQL (docs/ledger.md).

Everything hashed is JSON in the canonical form of RFC 8785, so that anybody can make it again with a library. A row's
personal values are hashed apart, with its salt, and its line holds only that digest: they may be erased and the line
stays. The tables themselves are in `schema/20_ledger.sql` and `21_disputes.sql`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

ORDERS = (
    "order_id, order_number, department, resource, rule_id, delivery_id, standard, dimension, indicator, severity, "
    "opened_on, due_on, due_provisional"
)
ORDER_EVENTS = (
    "order_id, number, department, event, state, as_of, due_on, due_provisional, working_days, paused_days, level, "
    "actor, reason, evidence"
)
ITEMS = (
    "item_id, serial, finding_id, department, resource, rule_id, record_key, column_name, opened_on, transferred_from"
)
EVENTS = (
    "serial, number, item_id, department, event, state, closed, since, order_id, as_of, delivery_id, rule_version, "
    "record_hash, content_hash, observed, suggested, suggestion_method, suggestion_confidence, reason, "
    "evidence, by_date, actor, notified_on, relapses"
)
REQUESTS = (
    "request_id, request_number, department, applicant, resource, column_name, library, attribute, raised_on, "
    "reference_date, raised_by, record_key, entity_id, doubted, proposed, reason, evidence"
)
DISPUTE_EVENTS = (
    "dispute_id, number, department, dispute_number, item_id, opponent, event, state, level, party, as_of, due_on, "
    "rule_version, library, attribute, actor, entity_id, reason, evidence"
)
FRACTIONS = {"suggestion_confidence"}  # hashed as text, as PostgreSQL writes them
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Rows:
    """One table: what its lines call it, its columns, which of them are personal, what tells its rows apart."""

    called: str
    columns: str
    personal: tuple[str, ...] = ()
    row: str = ""  # DuckDB and PostgreSQL alike
    item: str = "item_id"  # the item whose erasure takes the personal values

    @property
    def stored(self) -> str:
        """The columns that are hashed, beside those that only carry them."""
        return self.columns + (", salt, personal_digest" if self.personal else "")


TABLES = {
    "orders": Rows("order", ORDERS),
    "order_events": Rows("order_event", ORDER_EVENTS),
    "items": Rows("item", ITEMS, ("record_key",), "item_id"),
    "events": Rows(
        "event",
        EVENTS,
        ("content_hash", "evidence", "observed", "reason", "record_hash", "suggested"),
        "item_id, '|', number",
    ),
    "requests": Rows(
        "request",
        REQUESTS,
        ("doubted", "entity_id", "evidence", "proposed", "reason", "record_key"),
        "request_id",
        "request_id",
    ),
    "dispute_events": Rows(
        "dispute_event", DISPUTE_EVENTS, ("entity_id", "evidence", "reason"), "dispute_id, '|', number"
    ),
}


def lines_sql(table: str, relation: str) -> str:
    """`department, batch, salt, personal, line` of the rows of `relation`, which has the table's columns and `batch`.

    `line` is what is hashed of a row; `personal` its personal values, of which `line` holds the digest alone.
    """
    rows = TABLES[table]
    shown = [column for column in rows.columns.split(", ") if column not in rows.personal]
    fields = {column: column for column in shown} | {"table": f"'{rows.called}'"}
    fields |= {column: f"regexp_replace({column}::VARCHAR, '\\.0$', '')" for column in FRACTIONS & set(shown)}
    if not rows.personal:
        return f"SELECT department, batch, NULL AS salt, NULL AS personal, {_canonical(fields)} AS line FROM {relation}"
    fields["personal"] = "sealed"
    return f"""
        SELECT department, batch, salt, personal, {_canonical(fields)} AS line
        FROM ({sealed_sql(table, relation)})"""


def sealed_sql(table: str, relation: str) -> str:
    """The rows of `relation` with `personal`, canonical JSON, and `sealed`, its salted digest: what erasing leaves.

    Whoever does not know the salt cannot find the values by trying.
    """
    personal = _canonical({column: column for column in TABLES[table].personal})
    return f"""
        SELECT *, CASE WHEN salt IS NULL THEN lower(hex(personal_digest))
                       ELSE sha256(unhex(replace(salt::VARCHAR, '-', '')) || encode(personal)) END AS sealed
        FROM (SELECT *, {personal} AS personal FROM {relation})"""


def _canonical(fields: Mapping[str, str]) -> str:
    """DuckDB SQL of an object in canonical form: keys in order, and hexadecimal digits of escapes in lower case."""
    listed = ", ".join(f'"{name}" := {fields[name]}' for name in sorted(fields))
    text = f"to_json(struct_pack({listed}))::VARCHAR"
    part = "part"
    for code in (0x0B, 0x0E, 0x0F, *range(0x1A, 0x20)):
        part = f"replace({part}, '\\u{code:04X}', '\\u{code:04x}')"
    # Between two backslashes that stand for one, a single one begins an escape.
    lowered = f"array_to_string(list_transform(string_split({text}, '\\\\'), lambda part: {part}), '\\\\')"
    return f"CASE WHEN contains({text}, '\\u00') THEN {lowered} ELSE {text} END"


def contents(con: DuckDBPyConnection, lines: str) -> dict[tuple[str, int], str]:
    """What each batch of the relation `lines` (`lines_sql`) holds, as one digest: that of its rows' sorted digests.

    Any changed, missing or added row changes it. The rows are sorted by DuckDB, which spills what is too much.
    """
    import pyarrow as pa  # noqa: PLC0415  # 0.15 s
    import pyarrow.compute as pc  # noqa: PLC0415

    hashes: dict[tuple[str, int], hashlib._Hash] = {}
    reader = con.execute(
        f"SELECT concat(batch, ' ', department) AS batch, unhex(sha256(line)) AS digest FROM ({lines}) ORDER BY ALL"
    ).to_arrow_reader(100_000)
    for chunk in reader:
        runs = pc.run_end_encode(chunk.column(0))
        digests = memoryview(chunk.column(1).cast(pa.binary(DIGEST_BYTES)).buffers()[1])
        begin = 0
        for batch, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            number, department = batch.split(" ", 1)
            one = hashes.setdefault((department, int(number)), hashlib.sha256())
            one.update(digests[begin * DIGEST_BYTES : end * DIGEST_BYTES])
            begin = end
    return {batch: one.hexdigest() for batch, one in hashes.items()}
