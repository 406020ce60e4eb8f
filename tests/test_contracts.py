"""A thematic contract: references are rules with counts, freshness is judged and holds products; reads is true."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from assets import quality
from assets.publish import publish
from assets.report_themes import collect_themes
from catalog.load import load_catalog
from catalog.models import Product, Reference, ThematicTable
from catalog.reading import CatalogError
from catalog.tables_read import tables_read
from catalog.timing import Freshness
from quality_checks import contracts
from quality_checks.rules import reference_rule_id, thematic_rules
from quality_checks.suites import check_sql
from resources.city import City

DAY = date(2026, 11, 2)
OVERVIEW = "credit_village.resident_overview"
RESIDENTS, MARRIAGES = "public_security.resident_registration", "civil_affairs.marriage_registration"
ENTERPRISES = "market_regulation.enterprise_registration"
YAML = "thematic/credit_village/resident_overview.yaml"
SQL = "thematic/credit_village/resident_overview.sql"
SMALL = Path(__file__).parent / "small_catalogue"


def overview(city: City) -> ThematicTable:
    return city.catalog.thematic[OVERVIEW]


def delivered(city: City, **days: date) -> None:
    """One pooled delivery per resource, named by its last word."""
    with city.server.session() as cursor:
        for number, (resource, day) in enumerate(days.items()):
            department, name = next(
                (r.department, r.name) for r in city.catalog.resources.values() if r.name == resource
            )
            cursor.execute(
                "insert into ops.deliveries (delivery_id, department, resource, file_name, sha256, bytes, as_of, mode,"
                " rows_delivered, rows_pooled, state) values (%s, %s, %s, 'x', %s, 1, %s, 'full', 1, 1, 'pooled')"
                " on conflict (delivery_id) do update set as_of = excluded.as_of",
                (f"d{number}", department, name, f"{number}", day),
            )


def known(city: City) -> None:
    """Two rows in the table, of whom the library knows one."""

    def work(con: object) -> None:
        city.con.execute("INSERT INTO base.population BY NAME SELECT 'A' AS id_number, '张三' AS name")
        city.con.execute(
            "INSERT INTO thematic.credit_village__resident_overview BY NAME"
            " SELECT id_number, 0 AS enterprises FROM (VALUES ('A'), ('B')) t(id_number)"
        )

    city.commit("city", work, author="test")


def test_what_a_column_refers_to_is_a_rule_with_counts_and_told_to_the_lead(small_city: City) -> None:
    known(small_city)
    results = quality.check_thematic(small_city, overview(small_city), DAY, author="run")
    [result] = [one for one in results if one.rule_id == reference_rule_id(overview(small_city), "id_number")]
    assert (result.department, result.applicable, result.failed) == ("public_security", 2, 1)
    found = small_city.con.execute(
        "SELECT department, resource, record_key FROM quality.findings WHERE rule_id = ?", [result.rule_id]
    ).fetchall()
    assert found == [("public_security", "credit_village__resident_overview", "B")]
    [theme] = collect_themes(small_city.con, small_city.catalog, DAY)
    assert [(one.column, one.to, one.ratio.failed, one.ratio.applicable) for one in theme.references if one.ratio] == [
        ("id_number", "base.population", 1, 2)
    ]
    assert theme.rows == 2


def test_a_reference_may_lead_to_another_thematic_table(small_city: City) -> None:
    table = overview(small_city)
    other = table.model_copy(update={"name": "other", "references": {"id_number": Reference(to=OVERVIEW)}})
    catalog = replace(small_city.catalog, thematic={OVERVIEW: table, other.id: other})
    [rule, *_] = thematic_rules(catalog, other)
    assert rule.lookup["referred"].to == "thematic.credit_village__resident_overview"
    assert [str(problem) for problem in check_sql(catalog)] == []


def test_a_table_is_as_fresh_as_the_oldest_it_is_made_from_may_be(small_city: City) -> None:
    shown = product(small_city)
    for residents, marriages, told in (
        (DAY, DAY - timedelta(days=40), ""),  # an age of its own
        (DAY, DAY - timedelta(days=41), f"{MARRIAGES} is as of 2026-09-22, fresh until 2026-11-01"),
        (DAY - timedelta(days=10), DAY, ""),
        (DAY - timedelta(days=11), DAY, f"{RESIDENTS} is as of 2026-10-22, fresh until 2026-11-01"),
    ):
        delivered(small_city, resident_registration=residents, marriage_registration=marriages)
        results = quality.check_deliveries(small_city, DAY, author="run")
        [result] = [one for one in results if one.rule_id.endswith(".delivery.stale")]
        assert (result.department, result.failed) == ("public_security", int(bool(told)))
        [theme] = collect_themes(small_city.con, small_city.catalog, DAY)
        assert theme.stale.endswith(told)
        assert bool(theme.stale) == bool(told)
        assert theme.made_from[0].as_of == min(residents, marriages)
        held = publish(small_city, shown, DAY, author="run")
        assert held.held == bool(told)
        assert held.reason.endswith(told)


def product(city: City) -> Product:
    known(city)
    stated = city.catalog.products["residents"]
    return stated.model_copy(update={"reads": f"thematic.{OVERVIEW}", "columns": ("id_number", "enterprises")})


def test_nothing_delivered_is_not_fresh_and_a_later_delivery_says_nothing_of_today(small_city: City) -> None:
    table = overview(small_city)
    assert contracts.staleness(small_city.catalog, table, {}, DAY).endswith("was ever delivered")
    delivered(small_city, enterprise_registration=DAY + timedelta(days=1))
    assert contracts.newest_deliveries(small_city.con, DAY) == {}
    assert contracts.newest_deliveries(small_city.con, DAY + timedelta(days=1)) == {ENTERPRISES: date(2026, 11, 3)}


def test_freshness_counts_working_days() -> None:
    assert Freshness(working_days=1, sources={MARRIAGES: {"days": 3}}).of(RESIDENTS).working_days == 1
    with pytest.raises(ValueError, match="more than 0"):
        Freshness()
    with pytest.raises(ValueError, match="a table is made once a pass"):
        Freshness(days=1, sources={MARRIAGES: {"minutes": 3}})


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (YAML, "{id_number: base.population}", "{id_numbr: base.population}", "references.id_numbr = 'id_numbr': must"),
        (YAML, "{id_number: base.population}", "{id_number: base.people}", "references.id_number.to = 'base.people'"),
        (
            YAML,
            "{id_number: base.population}",
            "{id_number: {to: base.population, accuse: {resource: public_security.residents, by: nobody}}}",
            "references.id_number.accuse.by = 'nobody': must be one of",
        ),
        (
            YAML,
            "{id_number: base.population}",
            "{id_number: {to: base.population, severty: warn}}",
            "references.id_number.severty: no such field; allowed: accuse, severity, to",
        ),
        (
            YAML,
            "civil_affairs.marriage_registration",
            "civil_affairs.deaths",
            "freshness.sources = 'civil_affairs.deat",
        ),
        (YAML, "{days: 10,", "{", "freshness: state days and working_days, more than 0"),
        (SQL, "base.population p", "population p", "(file) = 'population': must be named with its schema"),
        (SQL, "base.population p", "read_csv('x.csv') p", "(file) = 'read_csv': must not stand in FROM"),
        (SQL, "base.population p", "quality.findings p", "(file) = 'quality.findings': must be one of"),
        (SQL, "base.population p", "codes.people p", "(file) = 'people': must be one of"),
        (SQL, "group by all", "group all", "(file): must be one SELECT: syntax error"),
        (SQL, "group by all", "group by all; select 1", "(file): must be one SELECT: 2 statements"),
    ],
)
def test_a_contract_that_is_not_true_is_refused(tmp_path: Path, file: str, old: str, new: str, told: str) -> None:
    root = Path(shutil.copytree(SMALL, tmp_path / "catalogue"))
    text = (root / file).read_text("utf-8")
    assert old in text
    (root / file).write_text(text.replace(old, new), "utf-8")
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert any(told in str(problem) for problem in caught.value.problems), str(caught.value)


def test_names_in_comments_texts_and_ctes_are_no_tables_and_subqueries_are_read() -> None:
    read = tables_read(
        "-- tax.arrears\nwith a as (from base.people where x = 'tax.loans' and n in (select n from tax.payers))"
        " select (select max(y) from Thematic.one__two) from a, range(3), unnest([1])"
    )
    assert read.tables == {"base.people", "tax.payers", "thematic.one__two"}
    assert (read.bare, read.functions, read.error) == (frozenset(), frozenset(), "")
    assert tables_read("delete from tax.payers").error
