"""Which sources of a library copy from one another, measured by the errors they share.

Two good sources agree because both are right; only where both state the same *wrong* value is agreement a sign that one
has it from the other (Dong, Berti-Equille, Srivastava, "Integrating conflicting data: the role of source dependence",
VLDB 2009). What is wrong is not known here, so the bar is high: a value counts as wrong where at least `VOTES` other
sources, and `AGAINST` times as many as state it, agree on another one (`AGAINST_AUTHORITY` times where the attribute's
authority is among them), and no authority states it. A group that copies has one vote in that, whatever its size, so
measuring goes round until the groups no longer change.

Then, of the errors of one source in cells that another one states too, those are counted that the other repeats;
whether they are more than chance explains is judged in `quality_checks.copying`.

Measuring is an act of a person (`shuyuan libraries measure`), because it changes whose vote counts. What it found is
written to `base._copying` and counts from the next build on, beside what the catalogue declares (`received_from`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

from duckdb import DuckDBPyConnection

from catalog.columns import ColumnType
from catalog.load import Catalog
from catalog.models import Attribute, Library
from quality_checks import copying
from quality_checks.copying import Directed, Grouping, Repeats
from quality_checks.loading import load
from quality_checks.macros import name
from quality_checks.sources import GROUPS, Source, authority_ranks, normal_macro, prepared, voices

VOTES = 3  # other sources that must agree on another value before one is called wrong
AGAINST, AGAINST_AUTHORITY = 3, 2  # how many times as many as state the value itself
ROUNDS = 20

SPEAKERS = "temp.copying_speakers"
STATEMENTS = "temp.copying_statements"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sources and what they share: `other` repeats errors of `one`, or none of either.

    `cells` are (entity, attribute) that both state; `errors` those of `one` among them, `shared` those that `other`
    repeats, in `attributes`; `expected` is how many chance explains at most, `weight` the logarithm of the odds for
    copying. `together`: they have one vote.
    """

    one: str
    other: str
    attributes: tuple[str, ...]
    cells: int
    errors: int
    shared: int
    expected: float
    weight: float
    together: bool


def measure(con: DuckDBPyConnection, catalog: Catalog, library: Library) -> list[Pair]:
    """Every two sources that state the same cells and are not one voice by the catalogue, the heaviest pair first.

    Attributes that are not compared (`compare: null`) tell nothing: there sources may rightly differ.
    """
    compared = [a for a, stated in library.attributes.items() if stated.compare is not None]
    con.execute(f"DROP TABLE IF EXISTS {GROUPS}")  # earlier groups are no evidence
    witnesses = prepared(con, catalog, library)
    _gather(con, witnesses, compared)
    cells = {(one, other): count for one, other, count in con.execute(_CELLS).fetchall()}
    within, start = _within(library, compared), declared(witnesses, compared)
    grouping, repeats = _settle(con, within, start, len(witnesses))
    con.execute(f"DROP TABLE {SPEAKERS}; DROP TABLE {STATEMENTS}")
    pairs = []
    for pair, count in cells.items():
        if start[pair[0]] == start[pair[1]]:
            continue
        judged = copying.judge(repeats, *pair)
        pairs.append(
            Pair(
                one=witnesses[judged.one].resource.id,
                other=witnesses[judged.other].resource.id,
                attributes=tuple(compared[number] for number in judged.seen.attributes),
                cells=count,
                errors=judged.seen.errors,
                shared=judged.seen.shared,
                expected=round(judged.expected, 1),
                weight=round(judged.weight, 1),
                together=grouping[judged.one] == grouping[judged.other],
            )
        )
    return sorted(pairs, key=lambda pair: (-pair.weight, pair.one, pair.other))


def take_groups(con: DuckDBPyConnection, library: Library) -> dict[str, str]:
    """Write the groups of the library's last measurement where its sources look for them; returns `groups`."""
    found = groups(con, library)
    load(con, _bare(GROUPS), {"source": "VARCHAR", "first": "VARCHAR"}, sorted(found.items()))
    return found


def groups(con: DuckDBPyConnection, library: Library) -> dict[str, str]:
    """Source -> the first source of its group, for all that were found to share errors by the last measurement."""
    return {source: group[0] for group in members(stored(con, library)) for source in group}


def stored(con: DuckDBPyConnection, library: Library) -> list[Pair]:
    """The pairs of the library's last measurement, the heaviest first; none when nobody measured yet."""
    columns = ", ".join(name(field.name) for field in fields(Pair))
    rows = con.execute(
        f"SELECT {columns} FROM base._copying WHERE library = $library"
        " QUALIFY measured_on = max(measured_on) OVER () ORDER BY weight DESC, one, other",
        {"library": library.name},
    ).fetchall()
    return [Pair(one, other, tuple(attributes), *rest) for one, other, attributes, *rest in rows]


def members(pairs: Iterable[Pair]) -> list[tuple[str, ...]]:
    """The groups of a measurement: the sources of each, in order."""
    found: dict[str, set[str]] = {}
    for pair in pairs:
        if pair.together:
            joined = found.get(pair.one, {pair.one}) | found.get(pair.other, {pair.other})
            found.update(dict.fromkeys(joined, joined))
    return sorted({tuple(sorted(group)) for group in found.values()})


def declared(witnesses: Sequence[Source], compared: Sequence[str]) -> Grouping:
    """Sources that speak with one voice in every attribute that both supply: of one department, or received."""
    spoken = [voices(witnesses, attribute) for attribute in compared]
    together = [
        (one.index, other.index)
        for one, other in combinations(witnesses, 2)
        if (both := [v for v in spoken if one.index in v and other.index in v])
        and all(v[one.index] == v[other.index] for v in both)
    ]
    return copying.components(len(witnesses), together)


def _gather(con: DuckDBPyConnection, witnesses: Sequence[Source], compared: Sequence[str]) -> None:
    """Write `SPEAKERS`, one row per attribute and set of sources that state a cell of it, and `STATEMENTS`, one row per
    source and cell about which the sources differ as it stands. A source that says two things says nothing.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_bare(SPEAKERS)} (attribute INTEGER, who BIT, cells BIGINT);"
        f" CREATE OR REPLACE TEMP TABLE {_bare(STATEMENTS)}"
        " (cell BIGINT, attribute INTEGER, source INTEGER, said VARCHAR, authority BOOLEAN)"
    )
    for source in witnesses:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_table(source)} AS {_said(source, compared)}")
    for number, attribute in enumerate(compared):
        if any(attribute in source.resource.supplies for source in witnesses):
            _disputed(con, number, attribute, witnesses)
    con.execute("".join(f"DROP TABLE {_table(source)};" for source in witnesses) + "DROP TABLE IF EXISTS copying_keys")


def _table(source: Source) -> str:
    return f"copying_{source.index}"


def _bare(table: str) -> str:
    return table.removeprefix("temp.")


def _said(source: Source, compared: Sequence[str]) -> str:
    """One row per entity: `key`, and per attribute `v_` what the source says of it, `r_` whether as the authority."""
    columns = ""
    for attribute in (a for a in compared if a in source.resource.supplies):
        value, has_say = name("v_" + attribute), name("r_" + attribute)
        columns += (
            f", CASE WHEN min({value}) = max({value}) THEN min({value}) END AS {value}"
            f", bool_or({_has_say(source, attribute)}) AS {has_say}"
        )
    return f"SELECT key{columns} FROM ({source.relation()}) WHERE key IS NOT NULL GROUP BY key"


def _has_say(source: Source, attribute: str) -> str:
    """Whether the source is the authority for the entity, as SQL over `relation()`."""
    ranks = authority_ranks(source.library.attributes[attribute])
    return f"{source.rank(attribute)} < {ranks}" if ranks else "false"


def _disputed(con: DuckDBPyConnection, number: int, attribute: str, witnesses: Sequence[Source]) -> None:
    """Add one attribute to `SPEAKERS` and `STATEMENTS`; only what differs is brought to its normal form."""
    library, total = witnesses[0].library, len(witnesses)
    stating = [source for source in witnesses if attribute in source.resource.supplies]
    value, has_say = name("v_" + attribute), name("r_" + attribute)
    normal = normal_macro(library, attribute)
    everyone = " UNION ALL ".join(
        f"SELECT key, {_bit(source.index, total)} AS who, {value} AS v FROM {_table(source)} WHERE {value} IS NOT NULL"
        for source in stating
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE copying_keys AS SELECT key, bit_or(who) AS who, min(v) <> max(v) AS disputed,"
        f" row_number() OVER () * {len(library.attributes)} + {number} AS cell FROM ({everyone}) GROUP BY key;"
        f" INSERT INTO {SPEAKERS} SELECT {number}, who, count(*) FROM copying_keys GROUP BY who"
    )
    for source in stating:
        con.execute(
            f"INSERT INTO {STATEMENTS} SELECT * FROM (SELECT cell, {number}, {source.index},"
            f" CAST({normal}(s.{value}) AS VARCHAR) AS said, s.{has_say} FROM {_table(source)} s"
            " JOIN copying_keys k USING (key) WHERE k.disputed) WHERE said IS NOT NULL"
        )


def _bit(index: int, total: int) -> str:
    return f"'{'0' * index}1{'0' * (total - index - 1)}'::BIT"


_CELLS = f"""
    WITH places AS (SELECT unnest(range(bit_length(who))) AS place, who, cells FROM {SPEAKERS}),
         heard AS (SELECT place, who, cells FROM places WHERE get_bit(who, place::INTEGER) = 1)
    SELECT a.place, b.place, sum(a.cells)::BIGINT
    FROM (SELECT place, who, sum(cells) AS cells FROM heard GROUP BY ALL) a
    JOIN (SELECT DISTINCT place, who FROM heard) b ON a.who = b.who AND a.place < b.place GROUP BY ALL
"""


def _within(library: Library, compared: Sequence[str]) -> str:
    """Whether `said` lies within the attribute's tolerance of `right_one`, as SQL; false for most."""
    cases = []
    for number, attribute in enumerate(compared):
        stated: Attribute = library.attributes[attribute]
        if stated.tolerance:
            dates = stated.as_column().logical_type is ColumnType.date
            apart = "date_diff('day', said::DATE, right_one::DATE)" if dates else "said::DOUBLE - right_one::DOUBLE"
            cases.append(f"WHEN {number} THEN abs({apart}) <= {stated.tolerance}")
    return f"CASE attribute {' '.join(cases)} ELSE false END" if cases else "false"


def _repeats(con: DuckDBPyConnection, grouping: Grouping, within: str) -> Directed:
    """For each two sources how many errors of the first the second repeats, when each group has one vote."""
    group = f"[{', '.join(map(str, grouping))}][source + 1]"
    found = con.execute(f"""
        WITH statements AS MATERIALIZED (SELECT *, {group} AS grp FROM {STATEMENTS}),
             votes AS (SELECT cell, said, count(DISTINCT grp) AS votes, bool_or(authority) AS authority
                       FROM statements GROUP BY cell, said),
             ranked AS (SELECT *, max(votes) OVER (PARTITION BY cell) AS most FROM votes),
             believed AS (SELECT cell, arg_max(said, votes) AS right_one, max(votes) AS most,
                                 CASE WHEN bool_or(authority) THEN {AGAINST_AUTHORITY} ELSE {AGAINST} END AS times
                          FROM ranked GROUP BY cell
                          HAVING count(*) FILTER (votes = most) = 1 AND NOT bool_or(authority AND votes < most)),
             wrong AS (SELECT s.*, b.right_one, b.most, b.times, v.votes FROM statements s
                       JOIN believed b USING (cell) JOIN votes v USING (cell, said)
                       WHERE s.said <> b.right_one AND NOT ({within}) AND b.most >= {VOTES}),
             pairs AS (SELECT e.source AS one, o.source AS other, e.attribute, e.said = o.said AS same,
                              e.votes - (e.said = o.said AND e.grp <> o.grp)::INTEGER AS with_it,
                              e.most - (o.said = e.right_one)::INTEGER AS against_it, e.times
                       FROM wrong e JOIN statements o ON o.cell = e.cell AND o.source <> e.source),
             counted AS (SELECT one, other, attribute, count(*) AS errors, count(*) FILTER (same) AS shared FROM pairs
                         WHERE against_it >= greatest({VOTES}, times * with_it) GROUP BY ALL)
        SELECT one, other, sum(errors)::BIGINT, sum(shared)::BIGINT,
               coalesce(list(attribute ORDER BY attribute) FILTER (shared > 0), [])
        FROM counted GROUP BY ALL""")
    return {(one, other): Repeats(e, s, tuple(a)) for one, other, e, s, a in found.fetchall()}


def _settle(con: DuckDBPyConnection, within: str, start: Grouping, count: int) -> tuple[Grouping, Directed]:
    """Measure and group until the groups are some that were there before.

    Where they go in a circle, only what is grouped all the way round it stands.
    """
    seen: list[Grouping] = []
    grouping, repeats = start, dict[tuple[int, int], Repeats]()
    while grouping not in seen and len(seen) < ROUNDS:
        seen.append(grouping)
        repeats = dict(_repeats(con, grouping, within))
        grouping = copying.grouped(repeats, start, count)
    circle = seen[seen.index(grouping) :] if grouping in seen else [*seen, grouping]
    if len(circle) > 1:
        grouping = copying.common(circle)
        repeats = dict(_repeats(con, grouping, within))
    return grouping, repeats
