"""Thematic tables hold what their YAML declares, or say exactly where they do not."""

from __future__ import annotations

from datetime import date

import pytest

from assets.thematic import ThematicContractError, build
from catalog.models import ThematicTable
from resources.city import City

DAY = date(2026, 11, 2)
GOOD = """
select id_number, name, marital_status, enterprises::bigint as enterprises -- a last remark;
from (values ('A', '张三', '10', 0), ('B', '李四', null, 2)) t(id_number, name, marital_status, enterprises);
"""


def overview(city: City, sql: str) -> ThematicTable:
    return city.catalog.thematic["credit_village.resident_overview"].model_copy(update={"sql": sql})


def rows(city: City) -> list[tuple[object, ...]]:
    return city.con.execute("FROM thematic.credit_village__resident_overview ORDER BY id_number").fetchall()


def test_a_table_is_what_its_sql_gives(small_city: City) -> None:
    assert build(small_city, overview(small_city, GOOD), DAY, author="run-1") == 2
    assert [row[:4] for row in rows(small_city)] == [("A", "张三", "10", 0), ("B", "李四", None, 2)]


def test_the_catalogues_own_sql_builds_from_the_libraries(small_city: City) -> None:
    table = small_city.catalog.thematic["credit_village.resident_overview"]
    small_city.commit(
        "city",
        lambda con: con.execute("INSERT INTO base.population BY NAME SELECT 'A' AS id_number, '张三' AS name"),
        author="test",
    )
    assert build(small_city, table, DAY, author="run-1") == 1
    assert [row[:4] for row in rows(small_city)] == [("A", "张三", None, 0)]


def test_building_again_writes_nothing(small_city: City) -> None:
    build(small_city, overview(small_city, GOOD), DAY, author="run-1")
    files = "SELECT count(*) FROM glob(?)"
    where = [f"{small_city.home.lake}/**/*.parquet"]
    before = small_city.con.execute(files, where).fetchall()
    build(small_city, overview(small_city, GOOD), DAY, author="run-2")
    assert small_city.con.execute(files, where).fetchall() == before


def test_every_difference_from_the_contract_is_named_and_the_last_good_rows_stay(small_city: City) -> None:
    build(small_city, overview(small_city, GOOD), DAY, author="run-1")
    before = rows(small_city)
    wrong = "select 'C' as id_number, 1 as name, 0::hugeint as enterprises, 5 as extra"
    with pytest.raises(ThematicContractError) as error:
        build(small_city, overview(small_city, wrong), DAY, author="run-2")
    assert str(error.value).splitlines() == [
        "thematic table credit_village.resident_overview:",
        "column name: the SQL gives INTEGER, declared is VARCHAR",
        "column marital_status: the SQL gives nothing, declared is VARCHAR",
        "column enterprises: the SQL gives HUGEINT, declared is BIGINT",
        "column extra: the SQL gives INTEGER, declared is nothing",
    ]
    assert rows(small_city) == before


def test_a_key_that_is_null_or_repeated_is_refused(small_city: City) -> None:
    wrong = (
        "select * from (values ('A', '张三', '10', 0::bigint), ('A', '李四', null, 2), (null, '王五', null, 2))"
        " t(id_number, name, marital_status, enterprises)"
    )
    with pytest.raises(ThematicContractError, match=r"key \(id_number\).* 1 rows without it and 1 values .* in 3 rows"):
        build(small_city, overview(small_city, wrong), DAY, author="run-1")
    assert rows(small_city) == []
