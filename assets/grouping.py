"""Which order a new item goes into: one of its own delivery and rule, that of its cause, or one that is accepted.

Called by `assets.corrections` while it opens orders; what is one cause, and what a storm, says `quality_checks.noise`.
"""

from __future__ import annotations

from datetime import date

from duckdb import DuckDBPyConnection

from catalog.jurisdiction import Noise
from quality_checks.noise import causes_sql, storms_sql
from quality_checks.order_states import DONE, OrderEvent, OrderState
from resources.lake import literal

# Orders that new items of the same rule concern: held, accepted, or marked systematic; one row each.
_STANDING = f"""
    select o.order_id, o.department, o.resource, o.rule_id, o.opened_on, l.state, l.due_on, s.marked
    from (select distinct on (order_id) order_id, state, due_on from ledger.order_events
          order by order_id, number desc) l
    join ledger.orders o using (order_id)
    cross join lateral (select exists (
        select from ledger.order_events e where e.order_id = l.order_id and e.event = '{OrderEvent.systematic}'
    ) as marked) s
    where l.state not in ({", ".join(f"'{state}'" for state in sorted(DONE))})
      and (s.marked or l.state in ('{OrderState.held}', '{OrderState.accepted}'))
"""


def group(con: DuckDBPyConnection, settings: Noise, as_of: date) -> None:
    """`corrections_opened`: the items of `corrections_new` with the order each goes into, and whether that was there.

    A problem that is accepted, and a cause that goes on, take what is new into their order. The day is part of a new
    order's identity: a finding that appears long after its delivery has a full clock of its own. So is a deadline that
    is kept: what relapses while the order it was corrected in still had time gains none by it.
    """
    standing = f"FROM postgres_query('shuyuan', {literal(_STANDING)})"
    con.execute(f"CREATE OR REPLACE TEMP TABLE grouping_standing AS {standing}")
    causes = causes_sql("corrections_new", "corrections_deliveries", settings, as_of)
    con.execute(f"CREATE OR REPLACE TEMP TABLE grouping_causes AS {causes}")
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE corrections_opened AS
        SELECT n.*, s.order_id IS NOT NULL AS joined,
               coalesce(s.order_id, md5(concat_ws('|', n.department, n.resource, n.rule_id,
                   CASE WHEN c.rule_id IS NULL THEN n.judged_delivery ELSE 'systematic' END,
                   $day::DATE, n.kept_due_on))) AS order_id
        FROM corrections_new n
        LEFT JOIN grouping_causes c USING (department, resource, rule_id)
        LEFT JOIN (
            SELECT * FROM grouping_standing WHERE marked OR state = '{OrderState.accepted}'
            QUALIFY row_number() OVER (PARTITION BY department, resource, rule_id
                                       ORDER BY state = '{OrderState.accepted}' DESC, opened_on DESC, order_id) = 1
        ) s ON s.department = n.department AND s.resource = n.resource AND s.rule_id = n.rule_id
           AND (s.state = '{OrderState.accepted}'
                OR (c.rule_id IS NOT NULL AND coalesce(s.due_on <= n.kept_due_on, true)))
        """,
        {"day": as_of},
    )


def mark(con: DuckDBPyConnection, settings: Noise, as_of: date, author: str) -> None:
    """Add to `corrections_order_events` which of the new orders are systematic and which are held, and why.

    Held is what a storm brings, and what comes while the bureau still holds an order of the same rule.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE grouping_storms AS"
        f" {storms_sql('corrections_opened', 'corrections_deliveries', settings, as_of)}"
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE grouping_marks AS
        SELECT order_id, '{OrderEvent.systematic}' AS event, '{OrderState.open}' AS state, c.told
        FROM corrections_orders JOIN grouping_causes c USING (department, resource, rule_id)
        UNION ALL
        SELECT order_id, '{OrderEvent.held}', '{OrderState.held}', min(told)
        FROM (
            SELECT i.order_id, s.told FROM corrections_opened i
            JOIN grouping_storms s ON s.department = i.department AND s.resource = i.resource
                AND coalesce(s.judged_delivery = i.judged_delivery, true)
            UNION ALL
            SELECT o.order_id, '同一规则另有工单待核查 An order of the same rule is still held.'
            FROM corrections_orders o JOIN grouping_standing h USING (department, resource, rule_id)
            WHERE h.state = '{OrderState.held}'
        ) WHERE order_id IN (SELECT order_id FROM corrections_orders) GROUP BY ALL
        """
    )
    con.execute(
        """
        INSERT INTO corrections_order_events BY NAME
        SELECT order_id, 1 + row_number() OVER (PARTITION BY order_id ORDER BY m.event DESC) AS number, o.department,
               m.event, m.state, o.opened_on AS as_of, o.due_on, o.due_provisional, o.working_days, 0 AS paused_days,
               0 AS level, $author AS actor, m.told AS reason
        FROM corrections_orders o JOIN grouping_marks m USING (order_id)
        """,
        {"author": author},
    )
