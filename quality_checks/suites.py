"""What a suite evaluates: the rules of one table and the relation their SQL speaks about.

The relation is the table itself with each `lookup` beside it as a STRUCT column, so that `person.death_date` in a rule
reads a field and a record is never multiplied. Add a new kind of checked table here. Running a suite is
`quality_checks.runner`; where findings go is `quality_checks.findings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import duckdb
from duckdb import DuckDBPyConnection

from catalog.columns import CODE_COLUMNS
from catalog.divisions import DIVISIONS, vocabulary
from catalog.load import Catalog
from catalog.models import PROVENANCE, Library, Resource, ThematicTable
from catalog.reading import CatalogProblem
from catalog.rules import MOST, OBEYS, OTHER, USUAL, WHOLE, Accusation, Lookup, Rule
from quality_checks import macros, spatial, telling
from quality_checks.macros import name, quote
from quality_checks.rules import all_rules, thematic_rules


@dataclass(frozen=True)
class Suite:
    """Rules over one relation. `department` and `resource` are whose records they accuse.

    `relation` is a query with the table's columns, the lookups, `_record_key`, `_delivery_id` and `_raw`. `titles` are
    those of the accused record's own columns: what a finding may quote of it unasked.
    """

    title: str
    department: str
    resource: str
    relation: str
    rules: tuple[Rule, ...]
    titles: Mapping[str, str] = field(default_factory=dict)


def verdict(rule: Rule) -> str:
    """SQL that is true, false or, where the rule does not apply, null."""
    return applied(rule.when, rule.condition)


def applied(when: str, that: str) -> str:
    """The condition where the precondition is true, null elsewhere."""
    return f"({that})" if when == "true" else f"CASE WHEN ({when}) THEN ({that}) END"


def pool_suites(catalog: Catalog, resource: Resource, rules: Sequence[Rule]) -> list[Suite]:
    """Suites of a resource's pool: one, unless two rules give one lookup name to different tables."""
    table = f"SELECT * FROM {name(resource.department)}.{name(resource.name)}"
    titles = {column: stated.title for column, stated in resource.columns.items()}
    whole = Suite(resource.id, resource.department, resource.name, table, tuple(rules), titles)
    return list(_with_lookups(catalog, whole))


def thematic_suites(catalog: Catalog, table: ThematicTable, rules: Sequence[Rule]) -> list[Suite]:
    """Suites of a thematic table: one for each resource its rules accuse.

    A rule that accuses speaks of the rows whose record is in that resource's pool; one that accuses nobody is filed
    under the table's lead department.
    """
    found: list[Suite] = []
    for accused in dict.fromkeys(rule.accuse for rule in rules):
        chosen = tuple(rule for rule in rules if rule.accuse == accused)
        found += _with_lookups(catalog, _thematic_suite(catalog, table, accused, chosen))
    return found


def _thematic_suite(
    catalog: Catalog, table: ThematicTable, accused: Accusation | None, rules: tuple[Rule, ...]
) -> Suite:
    stored = f"thematic.{name(f'{table.topic}__{table.name}')}"
    no_raw = "NULL::MAP(VARCHAR, VARCHAR) AS _raw"
    if accused is None:
        key = ", ".join(map(name, table.key))
        relation = (
            f"SELECT *, concat_ws('|', {key}) AS _record_key, NULL::VARCHAR AS _delivery_id, {no_raw} FROM {stored}"
        )
        return Suite(table.id, table.lead, f"{table.topic}__{table.name}", relation, rules)
    resource = catalog.resources[accused.resource]
    relation = (
        f"SELECT t.*, a._record_key, a._delivery_id, {no_raw} FROM {stored} t"
        f" JOIN {name(resource.department)}.{name(resource.name)} a ON a._record_key = t.{name(accused.by)}"
    )
    return Suite(f"{table.id}.{resource.id}", resource.department, resource.name, relation, rules)


def _with_lookups(catalog: Catalog, suite: Suite) -> Iterator[Suite]:
    """The suite with its rules' lookups joined, split where two rules mean different tables by one name.

    A rule about several records is a suite of its own: its relation says of each record whether it keeps the rule.
    """
    groups: list[tuple[dict[str, Lookup], list[Rule]]] = []
    for rule in suite.rules:
        if rule.of_several:
            relation = _joined(catalog, suite.relation, rule.lookup, [rule]) if rule.lookup else suite.relation
            title = f"{suite.title}.{rule.id}"
            yield replace(suite, title=title, relation=judged(relation, rule), rules=(rule,))
            continue
        for lookups, members in groups:
            if all(lookups.get(alias, lookup) == lookup for alias, lookup in rule.lookup.items()):
                lookups.update(rule.lookup)
                members.append(rule)
                break
        else:
            groups.append((dict(rule.lookup), [rule]))
    for number, (lookups, members) in enumerate(groups, 1):
        title = suite.title if number == 1 else f"{suite.title}.{number}"
        relation = _joined(catalog, suite.relation, lookups, members) if lookups else suite.relation
        yield replace(suite, title=title, relation=relation, rules=tuple(members))


def judged(relation: str, rule: Rule) -> str:
    """The relation with `_obeys`, the verdict of a rule about several records, and for a dependency `_usual`."""
    if rule.failing:
        return (
            f"SELECT t.*, f.key IS NULL AS {OBEYS} FROM ({relation}) t"
            f" LEFT JOIN (SELECT DISTINCT key FROM ({rule.failing}) f(key)) f ON f.key = t._record_key"
        )
    columns = [name(column) for column in rule.columns_read()]
    listed, stated = ", ".join(columns), " AND ".join(f"{column} IS NOT NULL" for column in columns)
    rows = f"SELECT * FROM ({relation}) WHERE ({rule.when}) AND {stated}"
    known = " AND ".join(f"t.{column} IS NOT NULL" for column in columns)
    if rule.denied:
        pairs = (
            f"SELECT a._record_key, min(b._record_key) AS other FROM ({rows}) a JOIN ({rows}) b USING ({listed})"
            f" WHERE a._record_key <> b._record_key AND ({rule.denied.never}) GROUP BY ALL"
        )
        return (
            f"SELECT t.*, CASE WHEN {known} THEN p._record_key IS NULL END AS {OBEYS}, p.other AS {OTHER}"
            f" FROM ({relation}) t"
            f" LEFT JOIN ({pairs}) p ON p._record_key = t._record_key"
        )
    if rule.unique:
        again = f"SELECT {listed}, count(*) AS times FROM ({rows}) GROUP BY {listed} HAVING count(*) > 1"
        return (
            f"SELECT t.*, CASE WHEN {known} THEN g.times IS NULL END AS {OBEYS}, g.times AS {WHOLE} FROM ({relation}) t"
            f" LEFT JOIN ({again}) g USING ({listed})"
        )
    value = name(rule.column)
    group = f"OVER (PARTITION BY {listed})"
    counts = f"SELECT {listed}, {value} AS said, count(*) AS times FROM ({rows}) WHERE {value} IS NOT NULL GROUP BY ALL"
    most = f"SELECT *, max(times) {group} AS most, sum(times) {group} AS whole FROM ({counts})"
    told = (
        f"SELECT {listed}, said, most, whole::BIGINT AS whole, times = most AS obeys,"
        f" CASE WHEN count_if(times = most) {group} = 1 THEN arg_max(said, times) {group} END AS usual"
        f" FROM ({most}) WHERE most > {rule.majority} * whole"
    )
    same = " AND ".join(f"g.{column} = t.{column}" for column in columns)
    return (
        f"SELECT t.*, g.usual AS {USUAL}, g.most AS {MOST}, g.whole AS {WHOLE}, g.obeys AS {OBEYS}"
        f" FROM ({relation}) t LEFT JOIN ({told}) g ON {same} AND g.said = t.{value}"
    )


def _joined(catalog: Catalog, relation: str, lookups: dict[str, Lookup], rules: Sequence[Rule]) -> str:
    said = " ".join(f"{r.condition} {r.when} {r.suggest} {r.normal} {r.denied} {r.because}" for r in rules)
    keys = "".join(f", ({lookup.by}) AS {name(f'_by_{alias}')}" for alias, lookup in lookups.items())
    joins = "".join(_join(catalog, alias, lookup, said) for alias, lookup in lookups.items())
    aliases = ", ".join(f"{name(f'_of_{alias}')}.partner AS {name(alias)}" for alias in lookups)
    return f"SELECT _record.*, {aliases} FROM (SELECT *{keys} FROM ({relation})) _record{joins}"


def _join(catalog: Catalog, alias: str, lookup: Lookup, said: str) -> str:
    key, columns = _target(catalog, lookup)
    named = {word.lower() for word in re.findall(rf'\b{alias}\s*\.\s*"?(\w+)', said)}
    fields = ", ".join(f"{quote(column)}: {name(column)}" for column in columns if column in named or column == key)
    if lookup.shape:
        outline = name(lookup.shape)  # a broken outline says nothing: its own department answers for it
        fields += f", 'shape': CASE WHEN outline_ok({outline}) THEN outline_shape({outline}) END"
    kind, table = lookup.to.split(".", 1)
    source = f"{name(kind)}.{name(table)}"
    partner = f"SELECT {name(key)} AS on_key, {{{fields}}} AS partner FROM {source}"
    if kind not in (
        "base",
        "codes",
        "thematic",
    ):  # there the key is unique; elsewhere the newest of several rows stands
        newest = f"arg_max({{{fields}}}, (_as_of, _record_key))"
        partner = f"SELECT {name(key)} AS on_key, {newest} AS partner FROM {source} GROUP BY ALL"
    of = name(f"_of_{alias}")
    return f" LEFT JOIN ({partner}) {of} ON {of}.on_key = _record.{name(f'_by_{alias}')}"


def _target(catalog: Catalog, lookup: Lookup) -> tuple[str, list[str]]:
    """Key column and columns of the table a lookup leads to."""
    kind, table = lookup.to.split(".", 1)
    if kind == "codes":
        return lookup.on or "code", list(CODE_COLUMNS)
    if kind == "base":
        library = catalog.libraries[table]
        return lookup.on or library.key, list(library.columns)
    if kind == "thematic":
        theme = next(one for one in catalog.thematic.values() if f"{one.topic}__{one.name}" == table)
        return theme.key[0], list(theme.columns)
    resource = catalog.resources[lookup.to]
    return lookup.on or resource.key[0], [*resource.columns, *PROVENANCE]


def bind(
    con: DuckDBPyConnection, build: Callable[[Sequence[Rule]], list[Suite]], rules: Sequence[Rule]
) -> tuple[list[Suite], dict[str, str]]:
    """The suites of the rules whose SQL binds, and the database's message for each other rule; no row is read."""
    spatial.prepare(con, rules)
    suites = build(rules)
    if not any(_problem(con, suite) for suite in suites):
        return suites, {}
    broken = {rule.id: message for rule in rules for suite in build([rule]) if (message := _problem(con, suite))}
    return build([rule for rule in rules if rule.id not in broken]), broken


def _problem(con: DuckDBPyConnection, suite: Suite) -> str | None:
    said = [f"({verdict(rule)})::BOOLEAN" for rule in suite.rules]
    said += [part for rule in suite.rules for part in telling.parts(rule, verdict(rule), suite.titles)]
    said += [name(rule.column) for rule in suite.rules]
    return problem_of(con, f"SELECT {', '.join(said)} FROM ({suite.relation})")


def problem_of(con: DuckDBPyConnection, query: str) -> str | None:
    """Why the query cannot run, None when it can."""
    try:
        con.execute(f"DESCRIBE {query}")
    except duckdb.Error as error:
        return str(error).split("\n", 1)[0]
    return None


def check_sql(catalog: Catalog) -> list[CatalogProblem]:
    """Every SQL text of the catalogue that does not bind on the tables the catalogue declares."""
    with duckdb.connect(":memory:") as con:
        con.execute(macros.SQL)
        create_tables(con, catalog)
        return [
            CatalogProblem(file, where, sql, message)
            for file, where, sql, query in _statements(catalog)
            if (message := problem_of(con, query))
        ] + list(_rule_problems(con, catalog))


def create_tables(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """The tables of docs/architecture.md, empty."""
    con.execute("ATTACH ':memory:' AS city; USE city; CREATE SCHEMA base; CREATE SCHEMA thematic")
    con.execute("ATTACH ':memory:' AS codes")
    for codes in catalog.codes:
        _create(con, f"codes.{name(codes)}", dict.fromkeys(CODE_COLUMNS, "VARCHAR"))
    if DIVISIONS in catalog.codes and (words := vocabulary(catalog.code_file(DIVISIONS).parent)):
        con.execute(words)
    for department in catalog.departments:
        con.execute(f"ATTACH ':memory:' AS {name(department)}")
    for resource in catalog.resources.values():
        columns = {column: stated.sql_type for column, stated in resource.columns.items()}
        _create(con, f"{name(resource.department)}.{name(resource.name)}", {**columns, **PROVENANCE})
    for library in catalog.libraries.values():
        _create(con, f"base.{name(library.name)}", library.columns)
    for table in catalog.thematic.values():
        columns = {column: stated.sql_type for column, stated in table.columns.items()}
        _create(con, f"thematic.{name(f'{table.topic}__{table.name}')}", columns)


def _create(con: DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> None:
    con.execute(f"CREATE TABLE {table} ({', '.join(f'{name(column)} {kind}' for column, kind in columns.items())})")


def _statements(catalog: Catalog) -> Iterator[tuple[str, str, str, str]]:
    """File, field, text and a query that binds the text, for everything but rules."""
    yield from _resource_statements(catalog)
    for library in catalog.libraries.values():
        file = f"libraries/{library.name}.yaml"
        yield (
            file,
            "key_normal",
            library.key_normal,
            f"SELECT {library.key_normal} FROM (SELECT NULL::VARCHAR AS value)",
        )
        known = ", ".join(f"NULL::{said.as_column().sql_type} AS {name(a)}" for a, said in library.attributes.items())
        for where, day in (("begins", library.begins), ("ends", library.ends)):
            if day:
                yield file, where, day, f"SELECT CAST(({day}) AS DATE) FROM (SELECT {known})"
        for attribute, said in library.attributes.items():
            if said.normal:
                value = f"(SELECT NULL::{said.as_column().sql_type} AS value)"
                yield file, f"attributes.{attribute}.normal", said.normal, f"SELECT {said.normal} FROM {value}"
            if said.authority and said.authority.by:
                by, where = said.authority.by, f"attributes.{attribute}.authority.by"
                yield file, where, by, f"SELECT {by} FROM (SELECT NULL::VARCHAR AS key)"
        yield from _coverage_statements(library, file)
    for table in catalog.thematic.values():
        columns = ", ".join(map(name, table.columns))
        yield (
            f"thematic/{table.topic}/{table.name}.sql",
            "(file)",
            "",
            f"SELECT {columns} FROM ({table.sql.rstrip().removesuffix(';')}\n)",
        )


def _coverage_statements(library: Library, file: str) -> Iterator[tuple[str, str, str, str]]:
    for pair, said in library.coverage.items():
        yield file, f"coverage.{pair}.when", said.when, f"SELECT 1 FROM base.{name(library.name)} WHERE {said.when}"


def _resource_statements(catalog: Catalog) -> Iterator[tuple[str, str, str, str]]:
    for resource in catalog.resources.values():
        file = f"departments/{resource.department}/{resource.name}.yaml"
        stated = {f"supplies.{attribute}": sql for attribute, sql in resource.supplies.items()}
        if resource.describes and resource.describes.by:
            stated["describes.by"] = resource.describes.by
        for where, sql in stated.items():
            yield file, where, sql, f"SELECT {sql} FROM {name(resource.department)}.{name(resource.name)}"


def _rule_problems(con: DuckDBPyConnection, catalog: Catalog) -> Iterator[CatalogProblem]:
    for resource in catalog.resources.values():
        _, broken = bind(con, partial(pool_suites, catalog, resource), all_rules(resource, catalog))
        file = f"departments/{resource.department}/{resource.name}.yaml"
        yield from (CatalogProblem(file, f"rules.{rule}", "", message) for rule, message in broken.items())
    for table in catalog.thematic.values():
        _, broken = bind(con, partial(thematic_suites, catalog, table), thematic_rules(catalog, table))
        file = f"thematic/{table.topic}/{table.name}.yaml"
        yield from (CatalogProblem(file, f"rules.{rule}", "", message) for rule, message in broken.items())
