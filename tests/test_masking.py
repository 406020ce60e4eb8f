"""What of a finding others than its own department see: every value, key and quotation by the level of its column."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from test_reports import CANARY_ID, CANARY_NAME, DAY_2, RESIDENTS, filled
from test_rules import written

from assets import exports, orders
from catalog.load import Catalog
from quality_checks import macros
from quality_checks.masking import masked_findings, reason_open
from resources.city import City

__all__ = ["filled"]

ENTERPRISES = "market_regulation.enterprise_registration"
FIELDS = "record_key, observed_value, suggested_value, reason"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        connection.execute("""
            CREATE SCHEMA quality;
            CREATE TABLE quality.findings (rule_id VARCHAR, department VARCHAR, resource VARCHAR, record_key VARCHAR,
                observed_value VARCHAR, suggested_value VARCHAR, reason VARCHAR)""")
        yield connection


def seen(con: duckdb.DuckDBPyConnection, catalog: Catalog, rule: str, resource: str, *told: str) -> tuple[str, ...]:
    """How others see one finding."""
    con.execute("DELETE FROM quality.findings")
    con.execute("INSERT INTO quality.findings VALUES ($1, $2, $3, $4, $5, $6, $7)", [rule, *resource.split("."), *told])
    [row] = con.execute(f"SELECT {FIELDS} FROM ({masked_findings(con, catalog)})").fetchall()
    return row


def test_a_finding_is_masked_by_the_levels_of_what_it_tells(
    con: duckdb.DuckDBPyConnection, small_catalog: Catalog
) -> None:
    told = ("91341502MA2XYT1234", "11010519491231002X", "110105194912310021", "应为有效号码：共「18」位")
    shown = (told[0], "110***", "110***", told[3])  # no column may show what is shaped like a person's number
    masked = ("110*************2X", "110*************21", "应为有效号码：共「***」位")
    about = {
        f"{ENTERPRISES}.uscc.identifier": shown,
        f"{ENTERPRISES}.legal_person_id.identifier": (told[0], *masked),
        "legal_entity.name.agrees": shown,
        "no.longer.there": (told[0], "1***", "1***", masked[-1]),
        f"{ENTERPRISES}.delivery.late": shown,
    }
    assert {rule: seen(con, small_catalog, rule, ENTERPRISES, *told) for rule in about} == about
    key = "913*************34"
    assert seen(con, small_catalog, "PSB-001", RESIDENTS, *told) == (key, "1***", "1***", masked[-1])
    assert seen(con, small_catalog, f"{RESIDENTS}.sex.code", RESIDENTS, *told) == (key, *shown[1:])
    assert seen(con, small_catalog, "any", "no_such.resource", *told)[0] == key


@pytest.mark.parametrize(
    ("stated", "is_open"),
    [
        ({"that": "household_size > 0", "column": "household_size"}, True),
        ({"that": "household_size > length(name)", "column": "household_size"}, False),
        ({"that": "household_size > 0", "column": "household_size", "because": "姓名{name}"}, False),
        ({"that": "sex = '1'", "column": "sex", "because": "原值{_raw['birth_date']}"}, False),
        ({"that": "sex = '1'", "column": "sex", "because": "记录{_record_key}"}, False),
        ({"that": None, "denied": {"same": ["sex"], "never": "true"}, "column": "sex"}, False),  # tells another's key
        ({"that": None, "unique": ["sex", "name"], "column": "sex"}, False),
        ({"that": "sex = '1'", "column": "sex", "because": "{p.name}",
          "lookup": {"p": {"to": "base.population", "by": "id_number"}}}, False),
    ],
)  # fmt: skip
def test_a_reason_is_open_when_all_it_may_quote_is(
    small_catalog: Catalog, stated: dict[str, object], is_open: bool
) -> None:
    assert reason_open(written(**stated), small_catalog.resources[RESIDENTS].columns) is is_open


def content(file: Path) -> str:
    """All text of a file: of a zipped one its parts, of Parquet its values."""
    if file.suffix == ".parquet":
        return str(duckdb.read_parquet(str(file)).fetchall())
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as parts:
            return "".join(parts.read(name).decode() for name in parts.namelist())
    return file.read_text("utf-8")


def test_no_personal_value_stands_in_an_exported_file_unless_asked_for(filled: City, tmp_path: Path) -> None:
    for ending in exports.FORMATS:
        exports.export_findings(filled, tmp_path / f"findings{ending}")
        exports.export_findings(filled, tmp_path / f"unmasked{ending}", unmasked=True)
    for ending in orders.FORMATS:
        orders.export_orders(filled, tmp_path / f"orders{ending}", DAY_2)
    texts = {file.name: content(file) for file in tmp_path.iterdir()}
    assert len(texts) == 8
    found = {name for name, text in texts.items() if CANARY_ID in text or CANARY_NAME in text}
    assert found == {f"unmasked{ending}" for ending in exports.FORMATS}
    assert "出生日期不符：姓名为「***」" in texts["findings.csv"]
    ids = {row[0] for row in filled.con.execute("SELECT finding_id FROM quality.findings").fetchall()}
    assert all(one in texts["unmasked.csv"] for one in ids)  # a digest of the key: whoever tries all keys knows it
    assert not any(one in texts["findings.csv"] for one in ids)
