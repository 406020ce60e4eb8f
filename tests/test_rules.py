"""Rules generated from column declarations, and what `catalog check` says of SQL that does not bind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from catalog.columns import Column, ColumnType, Identifier
from catalog.load import Catalog, load_catalog
from catalog.models import Resource
from catalog.rules import Lookup, Rule, Severity
from quality_checks import macros, suites, telling
from quality_checks.rules import all_rules, baseline_rules, lookup_rules, pool_rules

RESIDENTS = "public_security.resident_registration"


@pytest.fixture
def con(small_catalog: Catalog) -> Iterator[duckdb.DuckDBPyConnection]:
    """The small catalogue's tables, empty, with the macros; code lists filled."""
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        suites.create_tables(connection, small_catalog)
        for name in small_catalog.codes:
            file = str(small_catalog.code_file(name))
            connection.execute(f"INSERT INTO codes.{name} BY NAME FROM read_csv('{file}', all_varchar = true)")
        yield connection


def by_kind(resource: Resource, catalog: Catalog, column: str) -> dict[str, Rule]:
    before = f"{resource.id}.{column}."
    rules = baseline_rules(resource, catalog)
    return {rule.id.removeprefix(before): rule for rule in rules if rule.id.startswith(before)}


def extended(resource: Resource, **columns: Column) -> Resource:
    return resource.model_copy(update={"columns": {**resource.columns, **columns}})


def broken(con: duckdb.DuckDBPyConnection, rule: Rule, **record: str) -> tuple[bool | None, str | None]:
    """Verdict and suggestion of one rule on one record, given as SQL by column."""
    record = {"_raw": "NULL::MAP(VARCHAR, VARCHAR)", **record}
    row = ", ".join(f"{value} AS {name}" for name, value in record.items())
    offered = telling.offer(rule, suites.verdict(rule))
    found = con.execute(f"SELECT ({suites.verdict(rule)})::BOOLEAN, {offered} FROM (SELECT {row})").fetchone()
    assert found is not None
    return found


def test_each_declaration_of_a_column_gives_its_rule_and_nothing_else(small_catalog: Catalog) -> None:
    resource = small_catalog.resources[RESIDENTS]
    kinds = {column: set(by_kind(resource, small_catalog, column)) for column in resource.columns}
    assert kinds == {
        "id_number": {"required", "identifier"},
        "name": {"required", "length"},
        "sex": {"required", "code"},
        "birth_date": {"required", "type"},
        "marital_status": {"code"},
        "household_size": {"type"},
    }
    assert baseline_rules(resource, small_catalog)[-1].id == f"{RESIDENTS}.key.unique"
    ids = [rule.id for rule in all_rules(resource, small_catalog)]
    assert len(ids) == len(set(ids))
    assert "PSB-001" in ids


def test_only_what_names_the_record_or_its_entity_blocks_it(small_catalog: Catalog) -> None:
    resource = small_catalog.resources["market_regulation.enterprise_registration"]
    severities = {
        rule.id.removeprefix(f"{resource.id}."): rule.severity for rule in baseline_rules(resource, small_catalog)
    }
    assert severities["uscc.required"] is severities["uscc.identifier"] is Severity.block
    assert severities["legal_person_id.identifier"] is Severity.error
    assert severities["name.required"] is Severity.error
    assert severities["name.length"] is Severity.warn


def test_a_blank_breaks_required_alone_and_an_unparsed_value_breaks_type_alone(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    rules = by_kind(small_catalog.resources[RESIDENTS], small_catalog, "birth_date")
    blank = {"birth_date": "NULL::DATE"}
    unparsed = {"birth_date": "NULL::DATE", "_raw": "MAP {'birth_date': '1990-13-01'}"}
    other_unparsed = {"birth_date": "DATE '1990-01-01'", "_raw": "MAP {'household_size': 'three'}"}
    assert [broken(con, rules[kind], **blank)[0] for kind in ("required", "type")] == [False, None]
    assert [broken(con, rules[kind], **unparsed)[0] for kind in ("required", "type")] == [True, False]
    assert [broken(con, rules[kind], **other_unparsed)[0] for kind in ("required", "type")] == [True, True]


def test_a_code_written_as_its_name_or_without_leading_zeros_is_wrong_and_the_code_is_suggested(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    rule = by_kind(small_catalog.resources[RESIDENTS], small_catalog, "sex")["code"]
    assert broken(con, rule, sex="'1'")[0] is True
    assert broken(con, rule, sex="NULL::VARCHAR")[0] is None
    assert broken(con, rule, sex="'男'") == (False, "1")
    assert broken(con, rule, sex="'２'") == (False, "2")
    assert broken(con, rule, sex="'7'") == (False, None)


def test_a_person_number_is_checked_only_where_the_document_is_one_whose_numbers_have_a_check(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    plain = small_catalog.resources[RESIDENTS]
    typed = extended(plain, id_type=Column(title="证件类型", type=ColumnType.text))
    passport = {"id_number": "'E12345678'", "birth_date": "NULL::DATE", "sex": "NULL::VARCHAR"}
    [unconditional] = [r for k, r in by_kind(plain, small_catalog, "id_number").items() if k == "identifier"]
    conditional = by_kind(typed, small_catalog, "id_number")["identifier"]
    assert broken(con, unconditional, **passport)[0] is False
    assert broken(con, conditional, **passport, id_type="'414'")[0] is None
    assert broken(con, conditional, **passport, id_type="NULL::VARCHAR")[0] is None
    assert broken(con, conditional, **passport, id_type="'111'")[0] is False


def test_a_wrong_person_number_is_repaired_with_the_records_own_birth_date_and_sex(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    rule = by_kind(small_catalog.resources[RESIDENTS], small_catalog, "id_number")["identifier"]
    wrong = {"id_number": "'11010519491331002X'", "birth_date": "DATE '1949-12-31'", "sex": "'2'"}
    assert broken(con, rule, **wrong) == (False, "11010519491231002X")
    assert rule.standard == "P02"


def test_a_long_code_list_is_asked_in_its_table(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog, tmp_path: Path
) -> None:
    root = tmp_path / "catalogue"
    shutil.copytree(small_catalog.root, root)
    more = [f"{code},代码{code},Code {code}" for code in range(100, 200)]
    with (root / "codes/gbt_2261_2.csv").open("a", encoding="utf-8") as file:
        file.write("\n".join(more) + "\n")
    catalog = load_catalog(root)
    long = by_kind(catalog.resources[RESIDENTS], catalog, "marital_status")["code"]
    assert "SELECT code FROM codes." in long.condition
    assert broken(con, long, marital_status="'20'")[0] is True
    assert broken(con, long, marital_status="' 20'") == (False, "20")
    assert broken(con, long, marital_status="NULL::VARCHAR")[0] is None


def test_a_certificate_column_is_checked_too(con: duckdb.DuckDBPyConnection, small_catalog: Catalog) -> None:
    column = Column(title="电子证照标识", identifier=Identifier.certificate_id)
    resource = extended(small_catalog.resources[RESIDENTS], certificate=column)
    rule = by_kind(resource, small_catalog, "certificate")["identifier"]
    right = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
    assert broken(con, rule, certificate=f"'{right}'")[0] is True
    assert broken(con, rule, certificate=f"'{right[:-1]}V'") == (False, None)  # another character may be wrong
    assert broken(con, rule, certificate=f"' {right.lower()}'") == (False, right)


def written(**fields: object) -> Rule:
    told = {
        "id": "T-001", "that": "true", "column": "name", "zh": "测试", "en": "test", "indicator": "0104",
        "severity": "error", "source": "test",
    }  # fmt: skip
    return Rule.model_validate({**told, **fields})


def test_rules_that_look_into_libraries_or_other_pools_wait_for_them(small_catalog: Catalog) -> None:
    person = Lookup(to="base.population", by="id_number")
    codes = Lookup(to="codes.gbt_2261_1", by="sex")
    other = Lookup(to="civil_affairs.marriage_registration", by="id_number")
    rules = (
        written(id="A", lookup={"person": person}),
        written(id="B", lookup={"code": codes}),
        written(id="C", lookup={"marriage": other, "code": codes}),
    )
    resource = small_catalog.resources[RESIDENTS].model_copy(update={"rules": rules})
    assert [rule.id for rule in lookup_rules(resource, small_catalog)] == ["A", "C"]
    at_once = [rule.id for rule in pool_rules(resource, small_catalog)]
    assert "B" in at_once
    assert not {"A", "C"} & set(at_once)


def test_the_small_catalogue_has_no_sql_that_does_not_bind(small_catalog: Catalog) -> None:
    assert suites.check_sql(small_catalog) == []


def test_every_text_that_does_not_bind_is_named_with_its_file_and_place(small_catalog: Catalog) -> None:
    resource = small_catalog.resources[RESIDENTS]
    bad = resource.model_copy(
        update={
            "rules": (
                written(id="BAD-1", that="nmae IS NOT NULL"),
                written(
                    id="BAD-2",
                    that="person.nothing = 1",
                    lookup={"person": Lookup(to="base.population", by="id_number")},
                ),
                written(
                    id="GOOD",
                    that="person.name = name",
                    lookup={"person": Lookup(to="base.population", by="id_number")},
                ),
            ),
            "supplies": {**resource.supplies, "sex": "no_such_macro(sex)"},
        }
    )
    catalog = Catalog(
        small_catalog.root, small_catalog.departments, {**small_catalog.resources, RESIDENTS: bad},
        small_catalog.libraries, small_catalog.thematic, small_catalog.products, small_catalog.codes,
    )  # fmt: skip
    problems = suites.check_sql(catalog)
    assert {problem.field for problem in problems} == {"rules.BAD-1", "rules.BAD-2", "supplies.sex"}
    assert {problem.file for problem in problems} == {"departments/public_security/resident_registration.yaml"}
    assert all("no_such_macro" in p.allowed or "nmae" in p.allowed or "nothing" in p.allowed for p in problems)
