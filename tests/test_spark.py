"""Rules for Spark: every rule of the shipped catalogue is said in its dialect; what cannot be is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_runner import RESIDENTS, written
from typer.testing import CliRunner

from catalog.load import Catalog, load_catalog
from pipelines.cli import app
from quality_checks import rule_book, spark
from quality_checks.suites import Suite, pool_suites, verdict

CATALOGUE = Path(__file__).parents[1] / "catalog"
OURS = re.compile(r"\b(?:regexp_full_match|try_strptime|list_\w+|strlen|\w+_(?:ok|normal|sum))\(", re.IGNORECASE)
OUTLINES = re.compile(r"\b(?:in_shape|outline\w*|address_(?:normal|parts|standard)|division_\w+)\(")


def shape(suite: Suite) -> str:
    """What is left of a rule's SQL without names, texts and numbers: rules of one shape are said alike."""
    [rule] = suite.rules
    said = re.sub(r"\"[^\"]*\"|'(?!%)[^']*'|\d+", "?", suite.relation + verdict(rule)).replace(suite.resource, "?")
    return re.sub(r"\?(?:, \?)+", "?", said)


def test_every_rule_of_the_catalogue_is_said_in_sparks_dialect() -> None:
    """All but those of outlines, which need DuckDB's spatial extension, and of addresses, which need names."""
    every = rule_book.suites_by_rule(load_catalog(CATALOGUE))
    shapes = {shape(suite): suite for suite in every if not OUTLINES.search(suite.relation + verdict(suite.rules[0]))}
    assert len(shapes) > 50
    for suite in shapes.values():
        [rule] = suite.rules
        told = spark.failing(suite, rule)
        assert told.startswith("SELECT _record_key FROM ("), (
            rule.id
        )  # parsed again by Spark's grammar before it is told
        assert not OURS.search(told), rule.id


def test_a_macro_is_written_out_with_its_arguments_in_place() -> None:
    assert spark.rendered("in_china(x + 1, t.y)") == (
        "((x + 1) BETWEEN 73.62 AND 134.77 AND t.y BETWEEN 16.7 AND 53.56)"
    )
    assert spark.rendered("regexp_full_match(a, '[\\p{Han}]+')") == "a RLIKE '\\\\A(?:[\\\\p{IsHan}]+)\\\\z'"


@pytest.mark.parametrize(
    "sql",
    ["regexp_matches(a, '^' || b || '$')", "regexp_full_match(a, b)", "regexp_matches(a, 'x', 'i')",
     "regexp_full_match(a, 'x', 'i')", "regexp_replace(a, 'x', 'y')"],
)  # fmt: skip
def test_a_pattern_that_would_mean_something_else_in_spark_is_refused(sql: str) -> None:
    with pytest.raises(spark.NotInSparkError, match="no counterpart"):
        spark.rendered(sql)


def test_patterns_mean_the_same_in_java() -> None:
    blank = "\\\\t\\\\n\\\\f\\\\r "
    assert spark.rendered(r"regexp_matches(a, '^\s+[\s\]x]$')") == f"a RLIKE '^[{blank}]+[{blank}\\\\]x]$'"
    assert spark.rendered("regexp_full_match(a, 'x|'\n 'y')") == r"a RLIKE '\\A(?:x|y)\\z'"
    assert spark.rendered("regexp_replace(a, 'x', 'y', 'g')") == "REGEXP_REPLACE(a, 'x', 'y')"


def test_what_spark_has_not_is_named_with_the_rule(small_catalog: Catalog, tmp_path: Path) -> None:
    rule = written(that="damerau_levenshtein(name, sex) < 3")
    [suite] = pool_suites(small_catalog, small_catalog.resources[RESIDENTS], [rule])
    with pytest.raises(spark.NotInSparkError, match="no counterpart of damerau_levenshtein"):
        spark.failing(suite, rule)
    home = {"SHUYUAN_CATALOG": str(Path(__file__).parent / "small_catalogue"), "SHUYUAN_HOME": str(tmp_path)}
    done = CliRunner().invoke(app, ["rules", "export", str(tmp_path / "sql"), "--dialect", "spark"], env=home)
    assert done.exit_code == 0
    written_out = {file.stem for file in (tmp_path / "sql").glob("*.sql")}
    assert {"PSB-001", "CRV-001"} < written_out
    assert (
        (tmp_path / "sql" / "PSB-001.sql")
        .read_text(encoding="utf-8")
        .startswith("-- 出生日期应与公民身份号码中的一致\n")
    )
