"""Corrections: each pass judges every item by the rule on what its department delivered, and opens orders for the rest.

`quality_checks.corrections` says what may happen and when; here the facts are gathered from findings, pools, deliveries
and the ledger, set-based, and what was decided is appended to the ledger in one transaction. Notices to departments are
`assets.notices`, their replies `assets.feedback`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Resource, Rule
from quality_checks import comparison
from quality_checks.corrections import CORRECTED, SETTLED, ItemEvent, ItemState, decision_sql, transitions_sql
from quality_checks.rule_book import on_day, rule_book
from quality_checks.rules import all_rules, looks_around, stated, thematic_rules
from quality_checks.working_days import add_workdays
from resources import ledger
from resources.city import City
from resources.lake import literal, quoted

WORKING_DAYS = 10  # 政务数据共享条例 (Order 809) art. 26; local rules know 5 (Ningbo): a parameter of `advance`


@dataclass(frozen=True)
class CorrectionsSummary:
    """What the ledger holds of one business day, and what is open and overdue on it."""

    orders_opened: int
    items_opened: int
    items_closed: int
    items_reopened: int
    orders_open: int
    orders_overdue: int
    orders_closed: int


def advance(city: City, as_of: date, *, author: str, working_days: int = WORKING_DAYS) -> CorrectionsSummary:
    """Judge every item and open orders for new findings; a second call for the same state adds nothing.

    `working_days` counts from the notice, which goes out on `as_of`; that day itself is not counted.

    Raises:
        duckdb.Error: nothing was written; run the pass again.
    """
    con = city.con
    with city.server.lock(ledger.LOCK):
        _read_ledger_and_findings(con, as_of)
        _read_deliveries(con, as_of)
        _read_records(con, city.catalog)
        _read_rules(con, city.catalog, as_of)
        _gather_facts(con)
        con.execute(f"CREATE OR REPLACE TEMP TABLE corrections_judged AS {decision_sql('corrections_facts')}")
        _open_orders(con, as_of, working_days)
        _write_events(con, as_of, author)
        ledger.append(
            con,
            kind="advance",
            as_of=as_of,
            author=author,
            events="corrections_events",
            orders="corrections_orders",
            items="corrections_items",
        )
    return summary(city, as_of)


def tell(city: City, news: str, *, kind: str, as_of: date, actor: str, author: str, source: str = "") -> int:
    """Append what people did: `news` names a temporary table `item_id, event, reason, evidence, by_date`.

    One row per item; events its state does not allow are left out. The caller holds the ledger's lock. Returns the
    number of events written.
    """
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_told AS
        SELECT i.item_id, i.number + 1 AS number, i.department, n.event, t.next_state AS state, t.closed,
               CASE WHEN t.next_state = i.state THEN i.since ELSE $day::DATE END AS since, i.order_id,
               $day::DATE AS as_of, i.delivery_id, i.record_hash, i.observed, i.suggested, i.suggestion_method,
               i.suggestion_confidence, n.reason, n.evidence,
               n.by_date, $actor AS actor,
               CASE WHEN n.event = '{ItemEvent.notified}' THEN $day::DATE ELSE i.notified_on END AS notified_on,
               i.relapses
        FROM {news} n JOIN shuyuan.ledger.item_states i USING (item_id)
        JOIN {transitions_sql()} t ON t.state = i.state AND t.event = n.event
        """,
        {"day": as_of, "actor": actor},
    )
    return ledger.append(city.con, kind=kind, as_of=as_of, author=author, events="corrections_told", source=source)


def summary(city: City, as_of: date) -> CorrectionsSummary:
    """The figures of one business day, from the ledger."""
    corrected = ", ".join(literal(state) for state in sorted(SETTLED - {ItemState.upheld}))
    with city.server.session() as cursor:
        cursor.execute(
            f"""
            select
                (select count(*) from ledger.orders where opened_on = %(day)s),
                (select count(*) from ledger.items where opened_on = %(day)s),
                (select count(*) from ledger.events where as_of = %(day)s and closed and event in ({corrected})),
                (select count(*) from ledger.events where as_of = %(day)s and event = 'reopened'),
                count(*) filter (where open > 0), count(*) filter (where open > 0 and due_on < %(day)s),
                count(*) filter (where closed_on = %(day)s)
            from ledger.order_states
            """,
            {"day": as_of},
        )
        return CorrectionsSummary(*cursor.fetchone())


def _read_ledger_and_findings(con: DuckDBPyConnection, as_of: date) -> None:
    """`corrections_items_now`: every item; `corrections_findings`: findings with or wanting an item, evaluated or not.

    PostgreSQL takes no NUL character, so text is compared and kept with the symbol for it.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE corrections_items_now AS FROM shuyuan.ledger.item_states")
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_findings AS
        SELECT f.* REPLACE (
                replace(f.record_key, chr(0), '␀') AS record_key, coalesce(f."column", '') AS "column",
                replace(f.observed_value, chr(0), '␀') AS observed_value,
                replace(f.suggested_value, chr(0), '␀') AS suggested_value,
                replace(f.reason, chr(0), '␀') AS reason, coalesce(f.delivery_id, '') AS delivery_id
            ),
            f.status = 'open' AS failing, r.rule_id IS NOT NULL AS evaluated, i.item_id IS NULL AS unknown
        FROM quality.findings f
        LEFT JOIN (
            SELECT DISTINCT department, resource, rule_id FROM quality.results WHERE as_of = $day AND state = 'ok'
        ) r USING (department, resource, rule_id)
        LEFT JOIN corrections_items_now i ON i.item_id = f.finding_id
        WHERE i.item_id IS NOT NULL OR (f.status = 'open' AND f.severity <> 'info' AND r.rule_id IS NOT NULL)
        """,
        {"day": as_of},
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE corrections_evaluated AS"
        " SELECT DISTINCT rule_id FROM quality.results WHERE as_of = $day",
        {"day": as_of},
    )


def _read_deliveries(con: DuckDBPyConnection, as_of: date) -> None:
    """`corrections_deliveries`: each settled delivery with its place in its resource's order; `corrections_feeds`: the
    newest of each resource (any state for rules on deliveries, pooled and full ones for rules on records).
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_deliveries AS
        SELECT delivery_id, department, resource, mode, state,
               row_number() OVER (PARTITION BY department, resource ORDER BY as_of, registered_at, delivery_id) AS place
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


def _read_records(con: DuckDBPyConnection, catalog: Catalog) -> None:
    """`corrections_records`: the pool's record behind each finding that can still move, one row where there is one.

    `silenced`: the rule passes only because a field it reads, not the accused one, is blank.
    """
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_records
            (item_id VARCHAR, delivery_id VARCHAR, record_hash VARCHAR, known BOOLEAN, value VARCHAR, silenced BOOLEAN)
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
    mine = f"department = {literal(resource.department)} AND resource = {literal(resource.name)}"
    return f"""
        SELECT f.finding_id, p._delivery_id, concat(p._hash, '/', p._copies), coalesce(f."column" IN ({listed}), false),
               replace({value}, chr(0), '␀'),
               {f"coalesce(CASE f.rule_id {silenced} END, false)" if rules else "false"}
        FROM (SELECT * FROM corrections_findings WHERE {mine}) f
        JOIN (
            SELECT *{silent} FROM {quoted(resource.department)}.{quoted(resource.name)}
            WHERE _record_key IN (SELECT record_key FROM corrections_findings WHERE {mine})
        ) p ON p._record_key = f.record_key"""


def _silenced(resource: Resource, rule: Rule) -> str:
    """Whether the rule says nothing of a record because a field it reads is blank, as SQL over the pool."""
    words = re.findall(r"\w+", rule.that) if rule.that else rule.columns_read()
    blank = " OR ".join(f"NOT ({stated(resource, column)})" for column in sorted(set(words) & resource.columns.keys()))
    silent = f"({rule.that}) IS NULL" if rule.that else "true"  # about several records it says nothing of a blank
    return f"(({rule.when}) AND {silent} AND ({blank or 'false'}))"


def _read_rules(con: DuckDBPyConnection, catalog: Catalog, as_of: date) -> None:
    """`corrections_rules`: the rules in force, and whether each looks at nothing but the record itself."""
    rules = {rule.id: rule for rule in on_day(rule_book(catalog).values(), as_of)}
    wide = {rule.id for library in catalog.libraries.values() for rule in comparison.rules(library)}
    wide |= {rule.id for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)}
    wide |= {rule.id for rule in rules.values() if rule.of_several or looks_around(rule)}
    con.execute(
        "CREATE OR REPLACE TEMP TABLE corrections_rules AS SELECT unnest($ids) AS rule_id, unnest($own) AS own",
        {
            "ids": list(rules),
            "own": [rule not in wide for rule in rules],
        },
    )


def _gather_facts(con: DuckDBPyConnection) -> None:
    """`corrections_facts`: one row per item and per finding that has none yet (state NULL), with all the machine asks.

    A rule on deliveries has no record: its resource's newest delivery stands for it.
    """
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_seen AS
        SELECT f.finding_id AS item_id, f.failing,
               starts_with(f.rule_id, concat(f.department, '.', f.resource, '.delivery.')) AS on_delivery,
               r.known, r.value, r.silenced, coalesce(u.own, false) AS own,
               u.rule_id IS NULL AND v.rule_id IS NULL AND NOT on_delivery AS withdrawn,
               on_delivery OR r.item_id IS NOT NULL AS present,
               CASE WHEN on_delivery THEN coalesce(d.newest_id, '') ELSE r.record_hash END AS record_hash,
               coalesce(CASE WHEN on_delivery THEN d.newest ELSE d.pooled END, 0) AS newest,
               -- A full delivery states every record there is.
               greatest(coalesce(p.place, 0), coalesce(d.restated, 0)) AS stated,
               CASE WHEN on_delivery THEN d.newest_id
                    WHEN r.item_id IS NULL THEN d.pooled_id
                    WHEN d.restated > coalesce(p.place, 0) THEN d.restated_id
                    ELSE r.delivery_id END AS delivery_id
        FROM corrections_findings f
        LEFT JOIN corrections_records r ON r.item_id = f.finding_id
        LEFT JOIN corrections_deliveries p ON p.delivery_id = r.delivery_id
        LEFT JOIN corrections_feeds d ON d.department = f.department AND d.resource = f.resource
        LEFT JOIN corrections_rules u ON u.rule_id = f.rule_id
        LEFT JOIN corrections_evaluated v ON v.rule_id = f.rule_id
    """)
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_facts AS
        SELECT i.item_id, i.state, s.withdrawn, s.failing, s.present,
               -- A rule that no longer asks for orders does not open one again.
               f.evaluated AND (f.severity <> 'info' OR NOT i.closed) AS evaluated,
               s.newest > coalesce(j.place, 0) AS newer,
               s.present AND coalesce(s.record_hash <> i.record_hash, true) AS changed,
               changed OR (s.present AND NOT s.on_delivery AND s.stated > coalesce(j.place, 0)) AS restated,
               NOT s.own AND NOT s.on_delivery AND coalesce(s.value = i.observed, false) AS kept,
               f.observed_value IS NOT DISTINCT FROM i.observed AS same_value,
               coalesce(s.silenced, false)
                   OR (coalesce(s.known, false) AND trim(coalesce(s.value, '')) = '') AS blank,
               trim(coalesce(i.observed, '')) = '' AS was_blank,
               coalesce(s.value = i.suggested, false) AS as_suggested,
               NOT s.on_delivery AND l.resource IS NOT NULL AS late
        FROM corrections_items_now i
        JOIN corrections_findings f ON f.finding_id = i.item_id
        JOIN corrections_seen s ON s.item_id = i.item_id
        LEFT JOIN corrections_deliveries j ON j.delivery_id = i.delivery_id
        LEFT JOIN (
            SELECT DISTINCT department, resource FROM quality.findings
            WHERE status = 'open' AND rule_id = concat(department, '.', resource, '.delivery.late')
        ) l ON l.department = i.department AND l.resource = i.resource
    """)


def _open_orders(con: DuckDBPyConnection, as_of: date, working_days: int) -> None:
    """`corrections_opened`: findings that get a new clock; `corrections_orders` and `corrections_items`: the new ones.

    The day is part of an order's identity: a finding that appears long after its delivery has a full clock of its own.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_opened AS
        SELECT f.*,
               coalesce(CASE WHEN s.on_delivery THEN nullif(f.delivery_id, '') END, s.delivery_id, f.delivery_id)
                   AS judged_delivery,
               md5(concat_ws('|', f.department, f.resource, f.rule_id, judged_delivery, $day::DATE)) AS order_id
        FROM corrections_findings f JOIN corrections_seen s ON s.item_id = f.finding_id
        LEFT JOIN corrections_judged j ON j.item_id = f.finding_id
        WHERE (f.unknown AND NOT s.withdrawn) OR j.event = '{ItemEvent.reopened}'
        """,
        {"day": as_of},
    )
    due_on, provisional = add_workdays(as_of, working_days)
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_orders AS
        SELECT order_id,
               printf('%s-%04d', strftime($day::DATE, '%Y%m%d'),
                      row_number() OVER (ORDER BY department, resource, rule_id, delivery_id)
                      + (SELECT count(*) FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)) AS order_number,
               department, resource, rule_id, delivery_id, standard, dimension, indicator, severity,
               $day::DATE AS opened_on, $due::DATE AS due_on, $provisional AS due_provisional
        FROM (
            SELECT order_id, department, resource, rule_id, judged_delivery AS delivery_id, max(standard) AS standard,
                   max(dimension) AS dimension, max(indicator) AS indicator, max(severity) AS severity
            FROM corrections_opened GROUP BY ALL
        ) WHERE order_id NOT IN (SELECT order_id FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)
        """,
        {"day": as_of, "due": due_on, "provisional": provisional},
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE corrections_items AS
        SELECT finding_id AS item_id, department, resource, rule_id, record_key, "column" AS column_name,
               $day::DATE AS opened_on
        FROM corrections_opened WHERE unknown
        """,
        {"day": as_of},
    )


def _write_events(con: DuckDBPyConnection, as_of: date, author: str) -> None:
    """`corrections_events`: one row per item that was opened or judged."""
    failing = ", ".join(literal(event) for event in (ItemEvent.reopened, ItemEvent.still_wrong, ItemEvent.stated_again))
    corrected = ", ".join(literal(state) for state in sorted(CORRECTED))
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_events AS
        SELECT o.finding_id AS item_id, 1 AS number, o.department, '{ItemEvent.opened}' AS event,
               '{ItemState.open}' AS state, false AS closed, $day::DATE AS since, o.order_id, $day::DATE AS as_of,
               o.judged_delivery AS delivery_id, coalesce(s.record_hash, '') AS record_hash,
               o.observed_value AS observed, o.suggested_value AS suggested, o.suggestion_method,
               o.suggestion_confidence, o.reason, NULL::VARCHAR AS evidence, NULL::DATE AS by_date, $author AS actor,
               NULL::DATE AS notified_on, 0 AS relapses
        FROM corrections_opened o JOIN corrections_seen s ON s.item_id = o.finding_id WHERE o.unknown
        UNION ALL
        SELECT i.item_id, i.number + 1, i.department, j.event, j.next_state, j.closed,
               CASE WHEN j.next_state = i.state THEN i.since ELSE $day::DATE END, coalesce(o.order_id, i.order_id),
               $day::DATE, coalesce(s.delivery_id, i.delivery_id), coalesce(s.record_hash, i.record_hash),
               CASE WHEN j.event IN ({failing}) THEN f.observed_value
                    WHEN j.event IN ({corrected}) THEN s.value ELSE i.observed END,
               CASE WHEN j.event IN ({failing}) THEN f.suggested_value ELSE i.suggested END,
               CASE WHEN j.event IN ({failing}) THEN f.suggestion_method ELSE i.suggestion_method END,
               CASE WHEN j.event IN ({failing}) THEN f.suggestion_confidence ELSE i.suggestion_confidence END,
               CASE WHEN j.event IN ({failing}) THEN f.reason END, NULL, NULL, $author,
               CASE WHEN o.order_id IS NULL THEN i.notified_on END,
               i.relapses + (j.event = '{ItemEvent.reopened}' AND i.state IN ({corrected}))::INTEGER
        FROM corrections_judged j
        JOIN corrections_items_now i ON i.item_id = j.item_id
        JOIN corrections_findings f ON f.finding_id = j.item_id
        JOIN corrections_seen s ON s.item_id = j.item_id
        LEFT JOIN corrections_opened o ON o.finding_id = j.item_id
        """,
        {"day": as_of, "author": author},
    )
