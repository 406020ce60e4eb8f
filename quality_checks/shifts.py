"""Deliveries whose coordinates lie off the known places by one and the same vector: another coordinate system.

Maps made for the public in China show places some 300 to 700 metres off (GCJ-02) or farther (BD-09), Beijing 1954 and
Xian 1980 about 100 metres off CGCS2000. Taken for CGCS2000 such coordinates lie wrong all alike, most of them in the
right county. So each source of a library with longitudes and latitudes is held against the places whose coordinates
stand from another department: by the median of the offsets, and by how far half of them lie from it. Which system it
is, and which side has it, nobody can tell from that: the numbers are told, and nothing is ever converted.
"""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library, Resource
from quality_checks.macros import name, quote
from quality_checks.sources import Source, macros, sources

FEW = 30  # places it takes to speak of all
LEAST, MOST = 60.0, 5_000.0  # metres; below is the accuracy of a survey, beyond is another kind of mistake
SCATTER = 1 / 3  # half of the places lie within this share of the median offset from it


@dataclass(frozen=True)
class Shift:
    """How one resource's coordinates lie from those of other departments: medians over `places`, in metres."""

    places: int
    east: float
    north: float
    scatter: float
    against: str  # titles of the departments

    @property
    def length(self) -> float:
        return float((self.east**2 + self.north**2) ** 0.5)

    @property
    def systematic(self) -> bool:
        """Whether it is one vector, and too long for a survey's accuracy."""
        return self.places >= FEW and LEAST <= self.length <= MOST and self.scatter <= SCATTER * self.length


def measure(con: DuckDBPyConnection, catalog: Catalog) -> dict[str, Shift]:
    """By resource id: the shift of every source that states coordinates of places another department's stand for."""
    found = {}
    for library in catalog.libraries.values():
        if not {"longitude", "latitude"} <= library.attributes.keys():
            continue
        con.execute(macros(library))
        for source in sources(catalog, library):
            if {"longitude", "latitude"} <= source.resource.supplies.keys():
                row = con.execute(shift_sql(library, source)).fetchone()
                if row and row[0]:
                    places, east, north, scatter, departments = row
                    titles = "、".join(catalog.departments[one].title.zh for one in sorted(departments))
                    found[source.resource.id] = Shift(places, east, north, scatter, titles)
    return found


def shift_sql(library: Library, source: Source) -> str:
    """Query of one row: places, median offset to the east and to the north, scatter, departments they come from."""
    resource: Resource = source.resource
    department = quote(resource.department)
    own = (
        f"SELECT {source.key} AS key, {source.value('longitude')} AS x, {source.value('latitude')} AS y"
        f" FROM {name(resource.department)}.{name(resource.name)}"
    )
    offsets = (
        "SELECT metres(b.longitude, b.latitude, o.x, b.latitude) * sign(o.x - b.longitude) AS east,"
        " metres(b.longitude, b.latitude, b.longitude, o.y) * sign(o.y - b.latitude) AS north,"
        f" b.longitude_source AS said FROM ({own}) o JOIN base.{name(library.name)} b ON b.{name(library.key)} = o.key"
        f" WHERE b.longitude_source <> {department} AND b.latitude_source <> {department}"
        " AND in_china(o.x, o.y) AND in_china(b.longitude, b.latitude)"
    )
    return (
        f"WITH off AS MATERIALIZED ({offsets}), mid AS (SELECT median(east) AS e, median(north) AS n FROM off)"
        " SELECT count(*), any_value(e), any_value(n), median(sqrt(pow(east - e, 2) + pow(north - n, 2))),"
        " list(DISTINCT said) FROM off, mid"
    )
