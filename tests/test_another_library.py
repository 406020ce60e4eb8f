"""A library nobody has thought of is added by YAML alone: arbitrated, compared, reported; its key may be composite."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from files import copied

from assets import base, reports
from assets.explain import explain
from catalog.load import Catalog, load_catalog
from catalog.reading import CatalogError
from quality_checks.suites import check_sql
from resources.city import City

ROOT = Path(__file__).parents[1]
SMALL = Path(__file__).parent / "small_catalogue"
DAY = date(2026, 11, 2)
LIBRARY = """
title: {zh: 水情基础库, en: Water levels}
summary: one row per gauge and day
lead: market_regulation
entity: reading
key: reading
key_title: 测站和日期
key_level: public
key_normal: upper(text_normal(value))
attributes:
  level: {title: 水位（米）, type: decimal, authority: market_regulation, substitutes: [civil_affairs], tolerance: 0.05}
  closed_on: {title: 停测日期, type: date, authority: market_regulation, compare: null}
ends: closed_on
"""
FEED = """
title: {{zh: {title}, en: {title}}}
summary: one row per gauge and day
code: "1/09/00{n}/000001"
cycle: daily
mode: full
key: [gauge, day]
describes: {{library: reservoir, by: {by}}}
sharing: {{attribute: unconditional}}
opening: {{class: unconditional}}
published: 2026-01-15
columns:
  gauge: {{title: 测站, type: text, required: true, level: public}}
  day: {{title: 日期, type: date, required: true, level: public}}
  metres: {{title: 水位, type: decimal, level: public}}
  closed_on: {{title: 停测日期, type: date, level: public}}
supplies: {{level: {level}{more}}}
"""
GAUGES = FEED.format(title="水情站", n=1, by="gauge || '|' || day", level="metres", more=", closed_on: closed_on")
OBSERVERS = FEED.format(title="群测", n=2, by="gauge || '|' || day", level="metres + 0", more="")


def catalogue(root: Path, **changes: str) -> Path:
    """The small catalogue with one library and two feeds more, nothing else touched."""
    shutil.copytree(SMALL, root)
    (root / "libraries" / "reservoir.yaml").write_text(changes.get("library", LIBRARY), "utf-8")
    (root / "departments/market_regulation/gauges.yaml").write_text(changes.get("gauges", GAUGES), "utf-8")
    (root / "departments/civil_affairs/observers.yaml").write_text(OBSERVERS, "utf-8")
    return root


def pool(city: City, department: str, resource: str, rows: str) -> None:
    def work(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(
            f"INSERT INTO {department}.{resource} BY NAME SELECT *, gauge || '|' || day AS _record_key, 'd' AS"
            f" _delivery_id, DATE '{DAY}' AS _as_of, 1 AS _row, 1 AS _copies"
            f" FROM (VALUES {rows}) t(gauge, day, metres, closed_on)"
        )

    city.commit(department, work, author="test")


def test_a_library_of_yaml_alone_is_arbitrated_compared_and_reported(
    small_home: Path, prelude: str, tmp_path: Path
) -> None:
    catalog = load_catalog(catalogue(tmp_path / "catalogue"))
    assert [str(problem) for problem in check_sql(catalog)] == []
    copied(small_home, tmp_path / "home")
    with City.open(tmp_path / "home", catalog, prelude=prelude, threads=1) as city:
        city.lake.apply_catalog()
        pool(
            city,
            "market_regulation",
            "gauges",
            """
            ('g1', DATE '2026-11-01', 3.10, NULL), ('g1', DATE '2026-11-02', 3.20, NULL),
            ('g2', DATE '2026-11-01', 7.00, DATE '2026-11-01'), (NULL, DATE '2026-11-01', 9.00, NULL)""",
        )
        pool(
            city,
            "civil_affairs",
            "observers",
            """
            ('G1', DATE '2026-11-01', 3.14, NULL), ('g1', DATE '2026-11-02', 3.90, NULL),
            ('g3', DATE '2026-11-01', 5.00, NULL)""",
        )
        result = base.build(city, catalog.libraries["reservoir"], DAY, author="run")
        assert (result.entities, result.sources) == (4, 2)
        rows = city.con.execute(
            "SELECT reading, level::VARCHAR, level_source, level_outcome, level_said, ended_on::VARCHAR"
            " FROM base.reservoir ORDER BY reading"
        ).fetchall()
        assert rows == [
            ("G1|2026-11-01", "3.10", "market_regulation", "agreed", "Aa", None),  # within the tolerance
            ("G1|2026-11-02", "3.20", "market_regulation", "authority_prevails", "Da", None),
            ("G2|2026-11-01", "7.00", "market_regulation", "single", "-a", "2026-11-01"),
            ("G3|2026-11-01", "5.00", "civil_affairs", "substitute", "a-", None),
        ]
        found = city.con.execute(
            'SELECT rule_id, department, resource, record_key, "column", observed_value, suggested_value'
            " FROM quality.findings WHERE status = 'open'"
        ).fetchall()
        assert found == [
            ("reservoir.level.agrees", "civil_affairs", "observers", "g1|2026-11-02", "level", "3.90", "3.20")
        ]
        [level] = explain(city, "reservoir", "g1|2026-11-01", "level").attributes
        stances = [(said.department, said.value, said.stance) for said in level.statements]
        assert stances == [("market_regulation", "3.10", "agrees"), ("civil_affairs", "3.14", "agrees")]
        page = reports.build(city, DAY).read_text("utf-8")
        assert "水情基础库" in page


def test_a_key_of_no_column_and_one_that_does_not_bind_are_refused(tmp_path: Path) -> None:
    nowhere = GAUGES.replace("gauge || '|' || day}", "upper('x')}")
    with pytest.raises(CatalogError, match=r"gauges\.yaml: describes\.by = .*must be one of: closed_on, day, gauge"):
        load_catalog(catalogue(tmp_path / "one", gauges=nowhere))
    unbound = GAUGES.replace("gauge || '|' || day}", "gauge || nothing(day)}")
    [problem] = check_sql(load_catalog(catalogue(tmp_path / "two", gauges=unbound)))
    assert (problem.file, problem.field) == ("departments/market_regulation/gauges.yaml", "describes.by")


def test_a_succession_of_no_attribute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"succession\.followed_by = 'heir': must be one of: closed_on, level"):
        load_catalog(catalogue(tmp_path / "one", library=LIBRARY + "succession: {followed_by: heir}\n"))


def test_the_library_and_the_thematic_table_contributing_shows_are_sound(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    shutil.copytree(ROOT / "catalog", root)
    shown = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    files = re.findall(r"```(?:yaml|sql)\n(?:#|--) in (\S+)\n(.*?)```", shown, re.DOTALL)
    assert len(files) == 5
    for place, text in files:
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_text(text, "utf-8")
    catalog = load_catalog(root)
    assert catalog.libraries["water_quality"].succession is not None
    shown_alone = replace(
        catalog,
        resources={one.id: one for one in catalog.sources_of("water_quality")},
        libraries={"water_quality": catalog.libraries["water_quality"]},
        thematic={"rivers.section_grade": catalog.thematic["rivers.section_grade"]},
        products={},
    )
    assert [str(problem) for problem in check_sql(shown_alone)] == []
    assert {one.id for one in catalog.behind("rivers.section_grade")} == {
        "natural_resources.water_section", "water_supply.water_sample",
    }  # fmt: skip


def test_no_line_of_python_names_a_library() -> None:
    """Outside tests, the demo, benchmarks and what shows how a command is asked."""
    catalog: Catalog = load_catalog(ROOT / "catalog")
    names = "|".join(sorted(catalog.libraries))
    said = re.compile(rf"""(['"])({names})\1|base\.({names})\b""")
    for folder in ("catalog", "resources", "quality_checks", "assets", "pipelines"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            told = [line for line in file.read_text("utf-8").splitlines() if said.search(line) and "e.g." not in line]
            assert told == [], file
