"""What becomes of each row of a request: who states the value, what it is now, raised or refused with the reason.

Rows stand in the temporary table `requests_said` (`FIELDS`, all text, `number` and `place`). The record behind a
library's value is found set-based; Python loops over libraries, attributes and columns alone. `OUTCOMES` is everything
that can be said of a row; add one there and in the query. What is raised is appended by `assets.requests`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from duckdb import DuckDBPyConnection

from assets.asked import same_sql
from assets.correction_facts import read_deliveries, read_records
from assets.history import entity_id
from catalog.columns import Column, ColumnType
from catalog.load import Catalog
from catalog.models import Resource
from quality_checks.macros import name, quote
from quality_checks.sources import Source, key_macro, macros, normal_macro, sources, suppliers
from resources.city import City
from resources.lake import literal

# Columns of a file, in any order; a value is named by library, key and attribute, or by resource, record and column.
FIELDS = (
    "library", "key", "attribute", "resource", "record_key", "column", "doubted", "proposed", "reference_date",
    "reason", "evidence", "by",
)  # fmt: skip
# What can become of a row: in Chinese, in English. {detail} is what the query says of this row.
OUTCOMES = {
    "raised": ("已受理，申请号{detail}", "raised as {detail}"),
    "same_open": ("同一申请尚未办结：{detail}", "the same request is open: {detail}"),
    "raised_above": ("本文件前面已有同一申请", "the same request stands above in this file"),
    "unclear": (
        "须写明基础库、主键和属性，或资源、记录主键和信息项，二者取其一",
        "name library, key and attribute, or resource, record_key and column: one of the two",
    ),
    "unknown_library": ("无此基础库：{detail}", "library = {detail}: the catalogue has none of that name"),
    "unknown_attribute": ("该库无此属性：{detail}", "attribute = {detail}: the library has none of that name"),
    "unknown_entity": ("基础库中无此主体", "key: the library knows no such entity"),
    "nobody_states": ("无部门提供该值", "nobody states a value: name the resource and record that lacks it"),
    "not_located": (
        "该值来源记录无法由主键直接定位，请写明资源、记录主键和信息项（{detail}）",
        "the record behind the value is not found by this key: name resource, record_key and column ({detail})",
    ),
    "unknown_resource": (
        "无此信息资源：{detail}",
        "resource = {detail}: the catalogue has none; it is department.name",
    ),
    "unknown_column": ("该资源无此信息项：{detail}", "column = {detail}: the resource has none of that name"),
    "unknown_record": ("该资源现无此记录", "record_key: the resource has no such record now"),
    "own_record": ("本部门自己的数据请在源头更正", "the record is the applicant's own: correct it at the source"),
    "needs_evidence": ("须写明依据", "evidence: must be stated"),
    "bad_date": ("基准日无效：{detail}", "reference_date = {detail}: must be YYYY-MM-DD"),
    "future_date": ("基准日晚于今日：{detail}", "reference_date = {detail}: must not lie in the future"),
    "not_believed": ("所疑之值与现值不符，现为「{detail}」", "doubted is not the value now: it is 「{detail}」"),
    "bad_value": ("建议值不合该信息项类型：{detail}", "proposed: must be {detail}"),
    "says_the_same": ("建议值与现值相同", "proposed says the same as the value now"),
}


def judge(city: City, applicant: str, as_of: date) -> None:
    """`requests_judged`: one row per row of `requests_said`, with what becomes of it.

    Columns: `number, place, outcome` (a key of `OUTCOMES`), `detail`, and of one that is `raised` all that the ledger
    wants of it: `department, resource, record_key, column_name, library, attribute, entity_id, value, proposed,
    reference_date, reason, evidence, raised_by, delivery_id, record_hash, content_hash`.
    """
    con, catalog = city.con, city.catalog
    _locate(con, catalog)
    _read_now(con, catalog, as_of)
    _read_columns(con, catalog)
    same = {one: same_sql(con, catalog, "l", "r.value", f"s.{one}", asked="requests_located")
            for one in ("doubted", "typed")}  # fmt: skip
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE requests_judged AS
        WITH read AS (
            SELECT s.*, try_strptime(s.reference_date, ['%Y-%m-%d', '%Y/%m/%d', '%Y%m%d'])::DATE AS day,
                   CASE WHEN c.codes IS NULL THEN {_typed_sql("s.proposed")} ELSE k.code END AS typed, c.mask, c.allowed
            FROM requests_said s JOIN requests_located l USING (number)
            LEFT JOIN requests_columns c ON c.department = l.department AND c.resource = l.resource
                AND c.column_name = l.column_name
            LEFT JOIN requests_codes k ON k.codes = c.codes AND k.code = s.proposed
        ),
        stated AS (
            SELECT s.number, s.place, l.* EXCLUDE (number, wrong, detail), r.value, r.record_hash, r.content_hash,
                   CASE WHEN d.restated > coalesce(p.place, 0) THEN d.restated_id ELSE r.delivery_id END AS delivery_id,
                   s.typed AS proposed, coalesce(s.day, $day) AS reference_date, s.reason, s.evidence,
                   coalesce(s."by", $applicant) AS raised_by, o.request_number,
                   CASE WHEN l.wrong IS NOT NULL THEN l.wrong
                        WHEN l.department = $applicant THEN 'own_record'
                        WHEN r.finding_id IS NULL THEN 'unknown_record'
                        WHEN s.evidence IS NULL THEN 'needs_evidence'
                        WHEN s.reference_date IS NOT NULL AND s.day IS NULL THEN 'bad_date'
                        WHEN s.day > $day THEN 'future_date'
                        WHEN NOT {same["doubted"]} THEN 'not_believed'
                        WHEN s.proposed IS NOT NULL AND s.typed IS NULL THEN 'bad_value'
                        WHEN s.proposed IS NOT NULL AND {same["typed"]} THEN 'says_the_same'
                        WHEN o.request_number IS NOT NULL THEN 'same_open'
                   END AS verdict,
                   CASE verdict WHEN 'not_believed' THEN {_shown_sql("r.value")} WHEN 'bad_value' THEN s.allowed
                        WHEN 'same_open' THEN o.request_number
                        WHEN 'bad_date' THEN s.reference_date WHEN 'future_date' THEN s.reference_date
                        ELSE l.detail END AS detail
            FROM read s JOIN requests_located l USING (number)
            LEFT JOIN corrections_records r ON r.finding_id = s.number::VARCHAR
            LEFT JOIN corrections_deliveries p ON p.delivery_id = r.delivery_id
            LEFT JOIN corrections_feeds d ON d.department = l.department AND d.resource = l.resource
            LEFT JOIN (
                SELECT department, resource, record_key, column_name, min(request_number) AS request_number
                FROM shuyuan.ledger.request_states WHERE applicant = $applicant AND NOT closed GROUP BY ALL
            ) o ON o.department = l.department AND o.resource = l.resource AND o.record_key = l.record_key
                AND o.column_name = l.column_name
        )
        SELECT * EXCLUDE (verdict, request_number),
               coalesce(verdict, CASE WHEN row_number() OVER (
                   PARTITION BY department, resource, record_key, column_name, verdict IS NULL ORDER BY number) > 1
                   THEN 'raised_above' ELSE 'raised' END) AS outcome
        FROM stated
        """,
        {"day": as_of, "applicant": applicant},
    )


def _locate(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`requests_located`: per row the record and column that state the value, the entity it is of, or what is wrong."""
    _place_stated(con, catalog)
    _find_stated(con, catalog)
    con.execute("""
        CREATE OR REPLACE TEMP TABLE requests_located AS
        SELECT s.number, coalesce(f.department, p.department) AS department,
               coalesce(f.resource, p.resource) AS resource, coalesce(f.record_key, p.record_key) AS record_key,
               coalesce(f.column_name, p.column_name) AS column_name, p.library, p.attribute, f.entity_id,
               coalesce(p.wrong, f.wrong) AS wrong, coalesce(p.detail, f.detail) AS detail
        FROM requests_said s JOIN requests_placed p USING (number) LEFT JOIN requests_stated f USING (number)
    """)
    locate_entities(con, catalog, "requests_located")


def _place_stated(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`requests_placed`: what is named, against the catalogue alone."""
    attributes = _values((library.name, one) for library in catalog.libraries.values() for one in library.attributes)
    columns = _values((r.id, one) for r in catalog.resources.values() for one in r.columns)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE requests_placed AS
        SELECT * EXCLUDE (named_column, named_resource),
               CASE wrong WHEN 'unknown_library' THEN library WHEN 'unknown_attribute' THEN attribute
                    WHEN 'unknown_resource' THEN named_resource WHEN 'unknown_column' THEN named_column END AS detail
        FROM (
            SELECT number, CASE WHEN s.library IS NULL THEN split_part(s.resource, '.', 1) END AS department,
                   CASE WHEN s.library IS NULL THEN split_part(s.resource, '.', 2) END AS resource,
                   CASE WHEN s.library IS NULL THEN s.record_key END AS record_key,
                   CASE WHEN s.library IS NULL THEN s."column" END AS column_name, s.library, s.attribute,
                   s.resource AS named_resource, s."column" AS named_column,
                   CASE WHEN (s.library IS NULL) = (s.resource IS NULL) THEN 'unclear'
                        WHEN s.library IS NOT NULL AND (s.key IS NULL OR s.attribute IS NULL) THEN 'unclear'
                        WHEN s.resource IS NOT NULL AND (s.record_key IS NULL OR s."column" IS NULL) THEN 'unclear'
                        WHEN s.library NOT IN (SELECT owner FROM {attributes}) THEN 'unknown_library'
                        WHEN s.library IS NOT NULL AND a.owner IS NULL THEN 'unknown_attribute'
                        WHEN s.resource NOT IN (SELECT owner FROM {columns}) THEN 'unknown_resource'
                        WHEN s.resource IS NOT NULL AND c.owner IS NULL THEN 'unknown_column' END AS wrong
            FROM requests_said s
            LEFT JOIN {attributes} a ON a.owner = s.library AND a.one = s.attribute
            LEFT JOIN {columns} c ON c.owner = s.resource AND c.one = s."column"
        )
    """)


def _values(pairs: Iterable[tuple[str, str]]) -> str:
    listed = ", ".join(f"({quote(owner)}, {quote(one)})" for owner, one in pairs)
    return f"(SELECT * FROM (VALUES {listed}) AS known(owner, one))"


def _find_stated(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`requests_stated`: the record whose value stands in the library, of rows that name one."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE requests_stated (number BIGINT, department VARCHAR, resource VARCHAR,"
        " record_key VARCHAR, column_name VARCHAR, entity_id VARCHAR, wrong VARCHAR, detail VARCHAR)"
    )
    for library, attribute in con.execute(
        "SELECT DISTINCT library, attribute FROM requests_placed WHERE library IS NOT NULL AND wrong IS NULL"
        " ORDER BY ALL"
    ).fetchall():
        _find_of(con, catalog, library, attribute)


def _find_of(con: DuckDBPyConnection, catalog: Catalog, library_name: str, attribute: str) -> None:
    library = catalog.libraries[library_name]
    con.execute(macros(library))
    kind = library.attributes[attribute].as_column().sql_type
    normal = f"nullif(CAST({key_macro(library)}(s.key) AS VARCHAR), '')"
    wanted = f"coalesce(TRY_CAST(s.key AS UUID), {entity_id(library, f'coalesce(l.entity_key, {normal})')})"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE requests_wanted AS
        SELECT s.number, b.entity_id::VARCHAR AS entity_id, b.{name(library.key)} AS key,
               b.{name(attribute + "_source")} AS source, b.{name(attribute)} AS value
        FROM requests_said s JOIN requests_placed p USING (number)
        LEFT JOIN (SELECT DISTINCT alias_key, entity_key FROM base._links
                   WHERE library = {quote(library.name)} AND kind = 'key') l ON l.alias_key = {normal}
        LEFT JOIN base.{name(library.name)} b ON b.entity_id = {wanted}
        WHERE p.wrong IS NULL AND p.library = {quote(library.name)} AND p.attribute = {quote(attribute)}
    """)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE requests_sources (number BIGINT, department VARCHAR, resource VARCHAR,"
        " record_key VARCHAR, column_name VARCHAR, as_of DATE)"
    )
    stating = suppliers(sources(catalog, library), attribute)
    form = name(normal_macro(library, attribute))
    for source in stating:
        column = source.column(attribute)
        if column in source.resource.columns and source.resource.describes and source.resource.describes.by:
            con.execute(f"""
                INSERT INTO requests_sources
                SELECT w.number, {quote(source.resource.department)}, {quote(source.resource.name)}, p._record_key,
                       {quote(column)}, p._as_of
                FROM {source.pool} p JOIN requests_wanted w ON {source.key} = w.key
                WHERE w.source = {quote(source.resource.department)}
                    AND {form}(CAST({source.value(attribute)} AS {kind})) = {form}(w.value)
            """)
    columns = "、".join(f"{one.resource.id}: {', '.join(one.supplying(attribute))}" for one in stating)
    con.execute(f"""
        INSERT INTO requests_stated
        SELECT w.number, t.at.department, t.at.resource, replace(t.at.record_key, chr(0), '␀'), t.at.column_name,
               w.entity_id,
               CASE WHEN w.entity_id IS NULL THEN 'unknown_entity' WHEN w.source IS NULL THEN 'nobody_states'
                    WHEN t.at IS NULL THEN 'not_located' END,
               {literal(columns)}
        FROM requests_wanted w LEFT JOIN (
            SELECT number, arg_max({{'department': department, 'resource': resource, 'record_key': record_key,
                'column_name': column_name}}, (as_of, resource, record_key)) AS at
            FROM requests_sources GROUP BY number
        ) t USING (number)
    """)


def locate_entities(con: DuckDBPyConnection, catalog: Catalog, table: str) -> None:
    """Fill `library`, `attribute` and `entity_id` of the rows of `table` whose record and column supply one.

    A record that names nobody by a number speaks of no entity that could be marked.
    """
    for department, resource_name, column in con.execute(
        f"SELECT DISTINCT department, resource, column_name FROM {table} WHERE library IS NULL"
        " AND record_key IS NOT NULL ORDER BY ALL"
    ).fetchall():
        resource = catalog.resources.get(f"{department}.{resource_name}")
        for source, attribute in _supplied(catalog, resource, column):
            con.execute(macros(source.library))
            con.execute(f"""
                UPDATE {table} t SET library = {quote(source.library.name)}, attribute = {quote(attribute)},
                    entity_id = {entity_id(source.library, "p.key")}::VARCHAR
                FROM (SELECT _record_key, {source.key} AS key FROM {source.pool} WHERE _record_key IN (
                          SELECT record_key FROM {table} WHERE department = {quote(department)})) p
                WHERE t.department = {quote(department)} AND t.resource = {quote(resource_name)}
                    AND t.column_name = {quote(column)} AND p._record_key = t.record_key AND p.key IS NOT NULL
            """)


def _supplied(catalog: Catalog, resource: Resource | None, column: str) -> Iterator[tuple[Source, str]]:
    """The first attribute of a library that a column supplies by itself."""
    if resource is None or resource.describes is None or resource.describes.by is None:
        return
    source = Source(catalog.libraries[resource.describes.library], resource, 0)
    yield from [(source, attribute) for attribute, said in resource.supplies.items() if said == column][:1]


def _read_now(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> None:
    """`corrections_records` of the rows' records, as a pass reads them, and the deliveries that stated them."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_findings AS
        SELECT number::VARCHAR AS finding_id, department, resource, record_key, column_name AS "column",
               '' AS rule_id, false AS evaluated, false AS failing
        FROM requests_located WHERE wrong IS NULL
    """)
    read_records(con, catalog)
    read_deliveries(con, as_of)


def _read_columns(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`requests_columns`: of each column asked about its type, mask and codes; `requests_codes`: those codes."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE requests_columns (department VARCHAR, resource VARCHAR, column_name VARCHAR,"
        " kind VARCHAR, mask VARCHAR, codes VARCHAR, allowed VARCHAR)"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE requests_codes (codes VARCHAR, code VARCHAR)")
    named = con.execute(
        "SELECT DISTINCT department, resource, column_name FROM requests_located WHERE wrong IS NULL ORDER BY ALL"
    ).fetchall()
    lists = set()
    for department, resource, column_name in named:
        column = catalog.resources[f"{department}.{resource}"].columns[column_name]
        told = [department, resource, column_name, column.sql_type, column.mask, column.codes, _allowed(column)]
        con.execute("INSERT INTO requests_columns VALUES (?, ?, ?, ?, ?, ?, ?)", told)
        lists |= {column.codes} if column.codes else set()
    for codes in sorted(lists):
        con.execute(f"INSERT INTO requests_codes SELECT {quote(codes)}, code FROM codes.{name(codes)}")


def _allowed(column: Column) -> str:
    if column.codes:
        return f"a code of {column.codes}"
    return "YYYY-MM-DD" if column.logical_type is ColumnType.date else f"a {column.logical_type}"


KINDS = ("DATE", "TIMESTAMP", "BIGINT", "BOOLEAN")


def _typed_sql(value: str) -> str:
    """A proposed value as the pool would show it, NULL where the column cannot hold it."""
    day = f"coalesce(TRY_CAST({value} AS DATE), try_strptime({value}, ['%Y/%m/%d', '%Y.%m.%d', '%Y%m%d'])::DATE)"
    cases = " ".join(
        f"WHEN '{kind}' THEN CAST({day if kind == 'DATE' else f'TRY_CAST({value} AS {kind})'} AS VARCHAR)"
        for kind in KINDS
    )
    return (
        f"CASE c.kind {cases} ELSE CASE WHEN starts_with(c.kind, 'DECIMAL') AND TRY_CAST({value} AS DOUBLE) IS NULL"
        f" THEN NULL ELSE {value} END END"
    )


def _shown_sql(value: str) -> str:
    """The value now as whoever does not own it may see it."""
    return (
        f"CASE s.mask WHEN '' THEN mask_shapes({value}) WHEN 'mask_text' THEN mask_text({value})"
        f" ELSE mask_id({value}) END"
    )
