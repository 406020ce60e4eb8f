"""Publishing: readers see one whole version, masked, gated, with their grants kept, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date

import psycopg2
import pytest

from assets.publish import PublishResult, departments_of, publish, resources_of, served
from catalog.models import Gate, Product
from resources.city import City

DAY = date(2026, 11, 2)
NEXT_DAY = date(2026, 11, 3)


def fill(city: City, people: int, *, sex: str = "1") -> None:
    """`people` residents in base.population."""
    query = (
        "SELECT '34150019900101' || lpad(i::VARCHAR, 4, '0') AS id_number, '王小' || i AS name, 'public_security' AS"
        f" name_source, DATE '2026-11-01' AS name_as_of, '{sex}' AS sex, DATE '1990-05-06' AS birth_date,"
        f" '20' AS marital_status, 1::INTEGER AS _sources FROM range({people}) t(i)"
    )
    city.commit("city", lambda con: city.lake.replace(con, "base.population", query, ["id_number"]), author="test")


def product(city: City, **changes: object) -> Product:
    return city.catalog.products["residents"].model_copy(update=changes)


def as_reader(city: City, sql: str) -> list[tuple[object, ...]]:
    with city.server.session("dashboard_reader") as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def as_pipeline(city: City, sql: str) -> list[tuple[object, ...]]:
    with city.server.session() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def run(city: City, stated: Product | None = None, day: date = DAY) -> PublishResult:
    return publish(city, stated or product(city), day, author="run-1")


def versions(city: City) -> Sequence[tuple[object, ...]]:
    return as_pipeline(city, "select tablename from pg_tables where schemaname = 'curated_versions' order by 1")


def test_the_dashboard_reader_reads_masked_rows_with_comments_from_the_catalogue(small_city: City) -> None:
    fill(small_city, 3)
    assert run(small_city) == PublishResult("residents", published=True, rows=3, reason="")
    rows = as_reader(small_city, "select id_number, name, sex, marital_status from curated.residents order by 1")
    assert rows[0] == ("341*************00", "王**", "1", "20")
    comments = as_reader(
        small_city,
        "select obj_description('curated.residents'::regclass), col_description('curated.residents'::regclass, 1)",
    )
    assert comments == [
        (
            "居民 / Residents: Residents as the population library knows them.",
            "公民身份号码 / id_number（已脱敏 / masked）",
        )
    ]
    meta = as_reader(small_city, "select product, as_of, rows, version, gate, reason from curated.meta_products")
    assert meta == [("residents", DAY, 3, 1, "passed", "")]


def test_clear_columns_are_shown_unmasked(small_city: City) -> None:
    fill(small_city, 1)
    run(small_city, product(small_city, clear=("name",), purpose="测试"))
    assert as_reader(small_city, "select name, id_number from curated.residents") == [("王小0", "341*************00")]


def test_dates_of_personal_level_keep_their_year_only(small_city: City) -> None:
    fill(small_city, 1)
    run(small_city, product(small_city, columns=("id_number", "birth_date")))
    assert as_reader(small_city, "select birth_date from curated.residents") == [(date(1990, 1, 1),)]


FORBIDDEN = (
    "select * from ops.deliveries",
    "select * from ledger.items",
    "select * from curated_versions.residents__1",
    "insert into curated.meta_products (product, gate, gate_as_of) values ('x', 'held', '2026-11-02')",
    "create table curated.mine (a int)",
    "create temporary table mine (a int)",
    "set role pipeline",
)


def test_the_dashboard_reader_is_refused_everything_else(small_city: City) -> None:
    fill(small_city, 1)
    run(small_city)
    with small_city.server.session("dashboard_reader") as cursor:
        cursor.execute("set default_transaction_read_only = off")  # a courtesy of the role's, not a wall
        for sql in FORBIDDEN:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(sql)
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):  # no view of two tables takes changes
            cursor.execute("delete from curated.residents")


def test_the_dashboard_reader_cannot_connect_to_the_lake_or_dagster(small_city: City) -> None:
    for database in ("lake", "dagster"):
        with pytest.raises(Exception, match="permission denied"):
            small_city.server.connect("dashboard_reader", database)


def test_unchanged_content_is_not_written_again(small_city: City) -> None:
    fill(small_city, 3)
    run(small_city)
    state = "select *, xmin::text from curated.meta_products"
    before, tables = as_pipeline(small_city, state), versions(small_city)
    assert run(small_city) == PublishResult("residents", published=False, rows=3, reason="内容未变 / unchanged")
    assert as_pipeline(small_city, state) == before
    assert versions(small_city) == tables == [("residents__1",)]


def test_the_version_before_is_kept_and_older_ones_go(small_city: City) -> None:
    for people in (1, 2, 3, 4):
        fill(small_city, people)
        assert run(small_city).published
    assert versions(small_city) == [("residents__3",), ("residents__4",)]
    assert as_reader(small_city, "select count(*) from curated.residents") == [(4,)]


@pytest.mark.parametrize(
    ("gate", "people", "reason"),
    [
        (Gate(min_rows=5), 4, "4 rows, at least 5 are needed"),
        (Gate(max_row_drop=0.2), 7, "rows fell from 10 to 7, by more than 20%"),
        (Gate(min_score=0.9), 9, "no score, at least 90.00% is needed"),
    ],
)
def test_the_gate_keeps_the_last_good_version_and_says_why(
    small_city: City, gate: Gate, people: int, reason: str
) -> None:
    fill(small_city, 10)
    run(small_city)
    fill(small_city, people)
    held = run(small_city, product(small_city, gate=gate), NEXT_DAY)
    assert not held.published
    assert held.reason.endswith(reason)
    assert held.rows == 10
    assert as_reader(small_city, "select count(*) from curated.residents") == [(10,)]
    meta = as_reader(small_city, "select as_of, rows, version, gate, gate_as_of, reason from curated.meta_products")
    assert meta == [(DAY, 10, 1, "held", NEXT_DAY, held.reason)]


def test_the_gate_holds_a_product_whose_departments_score_too_low(small_city: City) -> None:
    fill(small_city, 3)
    score = """
        INSERT INTO quality.scores BY NAME SELECT DATE '2026-11-02' AS as_of, 'department' AS scope,
            * EXCLUDE (points), points / 100 AS score FROM (VALUES
            ('day', 'market_regulation', 'accuracy', NULL, 10), ('day', 'civil_affairs', 'accuracy', NULL, 80),
            ('month', 'civil_affairs', 'accuracy', NULL, 10), ('day', 'civil_affairs', 'uniqueness', '0303', 1),
            ('day', 'civil_affairs', NULL, NULL, 20)
        ) s(period, name, dimension, indicator, points)"""
    small_city.commit("city", lambda con: con.execute(score), author="test")
    held = run(small_city, product(small_city, gate=Gate(min_score=0.9)))
    assert held.reason.endswith("civil_affairs scores 80.00% on accuracy, at least 90.00% is needed")
    assert as_pipeline(small_city, "select to_regclass('curated.residents')") == [(None,)]
    assert run(small_city, product(small_city, gate=Gate(min_score=0.8))).published


def test_a_product_shows_the_data_of_the_departments_behind_its_libraries(small_city: City) -> None:
    assert departments_of(small_city.catalog, product(small_city)) == {"public_security", "civil_affairs"}
    overview = product(small_city, reads="thematic.credit_village.resident_overview")
    assert departments_of(small_city.catalog, overview) == {"public_security", "civil_affairs", "market_regulation"}


def test_a_product_counts_as_served_once_an_earlier_pass_published_it(small_city: City) -> None:
    """Whatever the pass itself publishes: a pass that is made again finds the same."""
    fill(small_city, 2)
    assert served(small_city, DAY) == {}  # nothing was due before the first pass
    run(small_city)
    assert served(small_city, DAY) == {}
    with small_city.server.session() as cursor:
        cursor.execute("insert into ops.passes (as_of, state) values (%s, 'finished')", (DAY,))
    behind = {resource.id for resource in resources_of(small_city.catalog, product(small_city))}
    for people in (2, 3, 4):
        assert served(small_city, NEXT_DAY) == dict.fromkeys(behind, (1, 1))
        fill(small_city, people)
        run(small_city, product(small_city), NEXT_DAY)
    assert behind == {"public_security.resident_registration", "civil_affairs.marriage_registration"}


def test_changed_columns_keep_every_grant(small_city: City) -> None:
    fill(small_city, 2)
    run(small_city)
    with small_city.server.session() as cursor:
        cursor.execute("grant select on curated.residents to public")
    grants = (
        "select a.grantee::text, a.privilege_type, a.is_grantable from pg_class c, aclexplode(c.relacl) a"
        " where c.oid = 'curated.residents'::regclass order by 1, 2"
    )
    before = as_pipeline(small_city, grants)
    assert run(small_city, product(small_city, columns=("name", "birth_date"))).published
    assert as_pipeline(small_city, grants) == before
    assert as_reader(small_city, "select * from curated.residents limit 1") == [("王**", date(1990, 1, 1), None)]


def test_a_revoked_grant_stays_revoked(small_city: City) -> None:
    fill(small_city, 1)
    run(small_city)
    with small_city.server.session() as cursor:
        cursor.execute("revoke select on curated.residents from dashboard_reader")
    fill(small_city, 2)
    assert run(small_city).published
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_reader(small_city, "select * from curated.residents")


def test_readers_never_see_half_a_version(small_city: City) -> None:
    fill(small_city, 500, sex="0")
    run(small_city)
    seen: list[tuple[object, ...]] = []
    stop = threading.Event()

    def read() -> None:
        with small_city.server.session("dashboard_reader") as cursor:
            while not stop.is_set():
                cursor.execute("select count(*), min(sex), max(sex) from curated.residents")
                seen.extend(cursor.fetchall())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1, 21):
        fill(small_city, 500 + turn, sex=str(turn % 2))
        assert run(small_city).published
    stop.set()
    reader.join()
    whole = {(500 + turn, str(turn % 2), str(turn % 2)) for turn in range(21)}
    assert len(seen) > 50
    assert set(seen) <= whole
    assert len(set(seen)) > 5
