"""Great Expectations 1.24.1 on DuckDB 1.5.5, put together naively: stock expectations on a table asset.

On DuckDB it reads results after their connection is closed and fails: here they are fetched before. Its expectations
for regular expressions do not know DuckDB, so rules beyond null, set and range are queries for unexpected rows. Of
these GX keeps at most 200, of the stock ones 20: it cannot tell every failing row.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import duckdb_engine
import great_expectations as gx
import great_expectations.expectations as gxe
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

from benchmarks.engines import THREADS, sql, tell
from benchmarks.engines.sql import RULES

_QUERIES = ("P02", "P03", "P04", "P09", "nation", "phone")


class Buffered(duckdb_engine.Dialect.execution_ctx_cls):
    """Fetches results before the connection is given back."""

    def post_exec(self) -> None:
        """Keep the rows."""
        super().post_exec()
        if self.cursor.description is not None:
            rows = self.cursor.fetchall()
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(self.cursor, initial_buffer=rows)


def _suite(rows: int) -> gx.ExpectationSuite:
    first, last, now = datetime(1896, 11, 2), datetime(2026, 11, 2), datetime(2026, 11, 3)  # noqa: DTZ001  # as stored
    said = [
        gxe.ExpectColumnValuesToNotBeNull(column="id_number", meta={"rule": "P01"}),
        gxe.ExpectColumnValuesToNotBeNull(column="name", meta={"rule": "name"}),
        gxe.ExpectColumnValuesToBeInSet(column="sex", value_set=list(sql.SEXES), meta={"rule": "sex"}),
        gxe.ExpectColumnValuesToBeBetween(column="birth_date", min_value=first, max_value=last, meta={"rule": "P05"}),
        gxe.ExpectColumnValueLengthsToBeBetween(column="address", min_value=6, max_value=200, meta={"rule": "address"}),
        gxe.ExpectColumnValuesToBeBetween(column="updated_at", max_value=now, meta={"rule": "updated"}),
        gxe.ExpectColumnValuesToBeUnique(column="id_number", meta={"rule": "key"}),
        gxe.ExpectTableRowCountToEqual(value=rows, meta={"rule": "rows"}),
    ]
    for rule in _QUERIES:
        holds = RULES[rule][1].replace("{", "{{").replace("}", "}}")
        query = f"SELECT id_number FROM {{batch}} WHERE NOT {holds}"
        said.append(gxe.UnexpectedRowsExpectation(unexpected_rows_query=query, meta={"rule": rule}))
    return gx.ExpectationSuite(name="people", expectations=said)


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    database = f"{folder}/great_expectations.duckdb"
    with duckdb.connect(database) as con:
        con.execute(f"CREATE VIEW people AS {sql.records(people)}")
        [(rows,)] = con.execute("SELECT count(*) FROM people").fetchall()
    duckdb_engine.Dialect.execution_ctx_cls = Buffered
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_sql("people", connection_string=f"duckdb:///{database}?threads={THREADS}")
    batch = source.add_table_asset("people", table_name="people").add_batch_definition_whole_table("all").get_batch()
    every = {"result_format": "COMPLETE", "unexpected_index_column_names": ["id_number"]}
    validated = batch.validate(context.suites.add(_suite(rows)), result_format=every)
    Path(folder, "great_expectations.json").write_text(json.dumps(validated.to_json_dict()))
    said = {one.expectation_config.meta["rule"]: one.result for one in validated.results}
    found = {rule: said[rule].get("unexpected_count", said[rule].get("observed_value")) for rule in RULES}
    kept = sum(
        len(said[rule].get("unexpected_index_list") or said[rule].get("details", {}).get("unexpected_rows", ()))
        for rule in RULES
    )
    tell(found, rows=said["rows"]["observed_value"], duplicates=said["key"]["unexpected_count"], kept=kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
