"""The fictional city: the same seed gives the same city, its identifiers are real in form, every rule is planted."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from id_validator import validator
from stdnum.iso7064 import mod_11_2, mod_37_36

from catalog.load import Catalog, load_catalog
from demo import planting, plants, stories, truth
from demo.city import FIRST_DAY, DemoSummary, write
from demo.written import WRITTEN
from quality_checks import spatial
from quality_checks.macros import SQL
from quality_checks.rules import thematic_rules

ROOT = Path(__file__).parents[1]
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
STATES_OF_STORIES = {
    "verified_as_suggested", "verified_otherwise", "still_wrong", "blanked_at_source", "removed_at_source",
    "key_changed", "feed_silent", "reopened", "objection_raised",
}  # fmt: skip


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(ROOT / "catalog")


@pytest.fixture(scope="session")
def city(catalog, tmp_path_factory) -> tuple[DemoSummary, Path]:
    home = tmp_path_factory.mktemp("demo")
    return write(catalog, home / "landing", people=1000, days=4, seed=5, defect_rate=0.01), home


@pytest.fixture(scope="session")
def told(catalog) -> tuple[duckdb.DuckDBPyConnection, list[truth.Feed]]:
    """The city's truth as tables, and its feeds."""
    con = duckdb.connect()
    con.execute(SQL)
    return con, truth.build(con, catalog, people=1000, seed=5, start=FIRST_DAY)


@pytest.fixture(scope="session")
def true_city(told) -> duckdb.DuckDBPyConnection:
    return told[0]


@pytest.fixture
def defects(city) -> list[dict[str, str]]:
    with (city[1] / "planted_defects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(home: Path) -> dict[str, str]:
    files = sorted(path for path in home.rglob("*") if path.is_file())
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_city(catalog, tmp_path):
    few = {name: one for name, one in catalog.resources.items() if one.department in ("tax", "finance")}
    part = replace(catalog, resources=few, thematic={})
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        write(part, tmp_path / name / "landing", people=1000, days=2, seed=seed, defect_rate=0.02)
    one, same, other = (digests(tmp_path / name) for name in ("one", "same", "other"))
    assert len(one) > 5
    assert one == same
    assert one.keys() == other.keys()
    assert one["planted_defects.csv"] != other["planted_defects.csv"]


def test_the_city_says_every_resource_of_the_catalogue(catalog):
    unsaid = sorted(set(catalog.resources) - set(truth.sections()))
    assert not unsaid, f"demo/feeds.sql needs a section for: {', '.join(unsaid)}"


def test_every_rule_of_the_catalogue_has_a_plant(catalog):
    missing = plants.unplanted(catalog)
    assert not missing, f"demo/written.py needs an entry for: {', '.join(missing)}"


def test_no_plant_is_left_of_a_rule_that_is_gone(catalog):
    rules = {rule.id for resource in catalog.resources.values() for rule in resource.rules}
    rules |= {rule.id for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)}
    written = {rule_id for rule_id in WRITTEN if "@" not in rule_id}
    assert len(written) > 100
    assert not written - rules


def test_in_the_smallest_city_every_rule_has_its_defect(catalog, defects):
    planted = [plant for r in catalog.resources.values() for plant in plants.plants_for(r, catalog)]
    # Not everywhere do so many departments speak of one entity that its authority can be in doubt.
    wanted = {plant.rule_id for plant in planted if plant.kind != "doubted"}
    found = {row["rule_id"] for row in defects}
    assert len(wanted) > 1000
    assert not wanted - found


def test_every_kind_of_wrong_delivery_is_planted(defects):
    kinds = {row["rule_id"].rpartition(".")[2] for row in defects if ".delivery." in row["rule_id"]}
    assert kinds == {"late", "rows", "volume", "structure", "columns", "shifted"}


def test_an_entity_takes_part_in_one_defect_at_most(catalog, told):
    con, feeds = told
    planted = planting.plant(con, catalog, feeds[:8], rate=0.02)
    entities = con.execute("SELECT entity FROM defect UNION ALL SELECT guest FROM defect").fetchall()
    named = [entity for (entity,) in entities if entity]
    assert len(named) >= planted > 150
    assert len(named) == len(set(named))


def test_every_story_is_told_and_every_end_reached(defects):
    told = {row["story"] for row in defects}
    assert told >= {"corrected", "otherwise", "ignored", "blanked", "deleted", "relapse", "silent", "objection"}
    assert {row["expected_state"] for row in defects} >= STATES_OF_STORIES


def test_a_city_without_defects_plants_none(catalog, tmp_path):
    summary = write(catalog, tmp_path / "landing", people=1000, days=1, seed=5, defect_rate=0)
    assert summary.defects == 0
    assert (tmp_path / "planted_defects.csv").read_text("utf-8").splitlines()[1:] == []
    assert summary.files == len(catalog.resources)
    assert summary.rows > 10_000


def test_every_format_is_delivered_and_every_manifest_tells_its_file(city):
    landing = city[0].landing
    kinds = {path.name.partition(".")[2] for path in landing.rglob("*") if path.is_file()}
    assert {"csv", "csv.gz", "json", "jsonl", "parquet", "xlsx", "manifest.json"} <= kinds
    assert not any(kind.endswith("part") for kind in kinds)
    manifests = list(landing.rglob("*.manifest.json"))
    assert len(manifests) == city[0].files
    for manifest in manifests:
        stem = manifest.name.removesuffix(".manifest.json")
        (file,) = (p for p in manifest.parent.glob(f"{stem}.*") if p != manifest)
        declared = json.loads(manifest.read_text("utf-8"))
        assert declared["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert declared["as_of"].replace("-", "") == stem[:8]


def test_the_silent_department_is_silent_and_the_others_come_back(city, defects):
    silent = {(row["department"], row["resource"]) for row in defects if row["story"] == "silent"}
    assert len(silent) == 1
    for department, resource in silent:
        days = {path.name[:8] for path in (city[0].landing / department / resource).glob("*")}
        assert days == {"20261102"}
    daily = city[0].landing / "market_regulation" / "enterprise_registration"
    assert len(list(daily.glob("*.csv"))) >= 4


def test_numbers_of_persons_are_valid_by_an_independent_oracle(true_city):
    numbers = [n for (n,) in true_city.execute("SELECT id_number FROM person").fetchall()]
    assert len(set(numbers)) == 1000
    assert all(mod_11_2.is_valid(number) for number in numbers)
    # id-validator rejects codes it does not list and foreign cards: Lu'an's present codes are beyond doubt
    present = [number for number in numbers if number.startswith("3415")][:60]
    assert len(present) == 60
    assert all(validator.is_valid(number) for number in present)


def test_numbers_agree_with_birth_date_and_sex(true_city):
    told = "SELECT count(*) FROM person WHERE kind <> 'foreigner' AND {}"
    assert (
        true_city.execute(told.format("substr(id_number, 7, 8) = strftime(birth_date, '%Y%m%d')")).fetchone()[0] > 900
    )
    wrong = "(substr(id_number, 17, 1)::INTEGER % 2 = 1) <> (sex = '1')"
    assert true_city.execute(told.format(wrong)).fetchone() == (0,)
    assert true_city.execute("SELECT count(DISTINCT kind) FROM person").fetchone() == (5,)


def test_credit_codes_have_both_check_digits(true_city):
    codes = [code for (code,) in true_city.execute("SELECT uscc FROM organisation").fetchall()]
    assert len(set(codes)) == len(codes) > 3000
    assert {code[:2] for code in codes} >= {"11", "12", "51", "52", "53", "91", "92", "93", "N1", "N2", "N3"}
    for code in codes:
        total = sum(ALPHABET.index(letter) * pow(3, place, 31) for place, letter in enumerate(code[:17]))
        assert ALPHABET[-total % 31] == code[17]
        inner = sum(
            int(letter, 36) * weight for letter, weight in zip(code[8:16], (3, 7, 9, 10, 5, 8, 4, 2), strict=True)
        )
        assert "0X987654321"[inner % 11] == code[16]


def test_certificates_end_in_their_check_character(true_city):
    ids = [name for (name,) in true_city.execute("SELECT certificate_id FROM certificate").fetchall()]
    assert len(set(ids)) == len(ids) > 4000
    assert all(mod_37_36.is_valid("".join(name.split(".")[5:])) for name in ids)


def test_places_lie_in_the_outline_of_their_county(true_city, catalog):
    spatial.prepare(true_city, catalog.resources["natural_resources.division_boundaries"].rules)
    outside = true_city.execute(
        "SELECT count(*), count(*) FILTER (NOT in_shape(longitude, latitude, shape)) FROM place JOIN (SELECT division,"
        ' outline_shape(outline) AS shape FROM feed."natural_resources.division_boundaries") USING (division)'
    ).fetchone()
    assert outside[0] > 2000
    assert outside[1] == 0


def test_departments_agree_on_a_person(true_city):
    feeds = [
        name
        for (name,) in true_city.execute(
            "SELECT table_name FROM duckdb_columns() WHERE schema_name = 'feed'"
            " AND column_name IN ('id_number', 'name', 'sex', 'birth_date') GROUP BY 1 HAVING count(*) = 4"
        ).fetchall()
    ]
    assert len(feeds) >= 12
    union = " UNION ALL ".join(f'SELECT _entity, name, sex, birth_date FROM feed."{name}"' for name in feeds)
    most, told = true_city.execute(
        f"SELECT max(versions), max(times) FROM (SELECT count(DISTINCT (name, sex, birth_date)) AS versions,"
        f" count(*) AS times FROM ({union}) GROUP BY _entity)"
    ).fetchone()
    assert most == 1
    assert told >= 4


def test_old_files_hold_numbers_of_15_digits(true_city):
    for feed in ("human_resources.pension_payment", "health.health_record"):
        old = true_city.execute(f'SELECT count(*) FROM feed."{feed}" WHERE length(id_number) = 15').fetchone()[0]
        assert old > 0


def test_what_is_planted_is_what_the_file_says(city, defects):
    """The wrong value and the record key of the list stand in the first day's delivery."""
    folder = city[0].landing / "market_regulation" / "enterprise_registration"
    with (folder / "20261102.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["uscc"]: row for row in csv.DictReader(file)}
    wrong = [
        row
        for row in defects
        if row["resource"] == "enterprise_registration" and ".delivery." not in row["rule_id"] and row["column"]
    ]
    assert len(wrong) > 30
    for row in wrong:
        if not row["record_key"].startswith("#"):
            assert (rows[row["record_key"]][row["column"]] or "") == row["observed_value"]


def test_a_number_out_of_range_is_refused(catalog, tmp_path):
    with pytest.raises(ValueError, match="people must be at least 1000"):
        write(catalog, tmp_path / "landing", people=10, days=1, seed=1, defect_rate=0)


def test_a_column_the_city_does_not_know_is_named(catalog):
    resource = catalog.resources["water_supply.water_account"]
    more = resource.model_copy(update={"columns": {**resource.columns, "meter": resource.columns["account_number"]}})
    changed = replace(catalog, resources={**catalog.resources, resource.id: more})
    with pytest.raises(truth.DemoError, match=r"water_supply\.water_account does not give: meter"):
        truth.build(duckdb.connect(), changed, people=1000, seed=1, start=FIRST_DAY)


def test_nobody_plays_a_part_in_a_city_without_defects(told):
    _, feeds = told
    assert stories.cast(feeds, days=4, rate=0) == stories.Cast()
    assert stories.cast(feeds, days=4, rate=0.01).silent
