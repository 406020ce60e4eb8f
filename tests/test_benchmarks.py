"""The rules that other engines are measured with say what ours say; the demo city's records find their persons."""

import json
from importlib import import_module
from pathlib import Path

import duckdb

from quality_checks import macros


def test_the_engines_rules_find_the_made_defects_as_ours_do(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])  # benchmarks are not installed
    people_module, sql = import_module("benchmarks.people"), import_module("benchmarks.engines.sql")
    rules, write_people = people_module.ROW_RULES, people_module.write_people
    people = tmp_path / "people.parquet"
    write_people(people, 5000)
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        ours = ", ".join(f"count_if(({when}) AND NOT ({that}))" for _, that, when in rules.values())
        theirs = ", ".join(f"count_if(NOT {sql.RULES[rule][1]})" for rule in rules)
        expected = con.execute(f"SELECT {ours} FROM '{people}'").fetchone()
        found = con.execute(f"SELECT {theirs} FROM ({sql.records(str(people))})").fetchone()
        [keys] = con.execute(f"SELECT count(DISTINCT id_number) FROM '{people}'").fetchall()
    assert found == expected
    assert dict(zip(rules, expected, strict=True)).items() >= {"P02": 10, "P03": 10, "P09": 10, "name": 5}.items()
    assert keys == (5000,)


def test_the_demo_citys_truth_is_met(monkeypatch, capsys):
    """Nobody is taken for another person, and 99 in 100 records without a number find theirs."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    import_module("benchmarks.identity_city").main(["--people", "2000", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["false_merges"] == 0
    assert told["known_linked"] >= 0.99 * told["known"] > 100
    assert told["unknown_together"] == told["unknown"] > 10
