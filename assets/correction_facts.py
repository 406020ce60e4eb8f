"""What a pass knows about every correction item, gathered set-based from findings, pools, deliveries and the ledger.

The facts are those `quality_checks.corrections` judges by; deciding and writing is `assets.corrections`. All tables are
temporary tables of the city's connection.
"""

from __future__ import annotations

import re
from datetime import date

from duckdb import DuckDBPyConnection

from assets.asked import read_asked, same_sql
from catalog.load import Catalog
from catalog.models import Resource
from catalog.rules import Rule
from quality_checks import comparison
from quality_checks.corrections import GONE, UNSETTLED, ItemState
from quality_checks.requests import request_rule_id
from quality_checks.rule_book import on_day, rule_book
from quality_checks.rules import all_rules, looks_around, stated, thematic_rules
from resources.city import City
from resources.lake import literal, quoted
from resources.ledger_states import ALL, read_all_states

# What is judged of an item as it stands, and what of it goes on into its next event.
_OF_ITEM = (
    "item_id", "serial", "finding_id", "department", "number", "state", "closed", "since", "order_id", "delivery_id",
    "rule_version", "record_hash", "content_hash", "observed", "suggested", "suggestion_method",
    "suggestion_confidence", "notified_on", "relapses",
)  # fmt: skip


def gather_facts(city: City, as_of: date) -> None:
    """`corrections_facts`: one row per item to which something may happen, with all the machine asks of it.

    Beside it what the events are made of: `corrections_items_now`, `corrections_findings`, `corrections_seen`.
    """
    con, catalog = city.con, city.catalog
    read_all_states(con, city.home, _OF_ITEM)
    _read_items_and_findings(con, as_of)
    read_deliveries(con, as_of)
    read_records(con, catalog)
    _read_rules(con, catalog, as_of)
    _see(con, catalog)
    _trace_absent(con, catalog)
    _gather(con, catalog)


def _read_items_and_findings(con: DuckDBPyConnection, as_of: date) -> None:
    """`corrections_items_now`: the items that may move; `corrections_findings`: theirs, and those that want an item.

    To what is settled something happens only when its finding is open again, or when an objection was upheld. A request
    stands beside the findings, and may relapse at any time; whether it still fails the record tells.
    PostgreSQL takes no NUL character, so text is compared and kept with the symbol for it.
    """
    moving = f"(NOT closed OR state = '{ItemState.upheld}')"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE corrections_items_now AS
        SELECT {", ".join(_OF_ITEM)} FROM {ALL}
        WHERE {moving} OR finding_id IN (SELECT finding_id FROM quality.findings WHERE status = 'open')
            OR finding_id IN (SELECT request_id FROM shuyuan.ledger.requests)
    """)
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_findings AS
        SELECT f.* REPLACE (
                replace(f.record_key, chr(0), '␀') AS record_key, coalesce(f."column", '') AS "column",
                replace(f.observed_value, chr(0), '␀') AS observed_value,
                replace(f.suggested_value, chr(0), '␀') AS suggested_value,
                replace(f.reason, chr(0), '␀') AS reason, coalesce(f.delivery_id, '') AS delivery_id
            ),
            f.status = 'open' AS failing, r.rule_id IS NOT NULL AS evaluated
        FROM (
            SELECT f.*, i.finding_id IS NULL AS unknown FROM quality.findings f
            LEFT JOIN (SELECT DISTINCT finding_id FROM corrections_items_now) i USING (finding_id)
            WHERE NOT unknown OR (status = 'open' AND severity <> 'info')
        ) f
        LEFT JOIN (
            SELECT DISTINCT department, resource, rule_id FROM quality.results WHERE as_of = $day AND state = 'ok'
        ) r USING (department, resource, rule_id)
        WHERE r.rule_id IS NOT NULL OR NOT f.unknown
        """,
        {"day": as_of},
    )
    read_asked(con)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE corrections_evaluated AS"
        " SELECT DISTINCT rule_id FROM quality.results WHERE as_of = $day",
        {"day": as_of},
    )


def read_deliveries(con: DuckDBPyConnection, as_of: date) -> None:
    """`corrections_deliveries`: each settled delivery with its place in its resource's order; `corrections_feeds`: the
    newest of each resource (any state for rules on deliveries, pooled and full ones for rules on records).
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_deliveries AS
        SELECT delivery_id, department, resource, mode, state, rows_delivered,
               row_number() OVER (PARTITION BY department, resource ORDER BY as_of, registered_at, delivery_id)
                   AS place,
               row_number() OVER (ORDER BY as_of, registered_at, delivery_id) AS turn
        FROM shuyuan.ops.deliveries WHERE state IN ('pooled', 'rejected') AND as_of <= $day
        """,
        {"day": as_of},
    )
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_feeds AS
        SELECT department, resource, max(place) AS newest, arg_max(delivery_id, place) AS newest_id,
               max(place) FILTER (state = 'pooled') AS pooled,
               arg_max(delivery_id, place) FILTER (state = 'pooled') AS pooled_id,
               max(place) FILTER (state = 'pooled' AND mode = 'full') AS restated,
               arg_max(delivery_id, place) FILTER (state = 'pooled' AND mode = 'full') AS restated_id
        FROM corrections_deliveries GROUP BY ALL
    """)


def read_records(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`corrections_records`: the pool's record behind each finding that can still move, one row where there is one.

    `silenced`: the rule passes only because a field it reads, not the accused one, is blank.
    """
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_records
            (finding_id VARCHAR, delivery_id VARCHAR, record_hash VARCHAR, content_hash VARCHAR, known BOOLEAN,
             value VARCHAR, silenced BOOLEAN)
    """)
    wanted = con.execute("""
        SELECT department || '.' || resource, list(DISTINCT "column"),
               list(DISTINCT rule_id ORDER BY rule_id) FILTER (evaluated AND NOT failing)
        FROM corrections_findings GROUP BY ALL ORDER BY ALL
    """).fetchall()
    for resource_id, columns, passing in wanted:
        resource = catalog.resources.get(resource_id)
        if resource is not None:
            passed = [rule for rule in all_rules(resource, catalog) if rule.id in (passing or ())]
            rules = [rule for rule in passed if not rule.lookup and not rule.failing]
            con.execute(f"INSERT INTO corrections_records {_records_sql(resource, columns, rules)}")


def _records_sql(resource: Resource, columns: list[str], rules: list[Rule]) -> str:
    """Records of one pool by finding, with the text of the accused column; `_copies` counts as part of the record."""
    known = [column for column in columns if column in resource.columns]
    cases = " ".join(
        f"WHEN {literal(column)} THEN coalesce(CAST(p.{quoted(column)} AS VARCHAR), p._raw[{literal(column)}])"
        for column in known
    )
    value = f"""CASE f."column" {cases} END""" if known else "NULL"
    listed = ", ".join(map(literal, known)) or "NULL"
    silent = "".join(f", {_silenced(resource, rule)} AS _silent_{n}" for n, rule in enumerate(rules))
    silenced = " ".join(f"WHEN {literal(rule.id)} THEN p._silent_{n}" for n, rule in enumerate(rules))
    pool, content = f"{quoted(resource.department)}.{quoted(resource.name)}", content_sql(resource)
    mine = f"department = {literal(resource.department)} AND resource = {literal(resource.name)}"
    return f"""
        SELECT f.finding_id, p._delivery_id, concat(p._hash, '/', p._copies), CAST(c.content AS VARCHAR),
               coalesce(f."column" IN ({listed}), false),
               replace({value}, chr(0), '␀'),
               {f"coalesce(CASE f.rule_id {silenced} END, false)" if rules else "false"}
        FROM (SELECT * FROM corrections_findings WHERE {mine}) f
        JOIN (
            SELECT *{silent}, {content} AS _content FROM {pool}
            WHERE _record_key IN (SELECT record_key FROM corrections_findings WHERE {mine})
        ) p ON p._record_key = f.record_key
        LEFT JOIN (
            SELECT content FROM (SELECT {content} AS content FROM {pool}) GROUP BY content HAVING count(*) = 1
        ) c ON c.content = p._content"""


def content_sql(resource: Resource) -> str:
    """Hash of a record without its key, as SQL over the pool; NULL where the key is all there is."""
    columns = [quoted(column) for column in resource.columns if column not in resource.key]
    return f"hash({', '.join(columns)})" if columns else "NULL::UBIGINT"


def _silenced(resource: Resource, rule: Rule) -> str:
    """Whether the rule says nothing of a record because a field it reads is blank, as SQL over the pool."""
    words = re.findall(r"\w+", rule.that) if rule.that else rule.columns_read()
    blank = " OR ".join(f"NOT ({stated(resource, column)})" for column in sorted(set(words) & resource.columns.keys()))
    silent = f"({rule.that}) IS NULL" if rule.that else "true"  # about several records it says nothing of a blank
    return f"(({rule.when}) AND {silent} AND ({blank or 'false'}))"


def _read_rules(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> None:
    """`corrections_rules`: the rules in force, their versions, and whether each looks at nothing but the record."""
    rules = {rule.id: rule for rule in on_day(rule_book(catalog).values(), as_of)}
    wide = {rule.id for library in catalog.libraries.values() for rule in comparison.rules(library)}
    wide |= {rule.id for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)}
    wide |= {rule.id for rule in rules.values() if rule.of_several or looks_around(rule)}
    versions = {rule.id: rule.version for rule in rules.values()}
    versions |= {request_rule_id(resource.department, resource.name): 1 for resource in catalog.resources.values()}
    con.execute(
        "CREATE OR REPLACE TEMP TABLE corrections_rules AS"
        " SELECT unnest($ids) AS rule_id, unnest($own) AS own, unnest($versions) AS version",
        {
            "ids": list(versions),
            "own": [rule not in wide for rule in versions],
            "versions": list(versions.values()),
        },
    )


def _see(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`corrections_seen`: one row per finding and request, with what its record shows now.

    A rule on deliveries has no record: its resource's newest delivery stands for it. A request fails while the record
    states the doubted value; where the field itself is gone nothing shows that it was put right.
    """
    same = same_sql(con, catalog, "q", "r.value", "f.observed_value")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE corrections_seen AS
        SELECT f.finding_id,
               CASE WHEN q.request_id IS NULL THEN f.failing
                    ELSE r.finding_id IS NOT NULL AND (NOT r.known OR {same}) END AS failing,
               starts_with(f.rule_id, concat(f.department, '.', f.resource, '.delivery.')) AS on_delivery,
               r.known, r.value, r.silenced, coalesce(u.own, false) AS own, coalesce(u.version, 1) AS rule_version,
               u.rule_id IS NULL AND v.rule_id IS NULL AND NOT on_delivery AS withdrawn,
               on_delivery OR r.finding_id IS NOT NULL AS present,
               CASE WHEN on_delivery THEN coalesce(d.newest_id, '') ELSE r.record_hash END AS record_hash,
               r.content_hash,
               coalesce(CASE WHEN on_delivery THEN d.newest ELSE d.pooled END, 0) AS newest,
               -- A full delivery states every record there is.
               greatest(coalesce(p.place, 0), coalesce(d.restated, 0)) AS stated,
               CASE WHEN on_delivery THEN d.newest_id
                    WHEN r.finding_id IS NULL THEN d.pooled_id
                    WHEN d.restated > coalesce(p.place, 0) THEN d.restated_id
                    ELSE r.delivery_id END AS delivery_id
        FROM corrections_findings f
        LEFT JOIN corrections_records r ON r.finding_id = f.finding_id
        LEFT JOIN corrections_asked q ON q.request_id = f.finding_id
        LEFT JOIN corrections_deliveries p ON p.delivery_id = r.delivery_id
        LEFT JOIN corrections_feeds d ON d.department = f.department AND d.resource = f.resource
        LEFT JOIN corrections_rules u ON u.rule_id = f.rule_id
        LEFT JOIN corrections_evaluated v ON v.rule_id = f.rule_id
    """)


def _trace_absent(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`corrections_traces`: items whose record is gone from its pool, and where else it stands now.

    `rekeyed`: one new record alone has the content that was the record's alone. `elsewhere`: another resource of the
    department, stated anew, holds the key with the wrong value.
    """
    gone = ", ".join(literal(state) for state in sorted((UNSETTLED - GONE) | {ItemState.removed_at_source}))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE corrections_absent AS
        SELECT i.item_id, f.department, f.resource, f.record_key, f."column" AS column_name, i.observed, i.content_hash,
               coalesce(j.place, 0) AS place, coalesce(j.turn, 0) AS turn
        FROM corrections_items_now i JOIN corrections_findings f USING (finding_id)
        JOIN corrections_seen s USING (finding_id)
        LEFT JOIN corrections_deliveries j ON j.delivery_id = i.delivery_id
        WHERE i.state IN ({gone}) AND NOT s.present AND f.evaluated
    """)
    con.execute("CREATE OR REPLACE TEMP TABLE corrections_traces (item_id VARCHAR, rekeyed BOOLEAN, elsewhere BOOLEAN)")
    for department, name, columns in con.execute("""
        SELECT department, resource, list(DISTINCT column_name) FROM corrections_absent GROUP BY ALL ORDER BY ALL
    """).fetchall():
        resource = catalog.resources.get(f"{department}.{name}")
        if resource is not None:
            con.execute(f"INSERT INTO corrections_traces {_rekeyed_sql(resource)}")
            for other in catalog.of_department(department):
                if other.name != name and other.key == resource.key:
                    for column in sorted(set(columns) & other.columns.keys()):
                        con.execute(f"INSERT INTO corrections_traces {_elsewhere_sql(resource, other, column)}")


def _absent_from(resource: Resource) -> str:
    mine = f"department = {literal(resource.department)} AND resource = {literal(resource.name)}"
    return f"(SELECT * FROM corrections_absent WHERE {mine})"


def _rekeyed_sql(resource: Resource) -> str:
    pool = f"{quoted(resource.department)}.{quoted(resource.name)}"
    return f"""
        SELECT a.item_id, true, false FROM {_absent_from(resource)} a
        JOIN (
            SELECT content, any_value(delivery_id) AS delivery_id
            FROM (SELECT {content_sql(resource)} AS content, _delivery_id AS delivery_id FROM {pool})
            WHERE content IN (SELECT CAST(content_hash AS UBIGINT) FROM corrections_absent)
            GROUP BY content HAVING count(*) = 1
        ) p ON CAST(p.content AS VARCHAR) = a.content_hash
        JOIN corrections_deliveries d ON d.delivery_id = p.delivery_id AND d.place > a.place"""


def _elsewhere_sql(resource: Resource, other: Resource, column: str) -> str:
    value = f"coalesce(CAST(p.{quoted(column)} AS VARCHAR), p._raw[{literal(column)}])"
    return f"""
        SELECT a.item_id, false, true FROM {_absent_from(resource)} a
        JOIN {quoted(other.department)}.{quoted(other.name)} p
            ON replace(p._record_key, chr(0), '␀') = a.record_key
        JOIN corrections_deliveries d ON d.delivery_id = p._delivery_id AND d.turn > a.turn
        WHERE a.column_name = {literal(column)} AND replace({value}, chr(0), '␀') = a.observed"""


def _gather(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`corrections_facts`: one row per item.

    An objection that was upheld until a later version of its rule judges is no ground against that version's verdict.
    """
    proposed = same_sql(con, catalog, "q", "s.value", "i.suggested")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE corrections_facts AS
        SELECT i.item_id, i.state, s.withdrawn, s.failing, s.present,
               -- A rule that no longer asks for orders does not open one again.
               f.evaluated AND (f.severity <> 'info' OR NOT i.closed) AS evaluated,
               coalesce(t.rekeyed, false) AS rekeyed, coalesce(t.elsewhere, false) AS elsewhere,
               s.newest > coalesce(j.place, 0) AS newer,
               s.present AND coalesce(s.record_hash <> i.record_hash, true) AS changed,
               changed OR (s.present AND NOT s.on_delivery AND s.stated > coalesce(j.place, 0)) AS restated,
               NOT s.own AND NOT s.on_delivery AND coalesce(s.value = i.observed, false) AS kept,
               f.observed_value IS NOT DISTINCT FROM i.observed
                   AND NOT coalesce(i.state = '{ItemState.upheld}' AND s.rule_version >= u.rule_version, false)
                   AS same_value,
               coalesce(s.silenced, false)
                   OR (coalesce(s.known, false) AND trim(coalesce(s.value, '')) = '') AS blank,
               trim(coalesce(i.observed, '')) = '' AS was_blank,
               coalesce(s.value = i.suggested OR (q.request_id IS NOT NULL AND {proposed}), false) AS as_suggested,
               NOT s.on_delivery AND l.resource IS NOT NULL AS late
        FROM corrections_items_now i
        JOIN corrections_findings f ON f.finding_id = i.finding_id
        JOIN corrections_seen s ON s.finding_id = i.finding_id
        LEFT JOIN corrections_asked q ON q.request_id = i.finding_id
        LEFT JOIN (
            SELECT item_id, as_of, max(rule_version) AS rule_version FROM shuyuan.ledger.dispute_events
            WHERE event = 'upheld' AND rule_version IS NOT NULL GROUP BY ALL
        ) u ON u.item_id = i.item_id AND u.as_of = i.since
        LEFT JOIN corrections_deliveries j ON j.delivery_id = i.delivery_id
        LEFT JOIN (
            SELECT item_id, bool_or(rekeyed) AS rekeyed, bool_or(elsewhere) AS elsewhere
            FROM corrections_traces GROUP BY ALL
        ) t ON t.item_id = i.item_id
        LEFT JOIN (
            SELECT DISTINCT department, resource FROM quality.findings
            WHERE status = 'open' AND rule_id = concat(department, '.', resource, '.delivery.late')
        ) l ON l.department = f.department AND l.resource = f.resource
        WHERE i.state <> '{ItemState.transferred}'
    """)
