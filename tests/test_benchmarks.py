"""The rules that other engines are measured with say what ours say."""

import duckdb

from benchmarks.engines import sql
from benchmarks.people import ROW_RULES, write_people
from quality_checks import macros


def test_the_engines_rules_find_the_made_defects_as_ours_do(tmp_path):
    people = tmp_path / "people.parquet"
    write_people(people, 5000)
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        ours = ", ".join(f"count_if(({when}) AND NOT ({that}))" for _, that, when in ROW_RULES.values())
        theirs = ", ".join(f"count_if(NOT {sql.RULES[rule][1]})" for rule in ROW_RULES)
        expected = con.execute(f"SELECT {ours} FROM '{people}'").fetchone()
        found = con.execute(f"SELECT {theirs} FROM ({sql.records(str(people))})").fetchone()
        [keys] = con.execute(f"SELECT count(DISTINCT id_number) FROM '{people}'").fetchall()
    assert found == expected
    assert dict(zip(ROW_RULES, expected, strict=True)).items() >= {"P02": 10, "P03": 10, "P09": 10, "name": 5}.items()
    assert keys == (5000,)
