"""Places: distance, one place with two codes, and coordinates of another system by their systematic offset."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from catalog.load import Catalog, load_catalog
from quality_checks import macros, punctuality, shifts, spatial, suites
from quality_checks.punctuality import Delivery


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Path(__file__).parents[1] / "catalog")


@pytest.fixture
def con(catalog: Catalog) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        suites.create_tables(connection, catalog)
        yield connection


def said(con: duckdb.DuckDBPyConnection, expression: str) -> object:
    row = con.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    return row[0]


def test_metres_and_cells(con: duckdb.DuckDBPyConnection) -> None:
    assert said(con, "round(metres(116.5, 31.7, 116.5, 31.71))") == 1112
    assert said(con, "round(metres(116.5, 31.7, 116.51, 31.7))") == 946
    assert said(con, "metres(116.5, 31.7, 116.5, 31.7)") == 0
    # whatever is within 500 metres stands in one of the nine cells, across every edge
    missed = """(SELECT count(*) FROM (
        SELECT x / 1000 AS x, y / 1000 AS y FROM range(116490, 116511) a(x), range(31690, 31711) b(y)),
        range(-5, 6) c(dx), range(-4, 5) d(dy) WHERE metres(x, y, x + dx / 1000, y + dy / 1000) <= 500
        AND NOT list_contains(place_cells(x, y), place_cell(x + dx / 1000, y + dy / 1000)))"""
    assert said(con, missed) == 0


def test_projected_coordinates_are_transformed_offline_and_those_of_another_datum_are_not(
    catalog: Catalog,
) -> None:
    """The figures are pyproj's (PROJ 9.6, EPSG 4490 to 4527 and 4548)."""
    outlines = catalog.resources["natural_resources.land_parcels"].rules
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as con:
        spatial.prepare(con, outlines)
        near = "ST_Distance(cgcs2000_point({}, {}, '{}'), ST_Point(116.5, 31.7)) < 1e-9"
        assert said(con, near.format(39452599.970337786, 3508695.8580780923, 4527)) is True
        assert said(con, near.format(452599.970337786, 3508695.8580780923, 4548)) is True
        assert said(con, near.format(116.5, 31.7, 4490)) is True
        for other in ("4214", "4610", "9001", "", "GCJ-02"):
            assert said(con, f"cgcs2000_point(116.5, 31.7, '{other}')") is None


def twins(con: duckdb.DuckDBPyConnection, catalog: Catalog, resource: str, rule: str) -> list[str]:
    [found] = [one for one in catalog.resources[resource].rules if one.id == rule]
    return [key for (key,) in con.execute(f"SELECT DISTINCT * FROM ({found.failing}) ORDER BY 1").fetchall()]


def test_the_later_of_two_places_of_one_name_nearby_is_told(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    con.execute(
        "INSERT INTO civil_affairs.place_names (_record_key, name, place_type, division, longitude, latitude, named_on)"
        " VALUES ('a', '人民广场', '22', '341502', 116.500100, 31.709990, '2001-05-01'),"
        " ('b', '人民 广场', '22', '341502', 116.500900, 31.710010, '1999-05-01'),"  # the elder: a is told
        " ('c', '人民广场', '22', '341502', 116.520000, 31.710010, '2005-05-01'),"  # far away
        " ('d', '人民广场', '12', '341502', 116.500900, 31.710010, '2005-05-01'),"  # of another kind
        " ('e', '人民二广场', '22', '341502', 116.500900, 31.710010, NULL)"
    )
    assert twins(con, catalog, "civil_affairs.place_names", "CAB-503") == ["a"]


def test_one_address_with_two_codes_is_told_however_it_is_written(
    con: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    con.execute(
        "INSERT INTO public_security.standard_address (_record_key, full_address, division, town, longitude, latitude)"
        " VALUES ('1', '安徽省六安市金安区百安街道解放路12号', '341502', '百安街道', 116.5, 31.7),"
        " ('2', '六安市金安区解放路十二号', '341502', '百安街道', 116.5002, 31.7001),"
        " ('3', '安徽省六安市金安区百安街道解放路13号', '341502', '百安街道', 116.5, 31.7),"
        " ('4', '安徽省六安市金安区百安街道解放路12号', '341502', '百安街道', 0, 0)"  # swapped or none: another rule's
    )
    assert twins(con, catalog, "public_security.standard_address", "PSB-307") == ["2"]


def gcj02(lon: float, lat: float) -> tuple[float, float]:
    """The published approximation of GCJ-02 from WGS 84."""
    a, ee = 6378245.0, 0.00669342162296594323
    x, y = lon - 105.0, lat - 35.0
    wave = (20 * math.sin(6 * x * math.pi) + 20 * math.sin(2 * x * math.pi)) * 2 / 3
    dy = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x)) + wave
    dy += (20 * math.sin(y * math.pi) + 40 * math.sin(y / 3 * math.pi)) * 2 / 3
    dy += (160 * math.sin(y / 12 * math.pi) + 320 * math.sin(y * math.pi / 30)) * 2 / 3
    dx = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x)) + wave
    dx += (20 * math.sin(x * math.pi) + 40 * math.sin(x / 3 * math.pi)) * 2 / 3
    dx += (150 * math.sin(x / 12 * math.pi) + 300 * math.sin(x / 30 * math.pi)) * 2 / 3
    rad = lat / 180 * math.pi
    magic = 1 - ee * math.sin(rad) ** 2
    dy = dy * 180 / ((a * (1 - ee)) / (magic * math.sqrt(magic)) * math.pi)
    dx = dx * 180 / (a / math.sqrt(magic) * math.cos(rad) * math.pi)
    return lon + dx, lat + dy


def bd09(lon: float, lat: float) -> tuple[float, float]:
    """BD-09, from GCJ-02."""
    x, y = gcj02(lon, lat)
    z = math.hypot(x, y) + 0.00002 * math.sin(y * math.pi * 3000 / 180)
    theta = math.atan2(y, x) + 0.000003 * math.cos(x * math.pi * 3000 / 180)
    return z * math.cos(theta) + 0.0065, z * math.sin(theta) + 0.006


TRUE = [(116.45 + i % 12 * 0.012, 31.65 + i // 12 * 0.011) for i in range(120)]


def measured(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, stated: list[tuple[float, float]]
) -> tuple[shifts.Shift, punctuality.Judgement]:
    """The buildings' shift against the addresses of the public security, and the verdict on their delivery."""
    values = [[f"341502{n:010}" for n in range(len(stated))], *map(list, zip(*TRUE[: len(stated)], strict=True))]
    con.execute(
        "INSERT INTO base.spatial (place_code, longitude, latitude, longitude_source, latitude_source)"
        " SELECT *, 'public_security', 'public_security' FROM"
        " (SELECT unnest($1::VARCHAR[]), unnest($2::DOUBLE[]), unnest($3::DOUBLE[]))",
        values,
    )
    con.execute(
        "INSERT INTO housing.buildings (address_code, longitude, latitude)"
        " SELECT unnest($1::VARCHAR[]), unnest($2::DOUBLE[]), unnest($3::DOUBLE[])",
        [values[0], *map(list, zip(*stated, strict=True))],
    )
    found = shifts.measure(con, catalog)["housing.buildings"]
    day = date(2026, 11, 2)
    delivery = Delivery("one", day, "full", "pooled", None, len(stated), ())
    judged = punctuality.judge(catalog.resources["housing.buildings"], [delivery], day, shift=found)
    return found, judged[-1]


@pytest.mark.parametrize(("system", "least", "most"), [(gcj02, 300, 700), (bd09, 600, 1700)])
def test_a_whole_delivery_of_a_public_maps_coordinates_is_suspected_with_its_numbers(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, system, least: float, most: float
) -> None:
    found, verdict = measured(con, catalog, [system(*point) for point in TRUE])
    assert found.places == 120
    assert least < found.length < most
    assert found.scatter < found.length / 10
    assert verdict.kind is punctuality.SHIFTED
    assert (verdict.result.applicable, verdict.result.failed) == (1, 1)
    assert f"坐标整体偏移 {found.length:.0f} 米" in verdict.observed
    assert "公安局" in verdict.observed


def test_no_shift_is_seen_where_places_lie_off_each_in_its_own_way_or_few_are_known(
    con: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    scattered = [(x + 0.004 * math.sin(n), y + 0.004 * math.cos(n * n)) for n, (x, y) in enumerate(TRUE)]
    scattered[:40] = [gcj02(*point) for point in TRUE[:40]]  # a third of them: records' mistakes, not the delivery's
    found, verdict = measured(con, catalog, scattered)
    assert (verdict.result.applicable, verdict.result.failed) == (1, 0)
    assert not found.systematic
    con.execute("DELETE FROM base.spatial; DELETE FROM housing.buildings")
    found, verdict = measured(con, catalog, [gcj02(*point) for point in TRUE[:29]])
    assert (found.places, verdict.result.applicable, verdict.result.failed) == (29, 0, 0)
    con.execute("DELETE FROM base.spatial; DELETE FROM housing.buildings")
    _, verdict = measured(con, catalog, TRUE)
    assert (verdict.result.applicable, verdict.result.failed) == (1, 0)


def test_the_queries_of_the_documentation_run(con: duckdb.DuckDBPyConnection) -> None:
    text = (Path(__file__).parents[1] / "docs" / "spatial.md").read_text("utf-8")
    successors, counted = (con.execute(query).fetchall() for query in re.findall(r"```sql\n(.*?)```", text, re.DOTALL))
    assert successors == [("341504", "叶集区", 2015), ("341522", "霍邱县", 1999)]
    assert counted == [(0, 0)]
