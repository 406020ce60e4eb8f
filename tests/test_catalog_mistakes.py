"""A mistake in a catalogue is told by file, field, value and what is allowed, and all mistakes at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from catalog.load import load_catalog
from catalog.reading import CatalogError, CatalogProblem

SMALL = Path(__file__).parent / "small_catalogue"
RESIDENTS = "departments/public_security/resident_registration.yaml"
MARRIAGES = "departments/civil_affairs/marriage_registration.yaml"
LIBRARY = "libraries/population.yaml"
MARITAL = "authority: civil_affairs, substitutes: [public_security]"
BOTH = "[{'department': 'civil_affairs', 'from': '2018-01-01'}, {'department': 'public_security', 'to': '2018-01-01'}]"
IDENTITY = "identity: {compare: {name: {as: name}, birth_date: {as: date}}, sure: [[name, birth_date]]"
OVERVIEW = "thematic/credit_village/resident_overview"
WRITTEN_RULES = "rules:" + (SMALL / f"{OVERVIEW}.yaml").read_text("utf-8").partition("rules:")[2]
COLUMNS = "birth_date, household_size, id_number, marital_status, name, sex"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of the small catalogue to spoil."""
    return Path(shutil.copytree(SMALL, tmp_path / "catalogue"))


def spoil(root: Path, file: str, old: str, new: str) -> None:
    text = (root / file).read_text("utf-8")
    assert text.count(old) == 1, f"{file} must hold {old!r} once"
    (root / file).write_text(text.replace(old, new), "utf-8")


def problems(root: Path) -> list[CatalogProblem]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    return caught.value.problems


# (file, what stood there, what stands there now), and the problem told; `allowed` is the beginning of what is told.
PLANTED = {
    "mistyped field": (
        (RESIDENTS, "type: text, max_length: 50, required: true", "type: text, max_length: 50, requird: true"),
        (
            RESIDENTS,
            "columns.name.requird",
            "",
            "no such field; allowed: aliases, codes, delivered_unit, excel_dates, form, identifier, level, ",
        ),
    ),
    "unknown code list": (
        (RESIDENTS, "codes: gbt_2261_1", "codes: gbt_2261_3"),
        (RESIDENTS, "columns.sex.codes", "'gbt_2261_3'", "must be one of: gbt_2261_1, gbt_2261_2"),
    ),
    "unquoted octal code": (
        (RESIDENTS, 'indicator: "0401"', "indicator: 0401"),
        (
            RESIDENTS,
            "rules.0.indicator",
            "257",
            "Input should be a valid string (quote it: an unquoted code is read as a number)",
        ),
    ),
    "unknown indicator": (
        (RESIDENTS, 'indicator: "0401"', 'indicator: "0499"'),
        (RESIDENTS, "rules.0.indicator", "'0499'", "not an indicator of GB/T 36344-2018; allowed: 0101, 0102"),
    ),
    "unknown cycle": (
        (RESIDENTS, "cycle: daily", "cycle: fortnightly"),
        (
            RESIDENTS,
            "cycle",
            "'fortnightly'",
            "Input should be 'real_time', 'hourly', 'daily', 'every_day', 'weekly', 'monthly', 'quarterly' or 'yearly'",
        ),
    ),
    "max_age with two clocks": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nmax_age: {minutes: 15, days: 1}"),
        (RESIDENTS, "max_age", "", "state either minutes, or days and working_days"),
    ),
    "an accepted volume without its reason": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nvolume: {accepted: [{from: 2026-01-01}]}"),
        (RESIDENTS, "volume.accepted.0.reason", "", "Field required"),
    ),
    "an accepted season that ends before it begins": (
        (
            RESIDENTS,
            "cycle: daily",
            "cycle: daily\nvolume: {accepted: [{from: 2026-02-01, to: 2026-01-01, reason: 春节}]}",
        ),
        (RESIDENTS, "volume.accepted.0", "", "to = 2026-01-01 is before from = 2026-02-01"),
    ),
    "layout with a mistyped field": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nlayout: {delimeter: ';'}"),
        (RESIDENTS, "layout.delimeter", "", "no such field; allowed: delimiter, encoding, escape, fields, first_row,"),
    ),
    "layout of another kind of file": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nlayout: {kind: json, delimiter: ';'}"),
        (RESIDENTS, "layout", "", "kind json has no delimiter (of csv, tsv)"),
    ),
    "layout in an encoding nobody knows": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nlayout: {encoding: gbk2}"),
        (RESIDENTS, "layout.encoding", "'gbk2'", "not a text encoding; allowed: utf-8, gb18030, utf-16, big5"),
    ),
    "layout whose first row is the header": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nlayout: {header_row: 3, first_row: 3}"),
        (RESIDENTS, "layout", "", "first_row = 3 is not below the header, which ends in row 3"),
    ),
    "layout that speaks of no column": (
        (RESIDENTS, "cycle: daily", "cycle: daily\nlayout: {geometry: place}"),
        (RESIDENTS, "layout.geometry", "'place'", f"must be one of: {COLUMNS}"),
    ),
    "not shared without legal basis": (
        (RESIDENTS, "sharing: {attribute: unconditional}", "sharing: {attribute: none}"),
        (RESIDENTS, "sharing", "", "attribute none needs a basis: law, regulation or State Council decision (art. 15)"),
    ),
    "conditional without condition": (
        (RESIDENTS, "sharing: {attribute: unconditional}", "sharing: {attribute: conditional}"),
        (RESIDENTS, "sharing", "", "attribute conditional needs a condition (scope and purpose, Order 809 art. 15)"),
    ),
    "closed without reason": (
        (RESIDENTS, "opening: {class: none, reason: personal information}", "opening: {class: none}"),
        (RESIDENTS, "opening", "", "class none needs a reason"),
    ),
    "key that is no column": (
        (RESIDENTS, "key: [id_number]", "key: [id_number, sex, village]"),
        (RESIDENTS, "key", "'village'", f"must be one of: {COLUMNS}"),
    ),
    "key that may be all blank": (
        (RESIDENTS, "identifier: person_id, required: true", "identifier: person_id"),
        (RESIDENTS, "key", "['id_number']", "at least one of its columns must have required: true"),
    ),
    "supplies an attribute the library lacks": (
        (RESIDENTS, "marital_status: marital_status", "marriage: marital_status"),
        (RESIDENTS, "supplies", "'marriage'", "must be one of: birth_date, marital_status, name, sex"),
    ),
    "document column that is not there": (
        (RESIDENTS, "by: id_number}", "by: id_number, id_type: document}"),
        (RESIDENTS, "describes.id_type", "'document'", f"must be one of: {COLUMNS}"),
    ),
    "lookup into a library that is not there": (
        (RESIDENTS, "    that: birth", "    lookup: {person: {to: base.people, by: id_number}}\n    that: birth"),
        (RESIDENTS, "rules.PSB-001.lookup.person.to", "'people'", "must be one of: legal_entity, population"),
    ),
    "lookup named like a column": (
        (RESIDENTS, "    that: birth", "    lookup: {sex: {to: base.population, by: id_number}}\n    that: birth"),
        (RESIDENTS, "rules.PSB-001.lookup.sex", "'sex'", "must not be the name of a column"),
    ),
    "field stated twice": (
        (RESIDENTS, "title: {zh: 户籍人口信息, en: Resident registration}", "title: {zh: 一, en: a}\ncycle: daily"),
        (RESIDENTS, "line 5", "", "not readable as YAML: key 'cycle' stands twice"),
    ),
    "name stated in the file": (
        (RESIDENTS, 'code: "1/01/001/000001"', "name: residents"),
        (RESIDENTS, "name", "'residents'", "leave it out: the file's place says it"),
    ),
    "catalogue code given twice": (
        (MARRIAGES, 'code: "1/01/002/000001"', 'code: "1/01/001/000001"'),
        (RESIDENTS, "code", "'1/01/001/000001'", f"must be unique, stands in {MARRIAGES} too"),
    ),
    "unquoted provider code": (
        ("departments/civil_affairs/department.yaml", 'code: "11341500003166002B"', "code: 011"),
        (
            "departments/civil_affairs/department.yaml",
            "code",
            "9",
            "Input should be a valid string (quote it: an unquoted code is read as a number)",
        ),
    ),
    "authority that supplies nothing": (
        (LIBRARY, "codes: gbt_2261_1, authority: public_security", "codes: gbt_2261_1, authority: civil_affairs"),
        (
            LIBRARY,
            "attributes.sex.authority",
            "'civil_affairs'",
            "must be one of: public_security, public_security.resident_registration",
        ),
    ),
    "substitute that supplies nothing": (
        (LIBRARY, "authority: public_security, substitutes: [civil_affairs],", "authority: null, substitutes: [tax],"),
        (LIBRARY, "attributes.name.substitutes", "'tax'", "must be one of: civil_affairs, civil_affairs.marriage_"),
    ),
    "substitute of itself": (
        (LIBRARY, "substitutes: [civil_affairs]", "substitutes: [public_security, civil_affairs]"),
        (LIBRARY, "attributes.name.substitutes", "'public_security'", "is the authority at all times"),
    ),
    "coverage by a source of another library": (
        (LIBRARY, "in: public_security.resident_registration", "in: market_regulation.enterprise_registration"),
        (
            LIBRARY,
            "coverage.married_registered.in",
            "'market_regulation.enterprise_registration'",
            "must be one of: civil_affairs.marriage_registration, public_security.resident_registration",
        ),
    ),
    "substitute named twice": (
        (LIBRARY, "substitutes: [civil_affairs]", "substitutes: [civil_affairs, civil_affairs]"),
        (LIBRARY, "attributes.name", "", "substitutes: civil_affairs stands twice"),
    ),
    "nobody recognised without a number": (
        (RESIDENTS, "library: population, by: id_number", "library: population"),
        (RESIDENTS, "describes.by", "", "without it the library's identity must compare what records say: nothing"),
    ),
    "hint at nothing that is compared": (
        (RESIDENTS, "supplies:", "hints: {mother: name}\nsupplies:"),
        (RESIDENTS, "hints", "'mother'", "must be one of: "),
    ),
    "block of nothing that is compared": (
        (LIBRARY, "attributes:", f"{IDENTITY}, block: [[phone]]}}\nattributes:"),
        (
            LIBRARY,
            "identity.block",
            "'phone'",
            "names no feature; allowed: birth_date, birth_date_house, birth_date_letters, name",
        ),
    ),
    "two authorities at all times": (
        (LIBRARY, MARITAL, "authority: [civil_affairs, public_security]"),
        (
            LIBRARY,
            "attributes.marital_status.authority",
            "['civil_affairs', 'public_security']",
            "one authority at a time: civil_affairs (at all times) and public_security (at all times) overlap;",
        ),
    ),
    "two authorities on one day": (
        (
            LIBRARY,
            MARITAL,
            f"authority: {BOTH}",
        ),
        (
            LIBRARY,
            "attributes.marital_status.authority",
            BOTH,
            "one authority at a time: public_security (to 2018-01-01) and civil_affairs (from 2018-01-01) overlap;",
        ),
    ),
    "two authorities of one kind of entity": (
        (LIBRARY, MARITAL, 'authority: {by: "left(key, 1)", of: {"1": [civil_affairs, public_security]}}'),
        (
            LIBRARY,
            "attributes.marital_status.authority.of.1",
            "['civil_affairs', 'public_security']",
            "one authority at a time: civil_affairs (at all times) and public_security (at all times) overlap;",
        ),
    ),
    "authority of no kind": (
        (LIBRARY, MARITAL, 'authority: {by: "left(key, 1)"}'),
        (LIBRARY, "attributes.marital_status.authority", "", "state a department, departments with periods, or by and"),
    ),
    "period that ends before it begins": (
        (LIBRARY, MARITAL, 'authority: {department: civil_affairs, from: "2018-01-02", to: "2018-01-01"}'),
        (LIBRARY, "attributes.marital_status.authority.0", "", "to = 2018-01-01 is before from = 2018-01-02"),
    ),
    "authority not stated": (
        (LIBRARY, "codes: gbt_2261_1, authority: public_security", "codes: gbt_2261_1"),
        (LIBRARY, "attributes.sex.authority", "", "Field required"),
    ),
    "mistyped field of an authority": (
        (LIBRARY, MARITAL, 'authority: [{department: civil_affairs, form: "2018-01-01"}]'),
        (
            LIBRARY,
            "attributes.marital_status.authority.0.form",
            "",
            "no such field; allowed: department, from, to",
        ),
    ),
    "tolerance of a text": (
        (LIBRARY, "codes: gbt_2261_1, authority", "codes: gbt_2261_1, tolerance: 1, authority"),
        (LIBRARY, "attributes.sex", "", "tolerance is allowed on integer, decimal and date only, not on text"),
    ),
    "tolerance of part of a day": (
        (LIBRARY, "type: date, authority", "type: date, tolerance: 0.5, authority"),
        (LIBRARY, "attributes.birth_date", "", "tolerance = 0.5 of a date is a number of whole days"),
    ),
    "doubted by one": (
        (LIBRARY, "type: date, authority", "type: date, doubted_by: 1, authority"),
        (LIBRARY, "attributes.birth_date.doubted_by", "1", "Input should be greater than or equal to 2"),
    ),
    "attribute named as a column of every library": (
        (LIBRARY, "  sex:            {", "  ended_on:       {"),
        (LIBRARY, "attributes.ended_on", "'ended_on'", "must be none of "),
    ),
    "table read but not listed": (
        (f"{OVERVIEW}.yaml", "reads: [base.population, base.legal_entity]", "reads: [base.population]"),
        (f"{OVERVIEW}.yaml", "reads", "'base.legal_entity'", "must be listed: resident_overview.sql reads it"),
    ),
    "thematic table that reads itself": (
        (
            f"{OVERVIEW}.yaml",
            "reads: [base.population, base.legal_entity]",
            "reads: [base.population, base.legal_entity, credit_village.resident_overview]",
        ),
        (
            f"{OVERVIEW}.yaml",
            "reads",
            "'credit_village.resident_overview <- credit_village.resident_overview'",
            "must not be a circle",
        ),
    ),
    "table without a rule": (
        (f"{OVERVIEW}.yaml", WRITTEN_RULES, ""),
        (f"{OVERVIEW}.yaml", "rules", "", "at least one: a table without a rule is never checked"),
    ),
    "no grain": (
        (f"{OVERVIEW}.yaml", "grain: One row per resident.", "grain: Residents"),
        (f"{OVERVIEW}.yaml", "grain", "'Residents'", "String should match pattern '^One row per '"),
    ),
    "accuses by a column that is not there": (
        (f"{OVERVIEW}.yaml", "by: id_number}", "by: record}"),
        (
            f"{OVERVIEW}.yaml",
            "rules.CRV-001.accuse.by",
            "'record'",
            "must be one of: enterprises, id_number, marital_status, name",
        ),
    ),
    "rule id given twice": (
        (f"{OVERVIEW}.yaml", "id: CRV-001", "id: PSB-001"),
        (f"{OVERVIEW}.yaml", "rules.id", "'PSB-001'", f"must be unique, stands in {RESIDENTS} too"),
    ),
    "product column that is not there": (
        ("publish/residents.yaml", "columns: [id_number, name", "columns: [id_number, surname"),
        (
            "publish/residents.yaml",
            "columns",
            "'surname'",
            "must be one of: birth_date, id_number, marital_status, name, sex",
        ),
    ),
    "clear without purpose": (
        ("publish/residents.yaml", "reads: base.population", "reads: base.population\nclear: [name]"),
        ("publish/residents.yaml", "(file)", "", "clear columns need a purpose (Order 809 art. 20)"),
    ),
    "clear column that is not published": (
        (
            "publish/residents.yaml",
            "reads: base.population",
            "reads: base.population\npurpose: census\nclear: [birth_date]",
        ),
        ("publish/residents.yaml", "clear", "'birth_date'", "must be one of: id_number, marital_status, name, sex"),
    ),
    "code list without codes": (
        ("codes/gbt_2261_1.csv", "code,zh,en", "id,zh,en"),
        ("codes/gbt_2261_1.csv", "(header)", "['id', 'zh', 'en']", "must hold the columns code"),
    ),
    "code given twice": (
        ("codes/gbt_2261_1.csv", "2,女性,Female", "1,女性,Female"),
        ("codes/gbt_2261_1.csv", "code", "'1'", "must stand once, stands 2 times"),
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_told_by_file_field_value_and_what_is_allowed(planted: Path, mistake: str) -> None:
    change, (file, field, value, allowed) = PLANTED[mistake]
    spoil(planted, *change)
    told = [p.allowed for p in problems(planted) if (p.file, p.field, p.value) == (file, field, value)]
    assert len(told) == 1
    assert told[0].startswith(allowed)


def test_the_catalogue_the_mistakes_are_planted_in_has_none(planted: Path) -> None:
    assert load_catalog(planted).resources.keys() == load_catalog(SMALL).resources.keys()


@pytest.mark.parametrize("file", [LIBRARY, RESIDENTS, f"{OVERVIEW}.yaml", "departments/civil_affairs/department.yaml"])
def test_what_stands_in_a_file_that_cannot_be_read_is_not_told_missing_elsewhere(planted: Path, file: str) -> None:
    (planted / file).write_text("title: [", "utf-8")
    assert [problem.file for problem in problems(planted)] == [file]


def test_all_mistakes_are_told_at_once(planted: Path) -> None:
    spoil(planted, RESIDENTS, "cycle: daily", "cycle: fortnightly")
    spoil(planted, "publish/residents.yaml", "reads: base.population", "reads: base.people")
    spoil(planted, "codes/gbt_2261_1.csv", "2,女性,Female", "1,女性,Female")
    spoil(planted, "libraries/legal_entity.yaml", "lead: market_regulation", "lead: weather")
    with pytest.raises(CatalogError) as caught:
        load_catalog(planted)
    told = {(problem.file, problem.field) for problem in caught.value.problems}
    assert told == {
        (RESIDENTS, "cycle"),
        ("publish/residents.yaml", "reads"),
        ("codes/gbt_2261_1.csv", "code"),
        ("libraries/legal_entity.yaml", "lead"),
    }
    first, *lines = str(caught.value).splitlines()
    assert first == f"{len(lines)} problems in the catalogue:"
    assert any(
        line.startswith(f"{RESIDENTS}: cycle = 'fortnightly': Input should be 'real_time', 'hourly', 'daily'")
        for line in lines
    )


def test_a_reserved_name_is_no_department(planted: Path) -> None:
    (planted / "departments/civil_affairs").rename(planted / "departments/quality")
    told = {(problem.file, problem.field, problem.value): problem.allowed for problem in problems(planted)}
    assert told["departments/quality", "(folder)", "'quality'"].startswith("reserved; not one of: base, city, codes")


def test_a_department_without_its_own_file_is_told(planted: Path) -> None:
    (planted / "departments/civil_affairs/department.yaml").unlink()
    told = {(problem.file, problem.field): problem.allowed for problem in problems(planted)}
    assert told["departments/civil_affairs", "(folder)"] == "needs department.yaml (title, code, sharing office)"


def test_a_thematic_table_without_its_sql_is_told(planted: Path) -> None:
    (planted / f"{OVERVIEW}.sql").unlink()
    assert problems(planted) == [
        CatalogProblem(f"{OVERVIEW}.yaml", "(file)", "", "needs resident_overview.sql beside it")
    ]


def test_a_code_list_without_its_rows_is_told(planted: Path) -> None:
    (planted / "codes/gbt_2261_1.csv").unlink()
    assert problems(planted) == [
        CatalogProblem("codes/gbt_2261_1.yaml", "(file)", "", "needs gbt_2261_1.csv beside it")
    ]


@pytest.mark.parametrize(
    "name",
    ["departments/civil_affairs/deaths.yml", "departments/deaths.yaml", "thematic/deaths.sql", "codes/deaths.csv"],
)
def test_a_file_that_nothing_reads_is_told(planted: Path, name: str) -> None:
    (planted / name).write_text("", "utf-8")
    assert problems(planted) == [
        CatalogProblem(name, "(file)", "", "nothing reads it here: check folder, name and ending (.yaml)")
    ]


def test_text_that_is_no_yaml_is_told(planted: Path) -> None:
    (planted / RESIDENTS).write_text("cycle: daily\ntitle: zh: 一\n", "utf-8")
    told = [problem for problem in problems(planted) if problem.file == RESIDENTS]
    assert [problem.field for problem in told] == ["line 2"]
    assert told[0].allowed == "not readable as YAML: mapping values are not allowed in this context"


def test_an_empty_folder_is_no_catalogue(tmp_path: Path) -> None:
    assert [problem.file for problem in problems(tmp_path)] == ["departments"]


def test_bytes_that_are_no_text_are_told(planted: Path) -> None:
    (planted / RESIDENTS).write_bytes("title: 户籍人口信息".encode("gb18030"))
    told = [problem for problem in problems(planted) if problem.file == RESIDENTS]
    assert [problem.field for problem in told] == ["(file)"]
    assert "'utf-8' codec can't decode byte" in told[0].allowed
