"""The shipped catalogue loads, its SQL binds, and it keeps the promises made about it."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
import yaml

from catalog.columns import Level
from catalog.indicators import DIMENSIONS
from catalog.load import Catalog, load_catalog
from catalog.models import Attribute, Resource, ThematicTable
from catalog.rules import Rule, Severity
from catalog.schema_export import KINDS, export, texts
from quality_checks import macros
from quality_checks.suites import check_sql

ROOT = Path(__file__).parents[1] / "catalog"
RESIDENTS = "departments/public_security/resident_registration.yaml"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(ROOT)


def tables_of(catalog: Catalog) -> list[Resource | ThematicTable]:
    return [*catalog.resources.values(), *catalog.thematic.values()]


def written_rules(catalog: Catalog) -> list[Rule]:
    return [rule for table in tables_of(catalog) for rule in table.rules]


# The shipped catalogue


def test_the_city_has_departments_resources_libraries_and_themes_of_every_kind(catalog: Catalog) -> None:
    assert len(catalog.departments) >= 14
    assert len(catalog.resources) >= 34
    assert set(catalog.libraries) == {
        "population",
        "legal_entity",
        "spatial",
        "certificate",
        "division",
        "social_credit",
        "macro_economy",
    }
    assert len(catalog.thematic) == 5
    assert len(catalog.products) >= 6
    assert {department.kind for department in catalog.departments.values()} >= {"municipal", "social", "public_service"}
    assert {resource.mode for resource in catalog.resources.values()} == {"full", "incremental"}
    assert {resource.cycle for resource in catalog.resources.values()} == {
        "daily", "weekly", "monthly", "quarterly", "yearly",
    }  # fmt: skip


def test_every_department_delivers_and_every_code_list_is_used(catalog: Catalog) -> None:
    assert [name for name in catalog.departments if not catalog.of_department(name)] == []
    used = {column.codes for table in tables_of(catalog) for column in table.columns.values()}
    used |= {attribute.codes for library in catalog.libraries.values() for attribute in library.attributes.values()}
    used |= {found.to.removeprefix("codes.") for rule in written_rules(catalog) for found in rule.lookup.values()}
    assert sorted(set(catalog.codes) - used) == []


def test_every_sql_text_of_the_catalogue_binds(catalog: Catalog) -> None:
    assert [str(problem) for problem in check_sql(catalog)] == []


def test_department_codes_are_valid_credit_codes_nobody_else_can_have(catalog: Catalog) -> None:
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        codes = [department.code for department in catalog.departments.values()]
        wrong = con.execute("SELECT code FROM (SELECT unnest(?) AS code) WHERE NOT uscc_ok(code)", [codes]).fetchall()
    assert wrong == []
    assert len(set(codes)) == len(codes) > 10
    assert {code[8:10] for code in codes} == {"XX"}, "organisation codes that are not given out"


def test_numbers_of_persons_are_sensitive_and_names_of_persons_personal(catalog: Catalog) -> None:
    columns = [
        (f"{table.id}.{name}", name, column) for table in tables_of(catalog) for name, column in table.columns.items()
    ]
    numbers = [(place, column.level) for place, name, column in columns if name.endswith("id_number")]
    assert len(numbers) > 25
    assert [place for place, level in numbers if level is not Level.sensitive] == []
    persons = {r.id for r in catalog.resources.values() if r.describes and r.describes.library == "population"}
    names = [
        (f"{name}.name", catalog.resources[name].columns["name"].level)
        for name in persons
        if "name" in catalog.resources[name].columns
    ]
    assert len(names) > 10
    assert [place for place, level in names if level is not Level.personal] == []


def test_every_person_feed_says_which_document_its_number_belongs_to(catalog: Catalog) -> None:
    feeds = [feed for feed in catalog.sources_of("population") if feed.describes and feed.describes.by]
    assert len(feeds) > 10
    for feed in feeds:
        assert feed.describes is not None
        assert feed.describes.by is not None
        assert feed.describes.id_type == feed.id_type_of(feed.describes.by) == "id_type", feed.id


def test_names_births_and_legal_names_are_compared_between_three_departments(catalog: Catalog) -> None:
    def speakers(library: str, attribute: str) -> set[str]:
        return {r.department for r in catalog.sources_of(library) if attribute in r.supplies}

    for library, attribute in [
        ("population", "name"), ("population", "birth_date"), ("population", "address"), ("population", "death_date"),
        ("legal_entity", "name"), ("legal_entity", "status"),
    ]:  # fmt: skip
        assert len(speakers(library, attribute)) >= 3, attribute
        assert catalog.libraries[library].attributes[attribute].compare is not None


def test_rules_are_sentences_with_an_owner_and_cover_all_dimensions(catalog: Catalog) -> None:
    rules = written_rules(catalog)
    assert len(rules) > 100
    for rule in rules:
        assert re.search(r"[\u4e00-\u9fff]{4}", rule.zh), rule.id
        assert len(rule.en.split()) >= 4, rule.id
        assert not rule.en.endswith("."), rule.id
        assert re.fullmatch(r"[A-Z]{3}-\d{3}", rule.id), rule.id
    assert {rule.dimension for rule in rules} >= set(DIMENSIONS) - {"freshness"}


def test_the_starter_rules_are_there(catalog: Catalog) -> None:
    found = {rule.standard for rule in written_rules(catalog)}
    found |= {a.standard for library in catalog.libraries.values() for a in library.attributes.values()}
    wanted = {f"P{n:02}" for n in range(2, 12)} | {f"L{n:02}" for n in range(2, 9)}
    wanted |= {f"S{n:02}" for n in range(1, 5)} | {f"C{n:02}" for n in range(1, 5)}
    assert sorted(wanted - found) == []


def test_only_a_point_outside_the_country_keeps_a_record_out_of_its_library(catalog: Catalog) -> None:
    blocking = {rule.standard for rule in written_rules(catalog) if rule.severity is Severity.block}
    assert blocking == {"S01"}


def test_thematic_tables_store_no_aggregate_that_the_lake_would_round(catalog: Catalog, tmp_path: Path) -> None:
    lake_rounds = {"HUGEINT", "UHUGEINT", "DOUBLE", "FLOAT"}
    with duckdb.connect() as con:
        con.execute(macros.SQL)
        create_sources(con, catalog)
        for table in catalog.thematic.values():
            made = {row[0]: row[1] for row in con.execute(f"DESCRIBE {table.sql}").fetchall()}
            assert list(made) == list(table.columns), table.id
            assert set(made.values()) & lake_rounds == set(), table.id
            assert made == {name: column.sql_type for name, column in table.columns.items()}, table.id


def create_sources(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    """Empty tables that thematic SQL reads."""
    con.execute("ATTACH ':memory:' AS city; USE city; CREATE SCHEMA base")
    for department in catalog.departments:
        con.execute(f"ATTACH ':memory:' AS {department}")
    for resource in catalog.resources.values():
        columns = ", ".join(f'"{name}" {column.sql_type}' for name, column in resource.columns.items())
        con.execute(f"CREATE TABLE {resource.id} ({columns}, _record_key VARCHAR, _as_of DATE)")
    for library in catalog.libraries.values():
        columns = ", ".join(f'"{name}" {a.as_column().sql_type}' for name, a in library.attributes.items())
        con.execute(f'CREATE TABLE base.{library.name} ("{library.key}" VARCHAR, {columns}, _sources INTEGER)')


def test_a_value_of_the_catalogue_cannot_change(catalog: Catalog) -> None:
    resource: Resource = catalog.resources["tax.tax_arrears"]
    with pytest.raises(ValueError, match="frozen"):
        resource.cycle = "daily"  # type: ignore[assignment,misc]  # the point of the test


# Code lists


def code_rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "codes" / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_code_has_a_name_and_small_lists_have_english_ones(catalog: Catalog) -> None:
    for name in catalog.codes:
        rows = code_rows(name)
        assert rows, name
        assert [row["code"] for row in rows if not row["zh"].strip() or row["code"] != row["code"].strip()] == [], name
        if name != "gbt_2260":
            assert [row["code"] for row in rows if not row["en"].strip()] == [], name


def test_industries_keep_their_leading_zeros_and_are_complete() -> None:
    codes = [row["code"] for row in code_rows("gbt_4754")]
    assert sum(code.isalpha() for code in codes) == 20
    assert [code for code in codes if code.isdigit()] == [f"{n:02}" for n in range(1, 98)]


def test_divisions_know_their_history_and_the_permits_prefixes() -> None:
    rows = {row["code"]: row for row in code_rows("gbt_2260")}
    assert len(rows) > 6400
    assert rows["342423"]["valid_to"] == "1999"
    assert rows["342423"]["successor"] == "341522"
    assert rows["342401"]["successor"] == "341502;341503"
    assert rows["341522"] == {
        "code": "341522", "zh": "霍邱县", "en": "Huoqiu", "valid_from": "1999", "valid_to": "", "successor": "",
    }  # fmt: skip
    assert {"810000", "820000", "830000"} <= rows.keys()
    successors = {code for row in rows.values() for code in row["successor"].split(";") if code}
    assert sorted(successors - rows.keys()) == []


# Schemas


def yaml_files() -> Iterator[tuple[str, Path]]:
    """Every YAML file of the catalogue with its kind."""
    places = {
        "jurisdiction.yaml": "jurisdiction",
        "libraries": "library",
        "publish": "product",
        "codes": "code_list",
        "thematic": "thematic",
    }
    for path in sorted(ROOT.rglob("*.yaml")):
        folder = path.relative_to(ROOT).parts[0]
        yield places.get(folder, "department" if path.name == "department.yaml" else "resource"), path


def as_json(value: Any) -> Any:
    """YAML's dates as JSON knows them."""
    return json.loads(json.dumps(value, default=date.isoformat))


def test_the_schema_files_are_up_to_date(tmp_path: Path) -> None:
    export(tmp_path / "schema")
    for name, text in texts().items():
        assert (tmp_path / "schema" / name).read_text("utf-8") == text
        assert (ROOT / "schema" / name).read_text("utf-8") == text, "run python -m catalog.schema_export"
    assert sorted(path.name for path in (ROOT / "schema").iterdir()) == sorted(texts())


def test_every_yaml_file_fits_its_schema_and_names_it() -> None:
    checkers = {kind: jsonschema.Draft202012Validator(json.loads(texts()[f"{kind}.json"])) for kind in KINDS}
    seen: Counter[str] = Counter()
    for kind, path in yaml_files():
        text = path.read_text("utf-8")
        errors = [error.message for error in checkers[kind].iter_errors(as_json(yaml.safe_load(text)))]
        assert errors == [], path
        stated = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", text.splitlines()[0])
        assert stated, f"{path} must begin with its schema"
        assert (path.parent / stated[1]).resolve() == ROOT / "schema" / f"{kind}.json", path
        seen[kind] += 1
    assert set(seen) == set(KINDS)


def test_a_schema_refuses_a_mistyped_field() -> None:
    checker = jsonschema.Draft202012Validator(json.loads(texts()["resource.json"]))
    data = as_json(yaml.safe_load((ROOT / RESIDENTS).read_text("utf-8")))
    data["columns"]["name"]["requird"] = True
    assert [error.message for error in checker.iter_errors(data)] == [
        "Additional properties are not allowed ('requird' was unexpected)"
    ]


def test_the_example_of_an_authority_is_one_that_may_be_written() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", (ROOT.parent / "docs" / "authority.md").read_text("utf-8"), re.DOTALL)
    read = {name: Attribute(**stated) for name, stated in yaml.safe_load(example)["attributes"].items()}
    assert read["name"].authorities(date(2026, 11, 2)) == {"public_security"}
    assert read["marital_status"].authorities(date(2017, 12, 31)) == {"public_security"}
    assert read["marital_status"].authorities(date(2018, 1, 1)) == {"civil_affairs"}
    assert read["registered_capital"].authorities(date(2026, 11, 2)) == {"market_regulation", "civil_affairs"}
    assert read["phone"].authority is None
