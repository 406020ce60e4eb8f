"""The imported table of holidays: what is taken, what is refused and why, and what it changes."""

from __future__ import annotations

import json
import shutil
from datetime import date

import pytest
from conftest import SMALL_CATALOGUE
from typer.testing import CliRunner

from catalog.holidays import HolidayTableError, read_holidays, write_holidays
from catalog.load import load_catalog
from catalog.reading import CatalogError
from pipelines.cli import app
from quality_checks.working_days import PUBLISHED, Calendar, add_workdays, is_workday

NEW_YEAR = {date(2027, 1, 1): False, date(2027, 1, 3): True}


def announced(year: int, days: dict[date, bool]) -> str:
    listed = [{"name": "元旦", "date": str(day), "isOffDay": not works} for day, works in days.items()]
    return json.dumps({"year": year, "papers": [], "days": listed}, ensure_ascii=False)


def test_a_table_is_read_as_csv_and_as_the_json_of_holiday_cn(tmp_path):
    table = tmp_path / "holidays.csv"
    write_holidays(table, NEW_YEAR)
    assert table.read_text() == "day,kind\n2027-01-01,holiday\n2027-01-03,workday\n"
    (tmp_path / "2027.json").write_text(announced(2027, NEW_YEAR), "utf-8")
    assert read_holidays(table) == read_holidays(tmp_path / "2027.json") == NEW_YEAR


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "day,what\n", r"a\.csv row 1: must hold the columns kind"),
        ("a.csv", "day,kind\n2027-01-01,off\n", r"row 2: kind = 'off': must be one of: holiday, workday"),
        ("a.csv", "day,kind\n2027-13-01,holiday\n", r"row 2: day = '2027-13-01': must be a date"),
        ("a.csv", "day,kind\n2027-01-01,holiday\n2027-01-01,workday\n", "must stand once"),
        ("a.csv", "day,kind\n2027-05-01,holiday\n", "2027-01-01 is missing: a table holds whole years"),
        ("a.json", "[]", "must be"),
        ("a.json", "{", "no JSON"),
        ("a.json", announced(2027, {}), "not out yet"),
    ],
)
def test_what_cannot_be_taken_names_row_value_and_what_is_allowed(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(HolidayTableError, match=message):
        read_holidays(tmp_path / name)


def test_an_imported_year_is_official_and_overrules_the_library_day_by_day():
    calendar = Calendar.with_table({**NEW_YEAR, date(2026, 12, 31): False})
    assert is_workday(date(2027, 1, 1), calendar) == (False, False)
    assert is_workday(date(2027, 1, 3), calendar) == (True, False)
    assert is_workday(date(2026, 12, 31), PUBLISHED) == (True, False)
    assert is_workday(date(2026, 12, 31), calendar) == (False, False)
    assert add_workdays(date(2026, 12, 30), 2) == (date(2027, 1, 1), True)
    assert add_workdays(date(2026, 12, 30), 2, calendar) == (date(2027, 1, 4), False)
    assert is_workday(date(2028, 1, 3), calendar) == (True, True)


def test_the_command_adds_a_year_to_the_catalogue_and_a_broken_table_there_is_named(tmp_path, monkeypatch):
    catalog = tmp_path / "catalog"
    shutil.copytree(SMALL_CATALOGUE, catalog)
    monkeypatch.setenv("SHUYUAN_CATALOG", str(catalog))
    (tmp_path / "2027.json").write_text(announced(2027, NEW_YEAR), "utf-8")
    done = CliRunner().invoke(app, ["calendar", "import", str(tmp_path / "2027.json"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"years": [2027], "days": 2, "changed": 2, "file": str(catalog / "holidays.csv")}
    assert load_catalog(catalog).holidays == NEW_YEAR
    again = CliRunner().invoke(app, ["calendar", "import", str(tmp_path / "2027.json"), "--json"])
    assert json.loads(again.stdout)["changed"] == 0
    shown = CliRunner().invoke(app, ["calendar", "show", "2027", "--json"])
    assert json.loads(shown.stdout)[:1] == [{"day": "2027-01-01", "kind": "holiday"}]
    (catalog / "holidays.csv").write_text("day,kind\n2027-01-01,off\n")
    with pytest.raises(CatalogError, match=r"holidays\.csv row 2: kind = 'off'"):
        load_catalog(catalog)
