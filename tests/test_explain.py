"""Why a library says what it says, in words an officer reads, and which published versions said otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import duckdb
import pytest
from files import copied

from assets import base, increment
from assets.explain import UnknownEntityError, explain
from assets.explain_text import told
from assets.publish import publish
from assets.recall import recalls
from catalog.load import Catalog
from resources import believed
from resources.city import City

FIRST, NEXT = date(2026, 11, 2), date(2026, 11, 3)
ANNA, BO = "341502198001011234", "341502199002022343"
SHORT_ANNA = "341502800101123"
RESIDENTS, MARRIAGES = "public_security.resident_registration", "civil_affairs.marriage_registration"


def deliver(city: City, resource: str, names: Mapping[str, str], day: date, *, status: str = "10") -> None:
    """One full delivery of a resource: names by id number, one row each."""
    department, bare = resource.split(".")
    delivery = f"{day:%Y%m%d}-{bare}"
    values = ", ".join(f"('{number}', '{name}', {row})" for row, (number, name) in enumerate(names.items(), 1))
    born = ", DATE '1980-01-01' AS birth_date, '1' AS sex" if resource == RESIDENTS else ""

    def work(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"DELETE FROM {resource}")
        if names:
            con.execute(
                f"INSERT INTO {resource} BY NAME SELECT id_number, name{born}, '{status}' AS marital_status,"
                f" id_number AS _record_key, '{delivery}' AS _delivery_id, row AS _row, DATE '{day}' AS _as_of,"
                f" hash(id_number, name, '{status}') AS _hash FROM (VALUES {values}) v(id_number, name, row)"
            )

    city.commit(department, work, author="test")
    with city.server.session() as cursor:
        cursor.execute(
            "insert into ops.deliveries (delivery_id, department, resource, file_name, sha256, bytes, state)"
            " values (%s, %s, %s, %s, 'x', 1, 'pooled')",
            (delivery, department, bare, f"{bare}_{day:%d}.csv"),
        )


def build(city: City, day: date, *, full: bool = False) -> base.BaseResult:
    return base.build(city, city.catalog.libraries["population"], day, author="test", full=full)


@pytest.fixture(scope="module")
def city(
    small_home: Path, small_catalog: Catalog, prelude: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    """Two days, published: Anna is corrected by the authority, Bo is gone. The last tests do more to it."""
    home = tmp_path_factory.mktemp("explained") / "home"
    copied(small_home, home)
    with City.open(home, small_catalog, prelude=prelude, threads=1) as city:
        deliver(city, RESIDENTS, {ANNA: "张三", BO: "王五"}, FIRST)
        deliver(city, MARRIAGES, {SHORT_ANNA: "李四"}, FIRST, status="20")
        build(city, FIRST)
        stated = city.catalog.products["residents"]
        product = stated.model_copy(update={"gate": stated.gate.model_copy(update={"max_row_drop": 1.0})})
        publish(city, product, FIRST, author="run-1")
        deliver(city, RESIDENTS, {ANNA: "赵六"}, NEXT)
        build(city, NEXT)
        publish(city, product, NEXT, author="run-2")
        yield city


def test_a_person_is_explained_in_a_screen_of_text(city: City) -> None:
    said = told(city.catalog, explain(city, "population", SHORT_ANNA))
    assert len(said.splitlines()) < 40
    assert said.startswith(f"人口基础库 population: {ANNA}\n")
    assert "2 records speak of it; believed so since 2026-11-03" in said
    assert (
        "name 姓名 = 赵六    authority_prevails 数源部门为准: public_security has the say; others state otherwise"
        in said
    )
    assert "sex 性别 = 1 男性    single 单一来源: nobody else states it" in said
    place = "市公安局 public_security.resident_registration, as of 2026-11-03, resident_registration_03.csv row 1;"
    assert place in said
    assert "differ: civil_affairs.marriage_registration 李四" in said
    stretch = "believed from 2026-11-02 until 2026-11-03"
    assert f"before: 张三 from public_security as of 2026-11-02, authority_prevails; {stretch}" in said
    assert "population.name.agrees (error) civil_affairs.marriage_registration" in said


def test_one_attribute_is_told_whole_and_masked_on_request(city: City) -> None:
    said = told(city.catalog, explain(city, "population", ANNA, "name"), whole=True)
    assert "李四    differs; 市民政局 civil_affairs.marriage_registration" in said
    assert "张三 from public_security as of 2026-11-02" in said
    assert f"record {ANNA}, delivery 20261103-resident_registration" in said
    masked = told(city.catalog, explain(city, "population", ANNA, masked=True))
    assert not [value for value in (ANNA, SHORT_ANNA, "张三", "李四", "赵六") if value in masked]


def test_who_is_not_believed_in_is_told_with_what_is_known(city: City) -> None:
    with pytest.raises(UnknownEntityError, match=f"nobody speaks of {BO} since 2026-11-03; .* from 2026-11-02 on"):
        explain(city, "population", BO)
    with pytest.raises(
        UnknownEntityError, match=r"nobody has ever spoken of 12; a key is the 公民身份号码 of a person"
    ):
        explain(city, "population", "12")
    with pytest.raises(LookupError, match="library = 'people'; must be one of: legal_entity, population"):
        explain(city, "people", ANNA)
    with pytest.raises(LookupError, match="attribute = 'age'; population has: name"):
        explain(city, "population", ANNA, "age")


def test_the_recall_list_names_the_version_that_carried_a_corrected_value(city: City) -> None:
    found = recalls(city)
    shown = ("version", "column", "old_value", "new_value", "corrected_on")
    assert [tuple(row[column] for column in shown) for row in found] == [
        (1, "name", "张***", "赵***", NEXT),
        (1, "id_number", "341*************43", None, NEXT),
    ]
    assert {row["as_of"] for row in found} == {FIRST}
    assert None not in {row["until"] for row in found}
    assert recalls(city, since=date(2999, 1, 1)) == []


def test_a_library_that_lost_its_past_is_built_whole_and_says_so(city: City) -> None:
    believed.define(city.con, city.catalog)
    assert city.con.execute(f"SELECT name FROM as_believed.population('{FIRST}') ORDER BY 1").fetchall() == [
        ("张三",),
        ("王五",),
    ]
    city.lake.empty_damaged("history.population", author="verify")
    assert build(city, NEXT).told == "full: history.population was repaired"
    assert city.con.execute(f"SELECT name FROM as_believed.population('{NEXT}')").fetchall() == [("赵六",)]
    with pytest.raises(duckdb.Error, match="what was believed before 2026-11-03 is lost"):
        city.con.execute(f"FROM as_believed.population('{FIRST}')")


def test_what_a_full_build_is_made_for(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(city, NEXT).told == "increment: 0 entities"
    assert build(city, NEXT, full=True).told == "full: asked for"
    deliver(city, RESIDENTS, {BO: "王五"}, date(2026, 11, 4))
    assert build(city, date(2026, 11, 4)).told == "full: 2 of 1 entities are touched"
    with city.server.session(database="lake") as cursor:
        cursor.execute("delete from public_security.ducklake_snapshot where snapshot_id < 3")
    old = """UPDATE base._builds SET pool_versions = '{"civil_affairs": 1, "public_security": 1}'"""
    city.commit("city", lambda con: con.execute(old).fetchall(), author="test")
    assert build(city, date(2026, 11, 4)).told == "full: snapshot 1 of public_security is gone"
    monkeypatch.setattr(increment, "version", lambda _: "another")
    assert build(city, date(2026, 11, 4)).told == "full: the catalogue, or what was decided, changed"


def test_records_that_links_lead_to_an_entity_are_told_with_it(city: City) -> None:
    founded = f"#{MARRIAGES}|{SHORT_ANNA}"
    links = (
        "INSERT INTO base._links BY NAME SELECT 'population' AS library, 'person' AS how, * FROM (VALUES"
        f" ('key', '{BO}', NULL, NULL, NULL, '{ANNA}'),"
        f" ('record', NULL, 'civil_affairs', 'marriage_registration', '{SHORT_ANNA}', '{founded}'))"
        " l(kind, alias_key, department, resource, record_key, entity_key)"
    )
    city.commit("city", lambda con: con.execute(links), author="test")
    build(city, date(2026, 11, 4))
    for asked, key, said in (
        (BO, ANNA, (RESIDENTS, BO, "王五", "agrees")),
        (founded, None, (MARRIAGES, SHORT_ANNA, "李四", "agrees")),
    ):
        found = explain(city, "population", asked, "name")
        assert (found.key, found.sources) == (key or found.entity_id, 1)
        [name] = found.attributes
        assert [(one.resource, one.record_key, one.value, one.stance) for one in name.statements] == [said]
