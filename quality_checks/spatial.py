"""The SQL vocabulary of outlines: geometry by DuckDB's spatial extension, loaded only where a rule speaks of it.

Loading it takes half a second and 80 MB of file, which no catalogue without outlines should pay: `prepare` looks at the
rules first. An outline is a text column in WKT, longitude before latitude. Sources: OGC simple features 1.2.1; RFC 7946
(outer rings run counterclockwise); GB/T 21336.1-2023 (quality of geographic data).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from catalog.rules import Rule
from quality_checks.macros import quote

_PACKAGE = "duckdb_extension_spatial"

# A ring is a list of numbers, x and y in turn. Twice its signed area, relative to its first point so that no digit is
# lost: above 0 when it runs counterclockwise.
SQL = r"""
CREATE OR REPLACE TEMP MACRO outline_shape(t) AS TRY(ST_GeomFromText(t::VARCHAR));
CREATE OR REPLACE TEMP MACRO outline_is_area(t) AS CASE WHEN t IS NOT NULL THEN coalesce(TRY(
    ST_GeometryType(outline_shape(t)) IN ('POLYGON', 'MULTIPOLYGON') AND NOT ST_IsEmpty(outline_shape(t))), false) END;
CREATE OR REPLACE TEMP MACRO outline_closed(t) AS list_bool_and(list_transform(
    list_transform(regexp_extract_all(t, '\(([^()]+)\)', 1), lambda ring: string_split_regex(trim(ring), '\s*,\s*')),
    lambda points: points[1] = points[-1]));
CREATE OR REPLACE TEMP MACRO outline_ok(t) AS CASE WHEN t IS NOT NULL
    THEN outline_is_area(t) AND coalesce(TRY(ST_IsValid(outline_shape(t))), false) END;
-- The areas of the outline made valid; lines and points that are left over are no area.
CREATE OR REPLACE TEMP MACRO outline_areas(t) AS TRY(ST_CollectionExtract(ST_MakeValid(outline_shape(t)), 3));
CREATE OR REPLACE TEMP MACRO outline_repair(t) AS
    CASE WHEN TRY(NOT ST_IsEmpty(outline_areas(t))) THEN ST_AsText(outline_areas(t))::VARCHAR END;
CREATE OR REPLACE TEMP MACRO in_shape(longitude, latitude, shape) AS
    TRY(ST_Intersects(shape, ST_Point(longitude::DOUBLE, latitude::DOUBLE)));
-- A point of another system as longitude and latitude in CGCS2000. Only of systems on the same datum (EPSG 4490, its
-- projections 4491 to 4554) and of WGS 84, which differs by less than a metre. There is no public transformation from
-- Beijing 1954 (4214) or Xian 1980 (4610): PROJ passes their coordinates through as they are, so here they are null.
CREATE OR REPLACE TEMP MACRO cgcs2000_point(x, y, crs) AS CASE
    WHEN crs IN ('4490', '4326') THEN ST_Point(x::DOUBLE, y::DOUBLE)
    WHEN try_cast(crs AS INTEGER) BETWEEN 4491 AND 4554 THEN
        TRY(ST_Transform(ST_Point(x::DOUBLE, y::DOUBLE), 'EPSG:' || crs, 'EPSG:4490', always_xy := true)) END;
CREATE OR REPLACE TEMP MACRO ring_area(ring) AS list_sum(list_transform(range(1, len(ring) // 2), lambda i:
    (ring[2 * i - 1] - ring[1]) * (ring[2 * i + 2] - ring[2]) - (ring[2 * i + 1] - ring[1]) * (ring[2 * i] - ring[2])));
-- Of an outline with heights nothing is said.
CREATE OR REPLACE TEMP MACRO outline_turns_left(t) AS
    CASE WHEN regexp_matches(t, '^(MULTI)?POLYGON ?\(') THEN list_transform(
    [list_transform(regexp_extract_all(regexp_extract(t, '\(\(+([^()]*)\)', 1), '-?[0-9.]+(?:[eE]-?[0-9]+)?'),
        lambda n: try_cast(n AS DOUBLE))],
    lambda ring: ring_area(ring) > 0)[1] END;
CREATE OR REPLACE TEMP MACRO outline_reversed(t) AS CASE
    WHEN regexp_full_match(t, 'POLYGON ?\(\([^()]*\)\)')
    THEN 'POLYGON ((' || array_to_string(list_reverse(string_split_regex(
        regexp_extract(t, '\(\(([^()]*)\)\)', 1), ',\s*')), ', ') || '))' END;
"""
_WORDS = re.compile(
    r"\b(outline_(shape|is_area|closed|ok|areas|repair|turns_left|reversed)|in_shape|cgcs2000_point|ring_area|st_\w+)\s*\(",
    re.IGNORECASE,
)


def speaks_of_shapes(rule: Rule) -> bool:
    """Whether the rule's SQL needs the spatial extension."""
    said = f"{rule.that} {rule.when} {rule.suggest} {rule.failing} {rule.denied} {rule.normal} {rule.because}"
    return any(lookup.shape for lookup in rule.lookup.values()) or bool(_WORDS.search(said))


def prepare(con: DuckDBPyConnection, rules: Iterable[Rule]) -> None:
    """Load the extension and its vocabulary once into a connection, if one of the rules speaks of shapes.

    Raises:
        ModuleNotFoundError: the extension's wheel is not installed.
    """
    if not any(map(speaks_of_shapes, rules)):
        return
    found = con.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = 'outline_shape'").fetchone()
    if found != (0,):
        return
    con.execute(f"LOAD {quote(str(_extension()))}")
    con.execute(SQL)


def _extension() -> Path:
    """The extension inside its wheel: nothing is downloaded or copied."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the wheel of DuckDB's extension spatial is not installed", name=_PACKAGE)
    place = Path(spec.submodule_search_locations[0])
    return place / "extensions" / f"v{duckdb.__version__}" / "spatial.duckdb_extension"
