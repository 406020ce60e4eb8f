"""The starter catalogue of rules (P01 to K03): every id is implemented, and where libraries disagree, why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from id_validator import validator as id_validator
from pydantic import ValidationError
from stdnum.cn import ric as stdnum_ric
from stdnum.cn import uscc as stdnum_uscc
from stdnum.iso7064 import mod_11_10

from catalog.load import Catalog, load_catalog
from catalog.models import Resource
from quality_checks import punctuality, spatial, suites
from quality_checks.comparison import agreement_rules
from quality_checks.macros import SQL, quote
from quality_checks.rules import all_rules

RULES = {
    **{f"P{n:02}": "person" for n in range(1, 12)},
    **{f"L{n:02}": "legal entity" for n in range(1, 9)},
    **{f"S{n:02}": "spatial" for n in range(1, 5)},
    **{f"C{n:02}": "e-certificate" for n in range(1, 5)},
    **{f"F{n:02}": "any feed" for n in range(1, 7)},
}
# Of the catalogue's own statements: the YAML is refused (K01, K02), or the feed is late from its publication on (K03).
K01 = ("title", "summary", "code", "cycle", "mode", "key", "sharing", "opening", "published", "columns", "department")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Path(__file__).parents[1] / "catalog")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(SQL)
        yield connection


def said(con: duckdb.DuckDBPyConnection, expression: str) -> object:
    row = con.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    return row[0]


def test_every_rule_of_the_starter_catalogue_is_implemented(catalog: Catalog) -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    rules = [rule for resource in catalog.resources.values() for rule in all_rules(resource, catalog)]
    rules += [rule for table in catalog.thematic.values() for rule in table.rules]
    rules += [rule for library in catalog.libraries.values() for rule in agreement_rules(library)]
    for rule in rules:
        if rule.standard:
            found[rule.standard].append(rule.id)
    for kind in vars(punctuality).values():
        if isinstance(kind, punctuality.Kind):
            found[kind.standard].append(f"delivery.{kind.name}")
    assert sorted(set(RULES) - set(found)) == []
    assert sorted(set(found) - set(RULES)) == []  # no mistyped id


def test_severities_of_the_starter_catalogue_are_kept_where_nobody_is_accused_wrongly(catalog: Catalog) -> None:
    """One rule at least has the severity the starter catalogue asks for."""
    wanted = {
        "P01": "block", "P02": "block", "P03": "error", "P04": "error", "P05": "error", "P06": "error", "P07": "info",
        "P09": "warn", "P10": "error", "L01": "block", "L02": "error", "L04": "error", "L05": "error", "L07": "warn",
        "L08": "warn", "S01": "block", "S02": "error", "S03": "error", "S04": "warn", "C01": "block", "C02": "error",
        "C03": "error", "C04": "error", "F05": "error",
    }  # fmt: skip
    rules = [rule for resource in catalog.resources.values() for rule in all_rules(resource, catalog)]
    missing = [
        standard
        for standard, severity in wanted.items()
        if not any((rule.standard, rule.severity.value) == (standard, severity) for rule in rules)
    ]
    assert missing == []


@pytest.mark.parametrize("field", K01)
def test_k01_an_entry_without_a_mandatory_statement_is_refused(catalog: Catalog, field: str) -> None:
    stated = next(iter(catalog.resources.values())).model_dump(by_alias=True, exclude_none=True)
    assert Resource.model_validate(stated)
    with pytest.raises(ValidationError, match=rf"{field}\n\s+Field required"):
        Resource.model_validate({name: value for name, value in stated.items() if name != field})


def test_k02_what_is_not_shared_needs_its_basis_and_what_is_shared_on_condition_the_condition(catalog: Catalog) -> None:
    stated = next(iter(catalog.resources.values())).model_dump(by_alias=True, exclude_none=True)
    for attribute, needs in (("none", "needs a basis"), ("conditional", "needs a condition")):
        with pytest.raises(ValidationError, match=needs):
            Resource.model_validate({**stated, "sharing": {"attribute": attribute}})


def test_k03_an_entry_that_never_delivered_is_late_from_its_publication_on(catalog: Catalog) -> None:
    for resource in catalog.resources.values():
        due = punctuality.due_after(resource, resource.published)
        assert punctuality.judge(resource, [], due)[0].result.failed == 0
        assert punctuality.judge(resource, [], date(due.year + 2, 1, 1))[0].result.failed == 1


# Where python-stdnum and id-validator say otherwise than we do, and why: value, ours, python-stdnum's, id-validator's
# verdict. "raises": the library fails on it.
PERSON = {
    "a Hong Kong resident's permit begins with 810000 (2018)": ("810000199408230021", True, False, True),
    "a Macao resident's permit begins with 820000 (2018)": ("820000199408230023", True, False, True),
    "a Taiwan resident's permit begins with 830000 (2018)": ("830000199201300022", True, False, True),
    "the division is younger than the birth: numbers are given late and anew, so P07 tells it as info": (
        "341504195001010011", True, False, True,
    ),
    "a city led by its province until 1994, in the second history of divisions": (
        "329014199001010019", True, "raises", True,
    ),
    "a division that never was is P06's finding, the number's form is right": (
        "349999199001010015", True, "raises", False,
    ),
    "a birth to come is P05's finding, measured by the delivery's day and not by the clock": (
        "110105209901010012", True, True, False,
    ),
    "more than 130 years of age is P05's finding": ("110105185001010013", True, True, True),
    "old files hold the fifteen digits that were given until 1999": ("110105491231002", True, False, True),
    "a permanent residence card of 2023 begins with 9; its layout is unverified, so nobody is accused": (
        "934156198001010011", True, False, False,
    ),
    "all agree that 29 February 1990 was no day": ("110105199002290018", False, False, False),
}  # fmt: skip
CREDIT = {
    "village collectives have N since amendment 1 of 2016": ("N2341522MF0000005N", True, False),
    "other bodies have Y": ("Y1341522MF0000005H", True, False),
    "bodies of the armed forces have A": ("A1341522MF00000056", True, False),
    "the organisation code inside has its own check digit (GB 11714), and here it is wrong": (
        "91341522MF0000001T", False, True,
    ),
    "the market regulator gives the categories 1, 2, 3 and 9, not 4": ("94341522MF0000005X", False, True),
    "a division that is in no list stays right: 13 in 100 real codes have one of an office or a zone": (
        "91999999MF0000005D", True, True,
    ),
}  # fmt: skip


def verdict(library: Callable[[str], object], value: str) -> bool | str:
    try:
        return bool(library(value))
    except KeyError:
        return "raises"


@pytest.mark.parametrize("why", PERSON)
def test_where_libraries_judge_a_person_number_otherwise_the_reason_is_told(
    con: duckdb.DuckDBPyConnection, why: str
) -> None:
    value, ours, stdnum, validator = PERSON[why]
    assert said(con, f"person_id_ok('{value}')") is ours
    assert verdict(stdnum_ric.is_valid, value) == stdnum
    assert verdict(id_validator.is_valid, value) is validator


@pytest.mark.parametrize("why", CREDIT)
def test_where_python_stdnum_judges_a_credit_code_otherwise_the_reason_is_told(
    con: duckdb.DuckDBPyConnection, why: str
) -> None:
    value, ours, stdnum = CREDIT[why]
    assert said(con, f"uscc_ok('{value}')") is ours
    assert verdict(stdnum_uscc.is_valid, value) is stdnum


@settings(max_examples=40, deadline=None)
@given(some=st.lists(st.text("0123456789", min_size=14, max_size=14), min_size=5, max_size=30))
def test_a_registration_number_of_fifteen_digits_carries_the_check_digit_of_mod_11_10(
    con: duckdb.DuckDBPyConnection, some: list[str]
) -> None:
    numbers = [body + digit for body in some for digit in "0123456789"]
    told = con.execute(
        "SELECT registration_number_ok(x) FROM (SELECT unnest($1::VARCHAR[]) AS x, unnest(range(len($1))) AS n)"
        " ORDER BY n",
        [numbers],
    ).fetchall()
    assert [one for (one,) in told] == [mod_11_10.is_valid(one) for one in numbers]
    assert said(con, "[registration_number_ok('3415002000123'), registration_number_ok(NULL)]") == [None, None]


PHONES = {
    True: ["13912345678", "19912345678", "+86 139 1234 5678", "0564-3312345", "(0551) 62631234", "0564-3312345转801",
           "010-88886666", "400-800-1234", "12345", "110", "95588", "+852 2123 4567", "13912345678/0564-3312345",
           "１３９１２３４５６７８"],
    False: ["1391234567", "139123456789", "12912345678", "3312345", "0564-331", "12", "无", "13912345678;", "abc", ""],
}  # fmt: skip


@pytest.mark.parametrize(("ok", "phone"), [(ok, phone) for ok, phones in PHONES.items() for phone in phones])
def test_a_phone_is_a_mobile_a_landline_with_its_area_code_or_a_service(
    con: duckdb.DuckDBPyConnection, ok: bool, phone: str
) -> None:
    assert said(con, f"phone_ok({quote(phone)})") is ok


def test_an_amount_slipped_by_ten_thousand_is_seen_against_another_source_alone(con: duckdb.DuckDBPyConnection) -> None:
    """However large an amount is, it is never accused by its size."""
    slipped = [("1000000", "100"), ("5000", "0.5"), ("1234500", "123.45"), ("-20000", "-2")]
    usual = [("1000000", "1000000"), ("90000000", "NULL"), ("100", "1000000"), ("0", "0"), ("5", "0"), ("20010", "2")]
    assert [said(con, f"unit_slip({a}, {b})") for a, b in slipped] == [True] * 4
    assert [said(con, f"coalesce(unit_slip({a}, {b}), false)") for a, b in usual] == [False] * 5 + [True]
    assert said(con, "unit_slip(20100, 2)") is False


@pytest.mark.parametrize(
    ("address", "ok"),
    [
        ("安徽省六安市霍邱县城关镇", True),
        ("霍邱县城关镇", True),
        ("六安市霍邱县", True),
        ("城关镇东街1号", True),
        ("合肥市新站区电厂路北安徽省某公司厂房内", True),
        ("霍邱县六安市城关镇", False),
        ("六安市安徽省霍邱县", False),
    ],
)
def test_divisions_in_an_address_stand_in_order(con: duckdb.DuckDBPyConnection, address: str, ok: bool) -> None:
    assert said(con, f"address_in_order('{address}', '安徽省', '六安市', '霍邱县')") is ok
    assert said(con, f"address_in_order('{address}', NULL, NULL, NULL)") is True
    assert said(con, "address_in_order('六安市六安市路1号', '安徽省', '六安市', '六安市')") is True
    assert said(con, "address_in_order(NULL, '安徽省', '六安市', '霍邱县')") is None


def test_outlines_are_judged_as_simple_features_are(catalog: Catalog) -> None:
    square, turned = "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))", "POLYGON ((0 0, 0 4, 4 4, 4 0, 0 0))"
    hole = "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1))"
    several = "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((2 2, 3 2, 3 3, 2 2)))"
    bow, unclosed = "POLYGON ((0 0, 4 4, 4 0, 0 4, 0 0))", "POLYGON ((0 0, 4 0, 4 4, 0 4))"
    with duckdb.connect() as con:
        spatial.prepare(con, [])
        assert said(con, "count(*) FROM duckdb_functions() WHERE function_name = 'outline_ok'") == 0
        spatial.prepare(con, catalog.resources["natural_resources.land_parcels"].rules)

        def each(macro: str, *texts: str) -> list[object]:
            return [said(con, f"{macro}({quote(text)})") for text in texts]

        shapes = (square, turned, hole, several, bow, unclosed, "POINT (1 2)", "POLYGON EMPTY", "界线", "")
        assert each("outline_is_area", *shapes) == [True] * 6 + [False] * 4
        assert each("outline_closed", *shapes[:6]) == [True] * 5 + [False]
        assert each("outline_ok", *shapes) == [True] * 4 + [False] * 6
        assert each("outline_turns_left", square, turned, hole, several) == [True, False, True, True]
        assert each("outline_reversed", square, hole) == [turned, None]
        spike = "POLYGON ((0 0, 4 0, 4 4, 6 4, 4 4, 0 4, 0 0))"
        assert each("outline_ok", *map(str, each("outline_repair", bow, spike))) == [True, True]
        assert said(con, "outline_ok(NULL)") is None
        assert each("outline_repair", unclosed, "界线") == [None, None]
        inside = "in_shape({}, outline_shape({}))"
        points = ["2, 2", "0, 2", "5, 2", "1.5, 1.5"]
        assert [said(con, inside.format(point, quote(hole))) for point in points] == [True, True, False, False]
        assert said(con, inside.format("2, 2", "'界线'")) is None


def test_only_a_catalogue_that_speaks_of_shapes_pays_for_the_spatial_extension(
    catalog: Catalog, small_catalog: Catalog
) -> None:
    def speak(some: Catalog) -> set[str]:
        return {
            name
            for name, resource in some.resources.items()
            if any(map(spatial.speaks_of_shapes, all_rules(resource, some)))
        }

    assert speak(small_catalog) == set()
    assert speak(catalog) == {
        "public_security.standard_address", "civil_affairs.place_names", "natural_resources.land_parcels",
        "natural_resources.division_boundaries",
    }  # fmt: skip


def test_a_point_is_held_against_the_outline_of_its_division_read_once(catalog: Catalog) -> None:
    resource = catalog.resources["civil_affairs.place_names"]
    [rule] = [rule for rule in resource.rules if rule.id == "CAB-502"]
    with duckdb.connect() as con:
        con.execute(SQL)
        suites.create_tables(con, catalog)
        [suite], broken = suites.bind(con, lambda rules: suites.pool_suites(catalog, resource, rules), [rule])
        assert broken == {}
        con.execute(
            "INSERT INTO natural_resources.division_boundaries (division, outline, _record_key) VALUES"
            " ('341522', 'POLYGON ((116 32, 117 32, 116 33, 116 32))', '341522'),"
            " ('341523', 'POLYGON ((117 32, 117 33, 116 33, 117 32))', '341523'), ('341524', 'unreadable', '341524')"
        )
        con.execute(
            "INSERT INTO civil_affairs.place_names (place_code, division, longitude, latitude) VALUES"
            " ('in', '341522', 116.2, 32.2), ('other', '341522', 116.9, 32.9), ('edge', '341522', 116.5, 32.5),"
            " ('nowhere', '341523', 110, 20), ('unknown', '341503', 116.2, 32.2), ('unread', '341524', 116.2, 32.2)"
        )
        told = f"SELECT place_code, {suites.verdict(rule)}, ({rule.suggest}) FROM ({suite.relation})"
        assert {code: (ok, code_there) for code, ok, code_there in con.execute(told).fetchall()} == {
            "in": (True, "341522"), "other": (False, "341523"), "edge": (True, "341522"), "nowhere": (False, None),
            "unknown": (None, "341522"), "unread": (None, "341522"),
        }  # fmt: skip
