"""Entities of whom sources say different things: which value stands, on what grounds, and who is told.

One attribute after the other, over the records of the entities in dispute alone. Raw values that differ are compared in
the attribute's normal form and tolerance. The best standing wins; under `otherwise: majority`, where nobody listed has
spoken, the value that more independent sources agree on than on any other, if they are two or more.

The authority's value stands whatever others say, but where `doubted_by` independent sources agree with each other on
one other value it is in doubt: it is not known who is wrong, so the authority is asked and nobody else is accused.
A doubted value (see `quality_checks.sources`) has no vote, and of each voice only its best value has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duckdb import DuckDBPyConnection

from catalog.columns import ColumnType
from catalog.models import Attribute, Library
from quality_checks.macros import name
from quality_checks.matrix import AGREES, COMPARED, DIFFERS, LETTERS, departments, outcome_sql
from quality_checks.sources import (
    DOUBT_BIT,
    MUTE_BIT,
    Source,
    authority_ranks,
    by_index,
    listed_ranks,
    normal_macro,
    standing_index,
    standing_rank,
    standing_text,
    suppliers,
    voices,
)

# Temporary tables, all but the first two anew for each attribute.
DISPUTED = "temp.library_disputed"  # one row per entity with a dispute: `id`, `key`, and per attribute `b_`, `best_`
SPOKEN = "temp.library_spoken"  # one row per record of those: `id, src, _record_key, _delivery_id`, `v_`, `k_`, `w_`
WINNERS = "temp.library_winners"  # one row per entity: `id, v, k, _record_key, _delivery_id, won`
VOTES = "temp.library_votes"  # one row per entity: `id, best, votes, titles, tied`
DOUBTS = "temp.library_doubts"  # `VOTES` against the authority, of the entities where they are enough
CELLS = "temp.library_cells"  # one row per record that states the attribute, beside the value that stands


def settled(attribute: str) -> str:
    """The table `settle` writes for an attribute in dispute: `id`, `v`, `k`, `source`, `outcome`, `said`."""
    return f"temp.{name('library_settled_' + attribute)}"


def disputed_in(con: DuckDBPyConnection, library: Library, entities: str) -> dict[str, float]:
    """Attributes on which sources of some entity differ -> share of the entities."""
    shares = ", ".join(f"avg({name('b_' + attribute)}::INTEGER)" for attribute in library.attributes)
    found = con.execute(f"SELECT {shares} FROM {entities}").fetchone() or ()
    return {attribute: share for attribute, share in zip(library.attributes, found, strict=True) if share}


def gather(con: DuckDBPyConnection, attributes: Sequence[str], entities: str, said: str) -> None:
    """Write `SPOKEN`: what each record of an entity in dispute says of the attributes in dispute, if it does."""
    if not attributes:
        return
    disputed = " OR ".join(name("b_" + a) for a in attributes)
    flags = ", ".join(f"{name('b_' + a)}, {name('k_' + a)} AS {name('best_' + a)}" for a in attributes)
    create(con, DISPUTED, f"SELECT rowid AS id, key, {flags} FROM {entities} WHERE {disputed}")
    columns = []
    for attribute in attributes:
        value, standing, won, split, best = (name(kind + attribute) for kind in ("v_", "k_", "w_", "b_", "best_"))
        columns.append(f"CASE WHEN {split} THEN {value} END AS {value}, {standing}, {standing} = {best} AS {won}")
    speaks = " OR ".join(f"{name('v_' + a)} IS NOT NULL" for a in attributes)
    create(
        con,
        SPOKEN,
        f"SELECT id, src, _record_key, _delivery_id, {', '.join(columns)} FROM {said} JOIN {DISPUTED} USING (key)"
        f" WHERE {speaks}",
    )


def settle(con: DuckDBPyConnection, witnesses: Sequence[Source], attribute: str, titles: Sequence[str]) -> None:
    """Write the attribute's `settled` table, and `WINNERS`, `CELLS` and `DOUBTS` for those who tell departments of it.

    `titles` are those of the sources' departments, by index.
    """
    dispute = _Dispute(witnesses, attribute, titles)
    create(con, WINNERS, dispute.best_sql())
    if dispute.stated.otherwise == "majority":
        create(con, VOTES, dispute.votes_sql(dispute.unlisted_sql()))
        create(con, WINNERS, dispute.elected_sql())
    create(con, CELLS, dispute.cells_sql())
    create(con, DOUBTS, dispute.doubts_sql())
    create(con, settled(attribute), dispute.settled_sql())


def create(con: DuckDBPyConnection, table: str, query: str) -> None:
    """A temporary table, whatever was there before."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table.removeprefix('temp.')} AS {query}")


def forget(con: DuckDBPyConnection) -> None:
    """Give back the memory of what was settled; the `settled` tables stay."""
    drop(con, [DISPUTED, SPOKEN, WINNERS, VOTES, DOUBTS, CELLS])


def drop(con: DuckDBPyConnection, tables: Iterable[str]) -> None:
    """Drop the temporary tables, those of them that are there."""
    con.execute("; ".join(f"DROP TABLE IF EXISTS {table}" for table in tables))


def differ(stated: Attribute, one: str, other: str) -> str:
    """Whether two normal forms differ by more than the tolerance; NULL where one of them contradicts nobody."""
    if not stated.tolerance:
        return f"{one} <> {other}"
    if stated.as_column().logical_type is ColumnType.date:
        return f"abs(date_diff('day', {one}, {other})) > {stated.tolerance}"
    return f"abs({one} - {other}) > {stated.tolerance}"


class _Dispute:
    """The SQL of one attribute's disputes."""

    def __init__(self, witnesses: Sequence[Source], attribute: str, titles: Sequence[str]) -> None:
        self.attribute = attribute
        self.library = witnesses[0].library
        self.stated: Attribute = self.library.attributes[attribute]
        self.stating = suppliers(witnesses, attribute)
        self.first, self.listed = authority_ranks(self.stated), listed_ranks(self.stated)
        self.departments = departments(witnesses)
        self.titles = by_index(titles)
        spoken = voices(witnesses, attribute)
        numbers = {voice: number for number, voice in enumerate(sorted(set(spoken.values())))}
        listed = ", ".join(str(numbers[spoken[w.index]]) if w.index in spoken else "NULL" for w in witnesses)
        self.voices = f"[{listed}]::SMALLINT[]"
        v, k, w = (name(kind + attribute) for kind in ("v_", "k_", "w_"))
        self.said = (
            f"SELECT id, src, _record_key, _delivery_id, {v} AS v, {k} AS k, {w} AS w FROM {SPOKEN}"
            f" WHERE {v} IS NOT NULL"
        )

    def normal(self, value: str) -> str:
        return f"{normal_macro(self.library, self.attribute)}({value})"

    def differ(self, one: str, other: str) -> str:
        return differ(self.stated, one, other)

    def agree(self, one: str, other: str) -> str:
        """As `differ`, the other way round; an equality where it can be, which joins by it."""
        return f"NOT ({self.differ(one, other)})" if self.stated.tolerance else f"{one} = {other}"

    def best_sql(self) -> str:
        """The best standing of each entity, and of the records that have it the first by key."""
        return (
            "SELECT id, arg_min(v, _record_key) AS v, any_value(k) AS k, min(_record_key) AS _record_key,"
            f" arg_min(_delivery_id, _record_key) AS _delivery_id, false AS won FROM ({self.said}) WHERE w GROUP BY id"
        )

    def unlisted_sql(self) -> str:
        """What counts for a majority: the values that are not in doubt, where nobody listed has spoken."""
        unlisted = f"SELECT id FROM {WINNERS} WHERE {standing_rank('k')} = {self.listed} AND {_sure('k')}"
        sure = f"SELECT *, ({self.voices})[src + 1] AS voice, true AS counts FROM ({self.said}) WHERE {_sure('k')}"
        return f"SELECT s.* FROM ({sure}) s SEMI JOIN ({unlisted}) w USING (id)"

    def votes_sql(self, said: str) -> str:
        """The value that most voices agree on, per entity: `best` (the best standing of those who state it), `votes`,
        `titles` of the departments, and whether it is `tied` with another. Of each voice its best value counts, if it
        `counts` at all.
        """
        ballots = (
            "SELECT id, voice, arg_min({'v': v, 'k': k, 'src': src, 'key': _record_key, 'delivery': _delivery_id,"
            f" 'counts': counts}}, (k, _record_key)) AS best FROM ({said}) GROUP BY id, voice"
        )
        counted = (
            "SELECT a.id, a.voice, any_value(a.best) AS best, any_value(a.n) AS n, count(*) AS votes,"
            f" string_agg(({self.titles})[b.best.src + 1], '、' ORDER BY b.best.src) AS titles"
            f" FROM formed a JOIN formed b ON a.id = b.id AND {self.agree('a.n', 'b.n')} GROUP BY a.id, a.voice"
        )
        return (
            f"WITH formed AS MATERIALIZED (SELECT *, {self.normal('best.v')} AS n FROM ({ballots}) WHERE best.counts),"
            f" counted AS MATERIALIZED ({counted}), top AS (SELECT id,"
            " arg_min({'best': best, 'n': n, 'votes': votes, 'titles': titles}, (-votes, best.k, best.key)) AS t"
            " FROM counted GROUP BY id)"
            " SELECT c.id, any_value(t.best) AS best, any_value(t.votes) AS votes, any_value(t.titles) AS titles,"
            f" bool_or(c.votes = t.votes AND {self.differ('c.n', 't.n')}) AS tied"
            " FROM counted c JOIN top USING (id) GROUP BY c.id"
        )

    def elected_sql(self) -> str:
        """`WINNERS` with the majority's value where there is one, by `VOTES`."""
        elected = "d.votes > 1 AND NOT d.tied"
        chosen = {"v": "v", "k": "k", "key": "_record_key", "delivery": "_delivery_id"}
        columns = [f"CASE WHEN {elected} THEN d.best.{one} ELSE w.{own} END AS {own}" for one, own in chosen.items()]
        return (
            f"SELECT w.id, {', '.join(columns)}, coalesce({elected}, false) AS won"
            f" FROM {WINNERS} w LEFT JOIN {VOTES} d USING (id)"
        )

    def cells_sql(self) -> str:
        """Every record beside the winner: whether it `differs`, and whether it is `ranked`: may be compared with it."""
        forms = self.differ(self.normal("s.v"), self.normal("w.v"))
        ranked = "false"
        if self.stated.compare is not None:
            own, theirs = standing_rank("s.k"), standing_rank("w.k")
            department = f"({by_index(self.departments)})"
            ranked = (
                f"{_sure('w.k')} AND {theirs} < least({own}, {self.listed}) AND {own} >= {self.first}"
                f" AND {department}[s.src + 1] <> {department}[{standing_index('w.k')} + 1]"
            )
        return (
            "SELECT s.id, s.src, s._record_key, s._delivery_id, s.v, s.k, w.v AS wv, w.k AS wk, w.won,"
            f" ({self.voices})[s.src + 1] AS voice, ({self.voices})[{standing_index('w.k')} + 1] AS wvoice,"
            f" CASE WHEN s.v = w.v THEN false ELSE coalesce({forms}, false) END AS differs, {ranked} AS ranked"
            f" FROM ({self.said}) s JOIN {WINNERS} w USING (id)"
        )

    def doubts_sql(self) -> str:
        """The votes against the authority, where they are enough to put its value in doubt."""
        undoubted = f"((k >> {DOUBT_BIT}) & 1) = 0"  # a value that never stands may still speak against one that does
        against = f"{_sure('wk')} AND {standing_rank('wk')} < {self.first} AND voice <> wvoice AND {undoubted}"
        if self.stated.compare is None:
            against = "false"
        many = (
            f"SELECT id FROM {CELLS} WHERE differs AND {against}"
            f" GROUP BY id HAVING count(DISTINCT voice) >= {self.stated.doubted_by}"
        )
        said = f"SELECT *, differs AS counts FROM {CELLS} SEMI JOIN ({many}) m USING (id) WHERE {against}"
        return f"SELECT * FROM ({self.votes_sql(said)}) WHERE votes >= {self.stated.doubted_by}"

    def settled_sql(self) -> str:
        """One row per entity: the value that stands, its standing, department, outcome and what each source said."""
        mute = f"(wk >> {MUTE_BIT}) = 1"
        letter = (
            f"CASE WHEN {mute} THEN {DIFFERS} ELSE CASE WHEN differs THEN {DIFFERS} ELSE {AGREES} END"
            f" + CASE WHEN ranked AND d.id IS NULL THEN {COMPARED} ELSE 0 END END"
        )
        letters = " || ".join(
            f"substr('{LETTERS}', coalesce(max(letter) FILTER (src = {source.index}), 0) + 1, 1)"
            for source in self.stating
        )
        rank = standing_rank("any_value(wk)")
        split = (
            f"CASE WHEN bool_or(differs AND voice <> wvoice) THEN CASE WHEN {rank} < {self.first} THEN"
            " CASE WHEN bool_or(doubted) THEN 'authority_doubted' ELSE 'authority_prevails' END"
            " WHEN bool_or(won) THEN 'agreed' ELSE 'undecided' END END"
        )
        muted = f"(any_value(wk) >> {MUTE_BIT}) = 1"
        outcome = outcome_sql(self.stated, rank, muted, "NOT bool_or(voice <> wvoice)", split)
        return (
            f"SELECT id, CASE WHEN NOT {muted} THEN any_value(wv) END AS v, any_value(wk) AS k,"
            f" CASE WHEN NOT {muted} THEN {standing_text('any_value(wk)', self.departments)} END AS source,"
            f" {outcome} AS outcome, {letters} AS said"
            f" FROM (SELECT c.*, d.id IS NOT NULL AS doubted, {letter} AS letter"
            f" FROM {CELLS} c LEFT JOIN {DOUBTS} d USING (id)) GROUP BY id"
        )


def _sure(standing: str) -> str:
    """Whether a standing is of a value that may stand and is not in doubt."""
    return f"({standing} >> {DOUBT_BIT}) = 0"
