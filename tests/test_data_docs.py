"""Stored results as Data Docs: counts and rules on every page, no value of a record in any byte of the site."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
from test_runner import RESIDENTS, con, put, run
from typer.testing import CliRunner

from catalog.load import Catalog
from pipelines.cli import app
from quality_checks.rules import baseline_rules

__all__ = ["con"]


def test_a_day_of_results_becomes_a_site_without_a_value_of_a_record(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, tmp_path: Path
) -> None:
    canary = "11010519491231009Z"
    put(con, [{"id_number": canary, "name": f"{canary}{n}" * 4, "sex": canary} for n in range(5)])
    rules = list(baseline_rules(small_catalog.resources[RESIDENTS], small_catalog))
    _, violations, document = run(con, small_catalog, rules)
    assert any(canary in str(told) for told in violations)
    for day in ("2026-03-01", "2026-03-02"):
        stored = tmp_path / "home" / "validations" / day
        stored.mkdir(parents=True)
        (stored / f"{RESIDENTS}.json").write_text(json.dumps([document]), encoding="utf-8")
    site = tmp_path / "site"
    home = {"SHUYUAN_HOME": str(tmp_path / "home")}
    done = CliRunner().invoke(app, ["rules", "docs", str(site)], env=home)
    assert done.exit_code == 0, done.output
    files = [file for file in site.rglob("*") if file.is_file()]
    assert not [file for file in files if canary.encode() in file.read_bytes()]
    [page] = site.glob("validations/**/*.html")
    text = page.read_text(encoding="utf-8")
    assert "2026-03-02" in text
    assert all(rule.id in text for rule in rules)
    assert "5 of 5 records break it" in text
    assert all("style sheets and scripts come from the internet" in one.read_text() for one in site.rglob("*.html"))
    assert CliRunner().invoke(app, ["rules", "docs", str(site), "--as-of", "2026-01-01"], env=home).exit_code == 2
    again = CliRunner().invoke(app, ["rules", "docs", str(site), "--as-of", "2026-03-01"], env=home)
    assert again.exit_code == 0, again.output
    pages = [one.read_text() for one in site.rglob("*.html")]
    assert {page.count("shuyuan-extra") for page in pages} == {pages[0].count("shuyuan-extra")}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("<body>mine")
    for folder in (tmp_path / "mine", tmp_path / "home" / "reports"):
        assert CliRunner().invoke(app, ["rules", "docs", str(folder)], env=home).exit_code == 2
    assert (tmp_path / "mine" / "index.html").read_text() == "<body>mine"
