"""Curated products: PostgreSQL views that are always whole, gated by quality and masked by level.

Each version is a table `curated_versions.<product>__<n>`, out of every reader's reach; the view `curated.<product>` is
pointed at it in the same PostgreSQL transaction that writes it. The version before stays for rollback, older ones go.
`curated.meta_products` says what each view shows and why the gate held. A new product is a YAML file; a new kind of
mask or gate is code here.

Beside its columns a view has `_disputed` (异议标注): which attributes of the row's entity somebody doubts and nobody
has settled (`ledger.marks`). It is looked up when the view is read: it comes and goes at once, whatever the gate says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any

from duckdb import DuckDBPyConnection

from assets.history import entity_id
from catalog.columns import Column, ColumnType, Level
from catalog.load import Catalog
from catalog.models import Product, Resource
from quality_checks import contracts
from quality_checks.macros import name, quote
from resources.city import City
from resources.clock import now
from resources.guard import transaction

READER = "dashboard_reader"
ENTITY = "_entity"  # column of a version that no view shows: whom the row is of
DISPUTED = "_disputed"
DOUBTED = "校核中的数据项 / attributes whose value is doubted and not settled yet"


@dataclass(frozen=True)
class PublishResult:
    """What publishing came to: `rows` is what the view shows now; `reason` says why it was not replaced.

    `held`: the gate held the product back. Neither published nor held: its content did not change.
    """

    product: str
    published: bool
    rows: int
    reason: str
    held: bool = False


@dataclass(frozen=True)
class Shown:
    """What a product's view shows: nothing (version 0) before the first time."""

    version: int = 0
    rows: int = 0
    content: str = ""


@dataclass(frozen=True)
class Candidate:
    """What a product would show: the query in the lake, its rows and a fingerprint of columns and rows."""

    query: str
    comments: dict[str, str]
    rows: int
    content: str
    entity: str  # library that the rows' hidden `_entity` is an entity of, empty: of none


def publish(city: City, product: Product, as_of: date, *, author: str) -> PublishResult:
    """Replace the product's view when its content changed and the gate lets it; else the last good version stays.

    Args:
        city: the open city.
        product: what to publish.
        as_of: the business day of the pass.
        author: run id, kept in the comment of the versioned table.
    """
    with city.server.lock(f"publish {product.name}"):
        shown = _shown(city, product)
        candidate = _candidate(city.con, city.catalog, product)
        held = _gate(city, product, shown, candidate, as_of)
        if held or candidate.content == shown.content:
            _judge(city, product, as_of, held)
            reason = held or "内容未变 / unchanged"
            return PublishResult(product.name, published=False, rows=shown.rows, reason=reason, held=bool(held))
        _replace(city, product, candidate, version=shown.version + 1, as_of=as_of, author=author)
        return PublishResult(product.name, published=True, rows=candidate.rows, reason="")


def _shown(city: City, product: Product) -> Shown:
    with city.server.session() as cursor:
        cursor.execute(
            "select version, rows, coalesce(content, '') from curated.meta_products where product = %s", (product.name,)
        )
        row = cursor.fetchone()
        return Shown(*row) if row else Shown()


def _candidate(con: DuckDBPyConnection, catalog: Catalog, product: Product) -> Candidate:
    columns = columns_of(catalog, product)
    shown = ", ".join(
        f"{name(column)} AS {name(column)}"
        if column in product.clear
        else f"{masked(column, stated)} AS {name(column)}"
        for column, stated in columns.items()
    )
    kind, _, target = product.reads.partition(".")
    library, entity = _entity(catalog, product)
    query = f"SELECT {shown}, {entity} AS {ENTITY} FROM {kind}.{name(target.replace('.', '__'))}"
    comments = {
        column: f"{stated.title} / {column}"
        + ("" if stated.is_open or column in product.clear else "（已脱敏 / masked）")
        for column, stated in columns.items()
    }
    listed = ", ".join(map(name, (*columns, ENTITY)))
    counted = con.execute(
        f"SELECT count(*), bit_xor(h), sum(h % 4294967296)::BIGINT FROM (SELECT hash({listed}) AS h FROM ({query}))"
    ).fetchone()
    rows, *sums = counted or (0,)
    stated_as = repr((query, comments, DISPUTED, product.title, product.summary, rows, sums))
    return Candidate(query, comments, rows, hashlib.sha256(stated_as.encode()).hexdigest(), library)


def _entity(catalog: Catalog, product: Product) -> tuple[str, str]:
    """The library whose entities a product's rows are of, and SQL of the entity's id; of none: empty, and NULL.

    A thematic table's rows are of the entity that a column of its key refers to.
    """
    kind, _, target = product.reads.partition(".")
    if kind == "base":
        return target, "entity_id"
    table = catalog.thematic[target]
    for column in table.key:
        to = table.references[column].to if column in table.references else ""
        if to.startswith("base."):
            library = catalog.libraries[to.removeprefix("base.")]
            return library.name, entity_id(library, f"CAST({name(column)} AS VARCHAR)")
    return "", "NULL::UUID"


def columns_of(catalog: Catalog, product: Product) -> dict[str, Column]:
    """The product's columns as the catalogue declares them where they are read."""
    kind, _, target = product.reads.partition(".")
    if kind == "thematic":
        known = dict(catalog.thematic[target].columns)
    else:
        library = catalog.libraries[target]
        known = {attribute: stated.as_column() for attribute, stated in library.attributes.items()}
        known[library.key] = Column(title=library.key_title, type=ColumnType.text, level=library.key_level)
    return {column: known[column] for column in product.columns}


def masked(column_name: str, column: Column) -> str:
    """What a reader may see of a column, as SQL of the column's type.

    Names keep their first character, identifiers their ends, dates of personal level their year; codes are starred
    out because one character is all they have; what has no partial form is NULL.
    """
    value = name(column_name)
    if column.is_open:
        return value
    if column.codes:
        return f"repeat('*', length({value}))"
    if column.logical_type is ColumnType.text:
        personal_text = column.level is Level.personal and not column.identifier
        return f"mask_name({value})" if personal_text else f"mask_id({value})"
    if column.level is Level.personal and column.logical_type in {ColumnType.date, ColumnType.timestamp}:
        return f"CAST(date_trunc('year', {value}) AS {column.sql_type})"
    return f"CAST(NULL AS {column.sql_type})"


def _gate(city: City, product: Product, shown: Shown, candidate: Candidate, as_of: date) -> str:
    """Why the product may not be replaced; empty when it may."""
    gate, rows = product.gate, candidate.rows
    if rows < gate.min_rows:
        return f"行数 {rows} 低于下限 {gate.min_rows} / {rows} rows, at least {gate.min_rows} are needed"
    if shown.rows and (shown.rows - rows) / shown.rows > gate.max_row_drop:
        allowed = f"{gate.max_row_drop:.0%}"
        return (
            f"行数由 {shown.rows} 降至 {rows}，降幅超过 {allowed}"
            f" / rows fell from {shown.rows} to {rows}, by more than {allowed}"
        )
    if old := _gate_freshness(city, product, as_of):
        return old
    return _gate_score(city, product, as_of) if gate.min_score > 0 else ""


def _gate_freshness(city: City, product: Product, as_of: date) -> str:
    """Why the thematic table it shows is older than its contract allows; empty for what promises nothing."""
    table = city.catalog.thematic.get(product.reads.removeprefix("thematic."))
    if table is None or table.freshness is None:
        return ""
    return contracts.staleness(city.catalog, table, contracts.newest_deliveries(city.con, as_of), as_of)


def _gate_score(city: City, product: Product, as_of: date) -> str:
    gate = product.gate
    departments = ", ".join(map(quote, sorted(departments_of(city.catalog, product))))
    scores = (
        "FROM quality.scores WHERE period = 'day' AND scope = 'department' AND indicator IS NULL"
        f" AND dimension IS NOT NULL AND name IN ({departments}) AND as_of <= DATE '{as_of}'"
    )
    worst = city.con.execute(
        f"SELECT name, dimension, score::DOUBLE AS score {scores} AND score IS NOT NULL"
        f" AND as_of = (SELECT max(as_of) {scores}) ORDER BY score, name, dimension LIMIT 1"
    ).fetchone()
    if worst is None:
        return f"没有评分，下限为 {gate.min_score:.2%} / no score, at least {gate.min_score:.2%} is needed"
    department, dimension, score = worst
    if score >= gate.min_score:
        return ""
    return (
        f"{city.catalog.departments[department].title.zh} {dimension} 得分 {score:.2%} 低于下限 {gate.min_score:.2%}"
        f" / {department} scores {score:.2%} on {dimension}, at least {gate.min_score:.2%} is needed"
    )


def departments_of(catalog: Catalog, product: Product) -> set[str]:
    """Departments whose data a product shows, through thematic tables and libraries."""
    return {resource.department for resource in resources_of(catalog, product)}


def resources_of(catalog: Catalog, product: Product) -> list[Resource]:
    """Resources a product shows, through thematic tables and libraries, by id."""
    return catalog.behind(product.reads.removeprefix("thematic."))


def served(city: City, as_of: date) -> dict[str, tuple[int, int]]:
    """By resource id: products that show it and were served when the pass `as_of` began, and how many were due then.

    Products are due once a pass was finished. What this pass itself publishes says nothing yet, so that a pass made
    again finds the same: a product was served when a version of an earlier day, or an earlier version, is known.
    """
    with city.server.session() as cursor:
        cursor.execute("select count(*) from ops.passes where state = 'finished' and as_of < %s", (as_of,))
        if cursor.fetchone()[0] == 0:
            return {}
        cursor.execute(
            "select substring(t.relname from '^(.*)__[0-9]+$') as product,"
            " bool_or(split_part(obj_description(t.oid, 'pg_class'), ' ', 2) < %s)"
            " or min(substring(t.relname from '[0-9]+$')::bigint) > 1"
            " from pg_class t join pg_namespace n on n.oid = t.relnamespace"
            " where n.nspname = 'curated_versions' and t.relkind = 'r' group by 1",
            (as_of.isoformat(),),
        )
        done = dict(cursor.fetchall())
    counts: dict[str, tuple[int, int]] = {}
    for product in city.catalog.products.values():
        for resource in resources_of(city.catalog, product):
            before = counts.get(resource.id, (0, 0))
            counts[resource.id] = (before[0] + bool(done.get(product.name)), before[1] + 1)
    return counts


def _judge(city: City, product: Product, as_of: date, held: str) -> None:
    """Record the gate's word when the view stays; the row is not touched when it says the same already."""
    with city.server.session() as cursor:
        cursor.execute(
            "insert into curated.meta_products as m (product, gate, gate_as_of, reason) values (%s, %s, %s, %s)"
            " on conflict (product) do update set gate = excluded.gate, gate_as_of = excluded.gate_as_of,"
            " reason = excluded.reason,"
            " as_of = case when excluded.gate = 'passed' then excluded.gate_as_of else m.as_of end"
            " where (m.gate, m.gate_as_of, m.reason) is distinct from"
            " (excluded.gate, excluded.gate_as_of, excluded.reason)",
            (product.name, "held" if held else "passed", as_of, held),
        )


def _replace(city: City, product: Product, candidate: Candidate, *, version: int, as_of: date, author: str) -> None:
    """Write the version and point the view at it, in one PostgreSQL transaction."""
    table = f"{product.name}__{version}"
    with city.server.session() as cursor:
        cursor.execute("select to_regclass(%s) is null", (f"curated.{name(product.name)}",))
        is_new = cursor.fetchone()[0]
        older = _older_versions(cursor, product.name, version - 1)
    statements = [
        _view_statement(product.name, table, candidate),
        *([f"grant select on curated.{name(product.name)} to {READER}"] if is_new else []),
        *_comment_statements(product, candidate, table, f"{product.name} {as_of} {author}"),
        *(f"drop table curated_versions.{name(old)}" for old in older),
        _meta_statement(product, candidate, version, as_of),
        _publication_statement(
            product, candidate.rows, _snapshot(city.con), version=version, as_of=as_of, author=author
        ),
    ]
    with transaction(city.con):
        city.con.execute(f"CREATE TABLE shuyuan.curated_versions.{name(table)} AS {candidate.query}")
        for statement in statements:
            city.con.execute(f"CALL postgres_execute('shuyuan', {quote(statement)})")


def _older_versions(cursor: Any, product: str, before: int) -> list[str]:
    cursor.execute(
        "select tablename from pg_tables where schemaname = 'curated_versions' and tablename ~ %s"
        " and substring(tablename from '[0-9]+$')::bigint < %s",
        (f"^{product}__[0-9]+$", before),
    )
    return sorted(table for (table,) in cursor.fetchall())


def _view_statement(product: str, table: str, candidate: Candidate) -> str:
    """Point the view at `table`; one whose columns changed is dropped and made anew with the grants it had."""
    view = f"curated.{name(product)}"
    shown = ", ".join(f"t.{name(column)}" for column in candidate.comments)
    stated = (
        f"view {view} as select {shown}, m.{DISPUTED} from curated_versions.{name(table)} t left join ("
        f"select entity_id::uuid as entity, string_agg(distinct attribute, ', ' order by attribute) as {DISPUTED}"
        f" from ledger.marks where library = {quote(candidate.entity)} and entity_id is not null group by 1"
        f") m on m.entity = t.{ENTITY}"
    )
    return f"""
do $publish$
declare
    given text[];
    one text;
begin
    create or replace {stated};
exception when invalid_table_definition then
    select array_agg(format(
        'grant %s on {view} to %s%s', a.privilege_type,
        case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
        case when a.is_grantable then ' with grant option' else '' end
    )) into given
    from pg_class c, aclexplode(c.relacl) a
    where c.oid = '{view}'::regclass and a.grantee <> c.relowner;
    drop view {view};
    create {stated};
    foreach one in array coalesce(given, '{{}}') loop
        execute one;
    end loop;
end $publish$"""


def _comment_statements(product: Product, candidate: Candidate, table: str, origin: str) -> list[str]:
    view = f"curated.{name(product.name)}"
    about = f"{product.title.zh} / {product.title.en}: {product.summary}"
    return [
        f"comment on table curated_versions.{name(table)} is {quote(origin)}",
        f"comment on view {view} is {quote(about)}",
        *(f"comment on column {view}.{name(column)} is {quote(text)}" for column, text in candidate.comments.items()),
        f"comment on column {view}.{DISPUTED} is {quote(DOUBTED)}",
    ]


def _meta_statement(product: Product, candidate: Candidate, version: int, as_of: date) -> str:
    values = {
        "product": quote(product.name),
        "as_of": quote(as_of.isoformat()),
        "rows": str(candidate.rows),
        "version": str(version),
        "published_at": quote(now().isoformat()),
        "gate": "'passed'",
        "gate_as_of": quote(as_of.isoformat()),
        "reason": "''",
        "content": quote(candidate.content),
    }
    changes = ", ".join(f"{column} = excluded.{column}" for column in values if column != "product")
    return (
        f"insert into curated.meta_products ({', '.join(values)}) values ({', '.join(values.values())})"
        f" on conflict (product) do update set {changes}"
    )


def _snapshot(con: DuckDBPyConnection) -> int:
    """The state of the lake's city catalog that is read now."""
    [snapshot] = con.execute("SELECT id FROM city.current_snapshot()").fetchone() or (0,)
    return int(snapshot)


def _publication_statement(
    product: Product, rows: int, snapshot: int, *, version: int, as_of: date, author: str
) -> str:
    """What readers can see from now on, for the list of versions that carried a value later corrected."""
    columns = ", ".join(map(quote, product.columns))
    return (
        "insert into ops.publications"
        " (product, version, reads, columns, rows, as_of, published_at, city_version, author) values ("
        f"{quote(product.name)}, {version}, {quote(product.reads)}, array[{columns}], {rows},"
        f" {quote(as_of.isoformat())}, {quote(now().isoformat())}, {snapshot}, {quote(author)})"
    )
