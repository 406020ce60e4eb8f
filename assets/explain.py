"""Why does the library say this? Of one entity: each value, who stated it where and when, what was checked, what all
others say, and what was believed before.

What is believed is read from `base` and `history`, what is said from the pools as they are now; a pool that was loaded
since the library was built may say something else already, and that is what is shown. How it looks on a screen is
`assets.explain_text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from duckdb import DuckDBPyConnection

from assets.base import take_links
from assets.explanation import AttributeStory, Explanation, Finding, Statement, Version
from assets.history import entity_id
from catalog.authority import Term
from catalog.columns import Column, ColumnType
from catalog.models import Attribute, Library
from quality_checks.disputes import differ
from quality_checks.identity_decisions import FOUNDED
from quality_checks.macros import name, quote
from quality_checks.rules import all_rules
from quality_checks.sources import LINKS, MARKS, Source, key_macro, normal_macro, prepared
from resources.city import City
from resources.ledger_states import read_states

REASONS = {
    "single": "nobody else states it",
    "agreed": "those who state it agree",
    "authority_prevails": "{source} has the say; others state otherwise",
    "substitute": "{authority} has stated nothing that stands; {source} comes next",
    "authority_doubted": "{source} has the say, and several independent departments agree on another value",
    "undecided": "nobody who has the say has spoken; those who state it differ",
}


class UnknownEntityError(LookupError):
    """The library believes in no such entity; the message says what is known of it."""


def explain(
    city: City, library_name: str, key: str, attribute: str | None = None, *, masked: bool = False
) -> Explanation:
    """Explain one entity, or one attribute of it.

    Args:
        city: the open city; read-only will do.
        library_name: which library.
        key: the entity's key in any spelling its normal form knows, a key that was found to be this entity, or its id.
        attribute: explain this one alone.
        masked: values and keys as others than their departments may see them.

    Raises:
        UnknownEntityError: nobody speaks of such an entity; the message says since when, or what is known.
        LookupError: no such library or attribute; the message names those there are.
    """
    library = city.catalog.libraries.get(library_name)
    if library is None:
        raise LookupError(f"library = {library_name!r}; must be one of: {', '.join(city.catalog.libraries)}")
    if attribute and attribute not in library.attributes:
        raise LookupError(f"attribute = {attribute!r}; {library.name} has: {', '.join(library.attributes)}")
    return _Inquiry(city, library, masked=masked).answer(key, [attribute] if attribute else list(library.attributes))


class _Inquiry:
    """One question, with temporary tables of the connection as its notebook."""

    def __init__(self, city: City, library: Library, *, masked: bool) -> None:
        self.city = city
        self.con: DuckDBPyConnection = city.con
        self.library = library
        self.masked = masked
        take_links(self.con, library)
        self.sources = prepared(self.con, city.catalog, library)
        self._known: dict[str, set[str]] = {}  # resource -> its rules that were evaluated
        self._broken: dict[tuple[str, str], list[tuple[str, str]]] = {}  # resource, record -> open (column, rule)
        self._rows: dict[tuple[int, str], int] = {}  # source, record -> row in its delivery

    def answer(self, asked: str, attributes: Sequence[str]) -> Explanation:
        entity = self._find(asked)
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE _entity AS FROM base.{self._table} WHERE entity_id = {quote(entity)}::UUID"
        )
        key = name(self.library.key)
        shown = self._shown(f"coalesce({key}, entity_id::VARCHAR)", self._key_mask())
        shown_key, bare_key, speaking, began, ended, since = self._one(
            f"SELECT {shown}, {key}, _sources, began_on, ended_on, _believed_from FROM _entity"
        )
        self._gather(entity, bare_key)
        return Explanation(
            library=self.library.name,
            title=self.library.title.zh,
            key=shown_key,
            entity_id=entity,
            sources=speaking,
            began_on=began,
            ended_on=ended,
            believed_from=since,
            attributes=tuple(self._story(one) for one in attributes),
            blocked=tuple(self._blocked(bare_key)),
            links=tuple(self._links(entity)),
            findings=tuple(self._findings(attributes)),
        )

    @property
    def _table(self) -> str:
        return name(self.library.name)

    def _one(self, query: str, given: list[object] | dict[str, object] | None = None) -> tuple[Any, ...]:
        return self.con.execute(query, given or []).fetchone() or ()

    def _find(self, asked: str) -> str:
        """The entity's id: by key, by a key that is known to be its, or by the id itself."""
        normal = asked
        if not asked.startswith(FOUNDED):
            [key] = self._one(f"SELECT nullif(CAST({key_macro(self.library)}(?) AS VARCHAR), '')", [asked])
            normal = key or asked
        alias = self._one(
            "SELECT entity_key FROM base._links WHERE library = ? AND alias_key = ?", [self.library.name, normal]
        )
        wanted = alias[0] if alias else normal
        [by_key] = self._one(f"SELECT {entity_id(self.library, '?')}::VARCHAR", [wanted])
        for table in ("base", "history"):
            found = self._one(
                f"SELECT entity_id::VARCHAR, max(_believed_from) FROM {table}.{self._table}"
                " WHERE entity_id::VARCHAR IN (?, ?) GROUP BY ALL",
                [by_key, asked],
            )
            if found and table == "base":
                return str(found[0])
            if found:
                raise UnknownEntityError(self._left(found[0], asked))
        raise UnknownEntityError(self._nobody(asked, normal))

    def _left(self, entity: str, asked: str) -> str:
        last, day = self._one(
            f"SELECT min(_believed_from), max(_believed_to) FROM history.{self._table} WHERE entity_id::VARCHAR = ?",
            [entity],
        )
        return (
            f"{self.library.name}: nobody speaks of {self._told(asked)} since {day}; it was believed from {last} on."
            " What was believed:"
            f" shuyuan sql \"SELECT * FROM history.{self.library.name} WHERE entity_id = '{entity}'\""
        )

    def _nobody(self, asked: str, normal: str) -> str:
        spelt = "" if normal == asked else f" (in normal form {self._told(normal)})"
        kept_out = [
            source.resource.id
            for source in self.sources
            if self._one(f"SELECT 1 FROM {source.pool} WHERE {source.key} = ? LIMIT 1", [normal])
        ]
        if kept_out:
            return (
                f"{self.library.name}: {self._told(asked)}{spelt} is named by {', '.join(kept_out)}, but findings of"
                " severity block keep those records out, or the library was not built since; see `shuyuan orders list`"
            )
        return (
            f"{self.library.name}: nobody has ever spoken of {self._told(asked)}{spelt};"
            f" a key is the {self.library.key_title} of a {self.library.entity}"
        )

    def _gather(self, entity: str, key: str | None) -> None:
        """Write `_said`: one row per record that speaks of the entity and attribute it states."""
        by_id = f"{entity_id(self.library, 's.key')} = {quote(entity)}::UUID"
        same = f"s.key = {quote(key)}" if key else by_id
        kinds = {"place": "INTEGER", "_as_of": "DATE", "doubted": "BOOLEAN", "agrees": "BOOLEAN"}
        kinds |= dict.fromkeys(("resource", "_record_key", "_delivery_id", "attribute", "value", "shown"), "VARCHAR")
        nothing = ", ".join(f"NULL::{kind} AS {column}" for column, kind in kinds.items())
        parts = [f"SELECT {nothing} WHERE false"]
        for source in self.sources:
            told = ", ".join(self._told_by(source, attribute) for attribute in source.resource.supplies)
            parts.append(
                "SELECT place, resource, _record_key, _delivery_id, _as_of, unnest(told, max_depth := 2) FROM ("
                f"SELECT {source.index} AS place, {quote(source.resource.id)} AS resource, s._record_key,"
                f" s._delivery_id, s._as_of, [{told}] AS told FROM ({source.relation()}) s, _entity e WHERE {same})"
            )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE _said AS {' UNION ALL BY NAME '.join(parts)}")
        self._look_up()

    def _look_up(self) -> None:
        """What the records in `_said` are known by: row of the delivery, rules evaluated, rules broken."""
        speaking = {place for (place,) in self.con.execute("SELECT DISTINCT place FROM _said").fetchall()}
        for source in (self.sources[place] for place in sorted(speaking)):
            records = f"SELECT _record_key FROM _said WHERE place = {source.index}"
            query = f"SELECT _record_key, _row FROM {source.pool} WHERE _record_key IN ({records})"
            self._rows |= {(source.index, record): row for record, row in self.con.execute(query).fetchall()}
        evaluated = self.con.execute(
            "SELECT concat(department, '.', resource), list(DISTINCT rule_id) FROM quality.results"
            " WHERE state = 'ok' AND concat(department, '.', resource) IN (SELECT resource FROM _said) GROUP BY 1"
        ).fetchall()
        self._known = {resource: set(rules) for resource, rules in evaluated}
        found = self.con.execute(
            'SELECT s.resource, f.record_key, f."column", f.rule_id FROM quality.findings f'
            " JOIN (SELECT DISTINCT resource, _record_key FROM _said) s"
            " ON s.resource = concat(f.department, '.', f.resource) AND s._record_key = f.record_key"
            " WHERE f.status = 'open' ORDER BY f.rule_id"
        ).fetchall()
        for resource, record, column, rule in found:
            self._broken.setdefault((resource, record), []).append((column, rule))

    def _told_by(self, source: Source, attribute: str) -> str:
        said, believed = f"s.{name('v_' + attribute)}", f"e.{name(attribute)}"
        normal = normal_macro(self.library, attribute)
        apart = differ(self.library.attributes[attribute], f"{normal}({said})", f"{normal}({believed})")
        agrees = f"{believed} IS NOT NULL AND ({said} = {believed} OR NOT coalesce({apart}, false))"
        doubted = source.doubted(attribute) if source.marked else "false"
        shown = self._shown(said, self._mask(attribute))
        return (
            f"{{attribute: {quote(attribute)}, value: {said}::VARCHAR, shown: {shown},"
            f" doubted: {doubted}, agrees: {agrees}}}"
        )

    def _mask(self, attribute: str) -> str:
        return self.library.attributes[attribute].as_column().mask

    def _meaning(self, attribute: str, value: str) -> str:
        """What the attribute's code list says of a value, as SQL; null where there is none, or the value is masked."""
        codes = self.library.attributes[attribute].codes
        if not codes or (self.masked and self._mask(attribute)):
            return "NULL"
        return f"(SELECT c.zh FROM codes.{name(codes)} c WHERE c.code = {value})"

    def _key_mask(self) -> str:
        key = Column(title=self.library.key_title, type=ColumnType.text, level=self.library.key_level)
        return "" if key.is_open else "mask_id"

    def _shown(self, value: str, mask: str) -> str:
        text = f"CAST({value} AS VARCHAR)"
        if not self.masked:
            return text
        return f"{mask}({text})" if mask else f"mask_shapes({text})"

    def _told(self, key: str) -> str:
        return str(self._one(f"SELECT {self._shown(quote(key), self._key_mask())}")[0])

    def _story(self, attribute: str) -> AttributeStory:
        stated = self.library.attributes[attribute]
        columns = ", ".join(name(attribute + kind) for kind in ("_source", "_outcome"))
        shown = self._shown(name(attribute), self._mask(attribute))
        means = self._meaning(attribute, name(attribute))
        value, meaning, source, outcome = self._one(f"SELECT {shown}, {means}, {columns} FROM _entity")
        statements = tuple(self._statements(attribute, source))
        speaking = {one.resource for one in statements}
        supplying = [s.resource.id for s in self.sources if attribute in s.resource.supplies]
        return AttributeStory(
            attribute,
            stated.title,
            value,
            meaning,
            outcome,
            self._why(stated, outcome, source, len({one.department for one in statements})),
            statements,
            tuple(one for one in supplying if one not in speaking),
            tuple(self._versions(attribute)),
        )

    def _why(self, stated: Attribute, outcome: str | None, source: str | None, departments: int) -> str:
        if outcome is None:
            return "those who state it have no say" if departments else "nobody states it"
        if outcome == "single" and departments > 1:
            return "those who state it have it from one origin"
        terms = self._terms(stated) if outcome == "substitute" else ()
        if outcome == "substitute" and not terms:
            return f"no authority is declared; {source} comes next"
        return REASONS[outcome].format(authority=" or ".join(map(_term, terms)), source=source)

    def _terms(self, stated: Attribute) -> Sequence[Term]:
        """Who has the say on the attribute of this entity, or had it."""
        if stated.authority is None or not stated.authority.by:
            return stated.authority.terms if stated.authority else ()
        by = f"CAST({stated.authority.by} AS VARCHAR)"
        [kind] = self._one(f"SELECT {by} FROM (SELECT {name(self.library.key)} AS key FROM _entity)")
        return stated.authority.of.get(kind, ())

    def _statements(self, attribute: str, believed: str | None) -> Iterator[Statement]:
        rows = self.con.execute(
            f"SELECT s.place, s.resource, s.shown, {self._meaning(attribute, 's.value')}, s.agrees, s.doubted,"
            " s._record_key, s._delivery_id, d.file_name, s._as_of"
            " FROM _said s LEFT JOIN shuyuan.ops.deliveries d ON d.delivery_id = s._delivery_id, _entity e"
            " WHERE s.attribute = ? AND s.value IS NOT NULL"
            " ORDER BY split_part(s.resource, '.', 1) IS NOT DISTINCT FROM ?"
            f" AND s.value = e.{name(attribute)}::VARCHAR DESC, s.agrees DESC, s._as_of DESC, s.resource,"
            " s._record_key",
            [attribute, believed],
        ).fetchall()
        for place, resource, shown, meaning, agrees, doubted, record, delivery, file, as_of in rows:
            source = self.sources[place]
            kept, broken = self._rules(source, attribute, record)
            yield Statement(
                source.resource.department, resource, shown, meaning, "agrees" if agrees else "differs", doubted,
                self._told(record) if self.masked else record, delivery, file, self._rows[place, record], as_of,
                kept, broken,
            )  # fmt: skip

    def _rules(self, source: Source, attribute: str, record: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Rules on the columns the value comes from, as last evaluated: those the record keeps, those it breaks."""
        resource = source.resource
        columns = {*source.supplying(attribute), attribute}
        broken = tuple(rule for column, rule in self._broken.get((resource.id, record), ()) if column in columns)
        known = self._known.get(resource.id, set()).difference(broken)
        rules = all_rules(resource, self.city.catalog)
        return tuple(rule.id for rule in rules if rule.column in columns and rule.id in known), broken

    def _versions(self, attribute: str) -> Iterator[Version]:
        """Stretches of business days with one value from one source, the newest first."""
        shown = self._shown(name(attribute), self._mask(attribute))
        means = self._meaning(attribute, name(attribute))
        columns = ", ".join(name(attribute + kind) for kind in ("", "_source", "_as_of", "_outcome"))
        rows = self.con.execute(
            f"SELECT {shown}, {means}, {columns}, _believed_from, _believed_to FROM ("
            "SELECT *, NULL::DATE AS _believed_to FROM _entity UNION ALL BY NAME"
            f" SELECT * FROM history.{self._table} WHERE entity_id = (SELECT entity_id FROM _entity))"
            " ORDER BY _believed_from DESC, coalesce(_believed_to, DATE '9999-12-31') DESC"
        ).fetchall()
        for _, stretch in groupby(rows, key=lambda row: row[2:4]):
            newest, *_ = run = list(stretch)
            shown_value, meaning, _, source, as_of, outcome, _, ended = newest
            yield Version(shown_value, meaning, source, as_of, outcome, run[-1][6], ended)

    def _blocked(self, key: str | None) -> Iterator[str]:
        aliases = f"SELECT alias_key FROM {LINKS} WHERE kind = 'key' AND entity_key = $key"
        for source in self.sources:
            resource = source.resource
            if key and self._one(
                f"SELECT 1 FROM {source.pool} WHERE ({source.key} = $key OR {source.key} IN ({aliases}))"
                f" AND _record_key IN (SELECT _record_key FROM {MARKS}"
                " WHERE _blocked AND department = $department AND resource = $resource) LIMIT 1",
                {"key": key, "department": resource.department, "resource": resource.name},
            ):
                yield resource.id

    def _links(self, entity: str) -> Iterator[dict[str, Any]]:
        shown = self._shown("coalesce(alias_key, record_key)", self._key_mask())
        found = self.con.execute(
            f"SELECT kind, {shown} AS key, department, resource, how, probability, since FROM base._links"
            f" WHERE library = ? AND CAST({entity_id(self.library, 'entity_key')} AS VARCHAR) = ? ORDER BY ALL",
            [self.library.name, entity],
        )
        names = [column[0] for column in found.description]
        yield from (dict(zip(names, row, strict=True)) for row in found.fetchall())

    def _findings(self, attributes: Sequence[str]) -> Iterator[Finding]:
        """Open findings on the records that speak, on the columns of these attributes, with their orders."""
        columns = sorted(
            {(s.resource.id, c) for s in self.sources for a in attributes if a in s.resource.supplies
             for c in (*s.supplying(a), a)}
        )  # fmt: skip
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE _found AS"
            " SELECT f.finding_id AS item_id, f.* FROM quality.findings f"
            " SEMI JOIN _said s ON s.resource = concat(f.department, '.', f.resource) AND s._record_key = f.record_key"
            " WHERE f.status = 'open' AND list_contains($1, concat(f.department, '.', f.resource, '|', f.\"column\"))",
            [[f"{resource}|{column}" for resource, column in columns]],
        )
        read_states(self.con, self.city.home, "_items", "_found")
        rows = self.con.execute(
            "SELECT f.rule_id, f.severity, concat(f.department, '.', f.resource), f.record_key, f.\"column\","
            " f.first_seen, o.order_number, i.state, o.due_on FROM _found f"
            " LEFT JOIN _items i ON i.item_id = f.item_id AND NOT i.closed"
            " LEFT JOIN shuyuan.ledger.orders o ON o.order_id = i.order_id ORDER BY ALL"
        ).fetchall()
        for rule, severity, resource, record, *rest in rows:
            yield Finding(rule, severity, resource, self._told(record) if self.masked else record, *rest)


def _term(term: Term) -> str:
    return str(term) if term.from_ or term.to else term.department
