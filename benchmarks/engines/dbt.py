"""dbt-core 1.11.16 with dbt-duckdb 1.11.1 on DuckDB 2.0.1: a view of the people and a test for each rule.

Can do all of it: with `store_failures` the failing rows stay in a table per test. Each test is a query of its own.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

from dbt.cli.main import dbtRunner

from benchmarks.engines import THREADS, sql, tell
from benchmarks.engines.sql import RULES

_PROJECT = """
name: people
version: "1.0"
profile: people
flags: {send_anonymous_usage_stats: false, use_colors: false}
data_tests:
  people:
    +store_failures: true
"""
_PROFILE = """
people:
  target: bench
  outputs:
    bench: {{type: duckdb, path: "{folder}/people.duckdb", threads: {threads}, settings: {{threads: {threads}}}}}
"""
_SCHEMA = """
version: 2
models:
  - name: people
    columns:
      - name: id_number
        data_tests: [{not_null: {name: P01}}, {unique: {name: key}}]
      - name: name
        data_tests: [{not_null: {name: name}}]
"""
_SOME_ROWS = """
{{ config(fail_calc="coalesce(max(rows), 0)", error_if="= 0") }}
SELECT count(*) AS rows FROM {{ ref('people') }}
"""


def _write(project: Path, people: str) -> None:
    """The project as a user of dbt has it."""
    for folder in ("models", "tests"):
        (project / folder).mkdir(parents=True)
    (project / "dbt_project.yml").write_text(_PROJECT)
    (project / "profiles.yml").write_text(_PROFILE.format(folder=project, threads=THREADS))
    (project / "models" / "people.sql").write_text(sql.records(people))
    (project / "models" / "schema.yml").write_text(_SCHEMA)
    for rule, (_, holds) in RULES.items():
        if rule not in {"P01", "name"}:
            (project / "tests" / f"{rule}.sql").write_text(f"SELECT * FROM {{{{ ref('people') }}}} WHERE NOT {holds}")
    (project / "tests" / "some_rows.sql").write_text(_SOME_ROWS)


def main(people: str, folder: str) -> None:
    """Judge the file and print what was found."""
    project = Path(folder) / "dbt"
    _write(project, people)
    said = ["build", "--project-dir", str(project), "--profiles-dir", str(project), "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()):
        built = dbtRunner().invoke(said)
    if built.result is None:
        raise SystemExit(f"dbt failed: {built.exception}")
    counted = {one.node.name: one.failures for one in built.result if one.node.resource_type == "test"}
    found = {rule: counted[rule] for rule in RULES}
    tell(found, rows=counted["some_rows"], duplicates=counted["key"], kept=sum(found.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
