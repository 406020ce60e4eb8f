"""What becomes of each defect day by day, and so what every department delivers and answers.

Holds the stories (corrected, ignored, blanked, deleted, relapse, …), the state each correction item should be in at
the end, the calendar of deliveries, and the deliveries that are wrong as a whole (late, incomplete, misshapen). A
department may always deliver earlier than it must: every story plays within four days whatever the cycle. Which records
go wrong is `planting`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from catalog.load import Catalog
from catalog.models import Cycle, Resource
from demo.truth import Feed
from quality_checks.macros import name as quoted
from quality_checks.macros import quote

SHRUNK = "natural_resources.division_boundaries"  # delivers its counties without the neighbours: volume
SHIFTED = "housing.buildings"  # its first delivery was taken from a public map: half a kilometre off
OFFSET = {"longitude": "0.0045", "latitude": "-0.0021"}
TOUCHED = 200  # one of so many clean records is stated again by an incremental delivery

# Story by hash, in percent; what a record cannot do becomes the story named last.
PLAIN = (("corrected", 36), ("otherwise", 12), ("ignored", 14), ("blanked", 10), ("deleted", 8), ("relapse", 11))
MOVED = (("corrected", 55), ("ignored", 25))


@dataclass(frozen=True)
class Cast:
    """The resources whose deliveries themselves go wrong; empty names: nobody does."""

    silent: str = ""  # sends nothing after the first day
    shrunk: str = ""
    rows: str = ""  # sends a second file whose manifest counts wrongly
    structure: str = ""  # sends a second file without its last column
    columns: str = ""  # sends a column nobody asked for
    shifted: str = ""  # sends coordinates of another system on the first day


def cast(feeds: Sequence[Feed], *, days: int, rate: float) -> Cast:
    """Who plays which part; small daily feeds do."""
    daily = [feed.resource.id for feed in feeds if feed.resource.cycle is Cycle.daily and not feed.changes]
    if rate <= 0 or days < 2 or not daily:
        return Cast()
    part = [daily[place % len(daily)] for place in range(4)]
    there = {feed.resource.id for feed in feeds}
    rows, structure, columns = (one if one != part[0] else "" for one in part[1:])
    shrunk, shifted = (one if one in there else "" for one in (SHRUNK, SHIFTED))
    return Cast(part[0], shrunk, rows, structure, columns, shifted)


def tell(con: duckdb.DuckDBPyConnection, catalog: Catalog, feeds: Sequence[Feed], parts: Cast, *, days: int) -> None:
    """Write `played`: `defect` with its story, its resource's manner and the state expected."""
    con.execute("CREATE TABLE actor (resource VARCHAR, daily BOOLEAN, incremental BOOLEAN, referenced BOOLEAN)")
    referenced = _referenced(catalog)
    rows = [
        [r.id, r.cycle is Cycle.daily, r.mode == "incremental", r.id in referenced] for r in (f.resource for f in feeds)
    ]
    con.executemany("INSERT INTO actor VALUES (?, ?, ?, ?)", rows or [["", False, False, False]])
    con.execute('CREATE TABLE free_text (resource VARCHAR, "column" VARCHAR, most INTEGER)')
    texts = [[f.resource.id, c, n] for f in feeds for c, n in _free_text(f.resource, catalog)]
    con.executemany("INSERT INTO free_text VALUES (?, ?, ?)", texts or [["", "", 0]])
    con.execute(
        f"""
        CREATE TABLE played AS
        SELECT *, {_expected(days)} AS expected FROM (
            SELECT d.*, a.daily, a.incremental, {_story(parts)} AS story,
                {_corrected()} AS right_state
            FROM (SELECT *, (hash(hash(defect, 'story', getvariable('seed'))) % 100)::INTEGER AS lot FROM defect) d
            JOIN actor a USING (resource) LEFT JOIN free_text t USING (resource, "column")
        ) ORDER BY defect
        """
    )


def _referenced(catalog: Catalog) -> set[str]:
    """Resources that rules of others look into: what vanished there would make others look wrong."""
    return {lookup.to for r in catalog.resources.values() for rule in r.rules for lookup in rule.lookup.values()}


def _free_text(resource: Resource, catalog: Catalog) -> list[tuple[str, int]]:
    """Columns of which no rule beyond the generated ones speaks, so that any text will do."""
    said = " ".join([*resource.supplies.values(), *(f"{rule.condition} {rule.when}" for rule in resource.rules)])
    said += " ".join(table.sql for table in catalog.thematic.values() if resource.id in table.sql)
    words = set(re.findall(r"\w+", said)) | set(resource.key)
    return [(n, c.max_length) for n, c in resource.columns.items() if c.type and c.max_length and n not in words]


def _lots(table: Sequence[tuple[str, int]], able: dict[str, str], last: str) -> str:
    cases, upto = [], 0
    for story, percent in table:
        upto += percent
        cases.append(f"WHEN lot < {upto} THEN CASE WHEN {able.get(story, 'true')} THEN '{story}' ELSE 'corrected' END")
    return f"CASE {' '.join(cases)} ELSE {last} END"


def _story(parts: Cast) -> str:
    able = {
        "otherwise": "kind IN ('required', 'length') AND length(clean) < most",
        "blanked": "kind IN ('type', 'length', 'code', 'identifier', 'agrees', 'doubted') AND optional",
        "deleted": "NOT incremental AND NOT referenced",
    }
    # A thematic figure is made from other records too: it may change while the department stands by its own.
    last = "CASE WHEN own OR observed IS NOT NULL THEN 'objection' ELSE 'ignored' END"
    return f"""CASE
        WHEN resource = {quote(parts.silent)} THEN 'silent'
        WHEN resource = {quote(parts.shrunk)} THEN 'deleted'
        WHEN NOT ordered THEN 'ignored'
        WHEN starts_with(record_key, '#') AND incremental THEN 'ignored'
        WHEN starts_with(record_key, '#') THEN 'corrected'
        WHEN moves AND kind <> 'unique' AND incremental THEN CASE WHEN lot < 60 THEN 'ignored' ELSE 'objection' END
        WHEN moves THEN {_lots(MOVED, {}, last)}
        ELSE {_lots(PLAIN, able, last)} END"""


def _corrected() -> str:
    """The state of an item whose record is put right."""
    return """CASE
        WHEN kind = 'unique' THEN 'verified_otherwise'
        WHEN moves AND NOT extra THEN 'key_changed'
        WHEN moves THEN 'removed_at_source'
        WHEN clean IS NULL AND observed IS NOT NULL THEN 'blanked_at_source'
        WHEN NOT own AND observed = clean THEN 'resolved_elsewhere'
        WHEN fits THEN 'verified_as_suggested' ELSE 'verified_otherwise' END"""


def _expected(days: int) -> str:
    settled = "('verified_as_suggested', 'verified_otherwise', 'resolved_elsewhere')"
    if days == 1:
        return "CASE WHEN ordered THEN 'notified' ELSE '' END"
    relapsed = (
        f"CASE WHEN right_state IN {settled} AND NOT (daily AND {days} > 3) THEN 'reopened' ELSE 'still_wrong' END"
    )
    return f"""CASE
        WHEN NOT ordered THEN ''
        WHEN story = 'silent' THEN {"'feed_silent'" if days > 2 else "'notified'"}
        WHEN starts_with(record_key, '#') AND incremental THEN 'notified'
        WHEN story = 'corrected' THEN right_state
        WHEN story = 'otherwise' THEN 'verified_otherwise'
        WHEN story = 'ignored' THEN 'still_wrong'
        WHEN story = 'blanked' THEN 'blanked_at_source'
        WHEN story = 'deleted' THEN 'removed_at_source'
        WHEN story = 'relapse' THEN {"right_state" if days == 2 else relapsed}
        WHEN story = 'objection' THEN 'objection_raised' END"""


def phase(day: int) -> str:
    """SQL over `played`: what the record looks like on the n-th day: wrong, right, other, blank or gone."""
    if day == 1:
        return "'wrong'"
    relapse = "'right'" if day == 2 else "'wrong'"
    return f"""CASE story WHEN 'corrected' THEN 'right' WHEN 'otherwise' THEN 'other' WHEN 'blanked' THEN 'blank'
        WHEN 'deleted' THEN 'gone' WHEN 'relapse' THEN {relapse} ELSE 'wrong' END"""


def sends(con: duckdb.DuckDBPyConnection, feed: Feed, parts: Cast, day: int) -> bool:
    """Whether the department delivers on that day: when due, and earlier when it has something to put right."""
    resource = feed.resource.id
    if day == 1:
        return True
    if resource == parts.silent:
        return False
    if feed.resource.cycle is Cycle.daily:
        return True
    news = "true" if day == 2 else f"{phase(day)} <> {phase(day - 1)}"
    row = con.execute(
        f"SELECT (SELECT count(*) FROM played WHERE resource = ? AND {news})"
        f" + (SELECT count(*) FROM {feed.table} WHERE _first = {day} OR _last = {day - 1})",
        [resource],
    ).fetchone()
    return bool(row and row[0])


def records(feed: Feed, parts: Cast, day: int) -> str:
    """Query: what the department sends on the n-th day, all declared columns as text, in the file's order."""
    resource = feed.resource
    played = (
        f"(SELECT *, {phase(day)} AS now, {phase(day - 1)} AS before FROM played WHERE resource = {quote(resource.id)})"
    )
    cells = """CASE now WHEN 'wrong' THEN cells WHEN 'other' THEN MAP {"column": '补' || clean}
        WHEN 'blank' THEN MAP {"column": NULL::VARCHAR} END"""
    plain = f"(SELECT n, now, before, {cells} AS cells FROM {played} WHERE NOT extra)"
    extra = f"(SELECT n, cells FROM {played} WHERE extra AND now = 'wrong')"
    shifted = OFFSET if resource.id == parts.shifted and day == 1 else {}
    columns = ", ".join(_cell(column, shifted.get(column)) for column in resource.columns)
    wanted = ["now IS DISTINCT FROM 'gone'", f"{day} BETWEEN f._first AND f._last"]
    if resource.id == parts.shrunk and day > 1:
        wanted.append("NOT f._free")
    if resource.mode == "incremental" and day > 1:
        wanted.append(_stated_again(resource, day))
    return (
        f"SELECT {columns} FROM (SELECT f.*, v.cells, 0 AS _second FROM {feed.table} f"
        f" LEFT JOIN {plain} v ON v.n = f._n WHERE {' AND '.join(wanted)}"
        f" UNION ALL BY NAME SELECT f.*, v.cells, 1 AS _second FROM {feed.table} f JOIN {extra} v ON v.n = f._n)"
        " ORDER BY _second, _n"
    )


def _of(resource: Resource) -> str:
    return f"resource = {quote(resource.id)}"


def _stated_again(resource: Resource, day: int) -> str:
    """An incremental delivery states what is wrong still, what changed, and a few records nobody doubted."""
    keyless = f"SELECT n FROM played WHERE {_of(resource)} AND starts_with(record_key, '#')"
    copies = f"SELECT n FROM played WHERE {_of(resource)} AND extra"
    touched = f"hash(f._n, {day}) % {TOUCHED} = 0 OR f._row <= 3"
    return f"""f._n NOT IN ({keyless}) AND (now = 'wrong' OR now <> before OR f._n IN ({copies})
        OR f._first = {day} OR (now IS NULL AND ({touched})))"""


def _cell(column: str, offset: str | None = None) -> str:
    text, value = quote(column), quoted(column)
    clean = f"({value}::DECIMAL(9, 6) + {offset})::VARCHAR" if offset else value
    return (
        f"CASE WHEN cells IS NULL THEN {clean} WHEN map_contains(cells, {text}) THEN cells[{text}] ELSE {value} END"
        f" AS {value}"
    )


def objections(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Departments that object to something."""
    found = con.execute(
        "SELECT DISTINCT split_part(resource, '.', 1) FROM played WHERE story = 'objection' ORDER BY 1"
    ).fetchall()
    return [department for (department,) in found]


def replies(department: str) -> str:
    """Query: the department's feedback file."""
    return f"""
        SELECT finding_id(rule_id, split_part(resource, '.', 1), split_part(resource, '.', 2), record_key, "column")
            AS item_id, 'objection' AS reply, '经核实，本部门数据无误' AS reason,
            '原始档案第' || defect || '号' AS evidence
        FROM played WHERE story = 'objection' AND split_part(resource, '.', 1) = {quote(department)} ORDER BY defect"""
