"""What the report site shows of the corrections ledger: orders, items by state, and what this pass changed.

Split from `assets.report_figures` because it reads another database; the same rules hold: set-based queries, counts
and dates only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from duckdb import DuckDBPyConnection

from assets.report_figures import read
from resources.lake import literal
from resources.ledger import Head

URGENT_ORDERS = 200  # orders listed on one department page, the most urgent first
DUE_SOON_DAYS = 3  # calendar days


@dataclass(frozen=True, slots=True)
class Order:
    """One order that still has open items."""

    order_id: str
    number: str
    department: str
    resource: str
    rule_id: str
    severity: str
    opened_on: date
    due_on: date
    provisional: bool
    items: int
    items_open: int
    state: str
    systematic: bool
    accepted_until: date | None
    beside_accepted: bool  # opened in this pass while another problem of its resource is accepted


@dataclass(frozen=True, slots=True)
class OrderCount:
    """Orders of one department; open ones include those due soon, overdue, held and accepted."""

    department: str
    open: int
    due_soon: int
    overdue: int
    closed: int
    held: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class ItemCount:
    """Items of one department in one state."""

    department: str
    state: str
    items: int


@dataclass(frozen=True, slots=True)
class ItemChange:
    """Items of one department opened, verified and relapsed in this pass."""

    department: str
    new: int
    verified: int
    relapsed: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """One value of a department that somebody doubts and nobody has settled: a request, a dispute, or both."""

    department: str
    resource: str
    column: str
    since: date
    due_on: date
    request: str | None
    dispute: str | None
    level: int | None
    opponent: str
    order_number: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger's figures as of one business date."""

    orders: list[Order]
    counts: list[OrderCount]
    items: list[ItemCount]
    changes: list[ItemChange]
    heads: list[Head]
    doubts: list[Doubt]


_ORDERS = """
    select order_id, order_number, department, resource, rule_id, severity, opened_on, due_on, due_provisional, items,
           open, state, systematic, accepted_until, beside_accepted
    from (select *, row_number() over (partition by department order by state in ('held', 'accepted'),
                                       not beside_accepted, due_on, order_number) as urgency
          from (select *, opened_on = $as_of and state not in ('held', 'accepted')
                    and bool_or(state = 'accepted') over (partition by department, resource) as beside_accepted
                from temp.report_orders where open > 0))
    where urgency <= $listed order by department, urgency"""

_COUNTS = """
    select department, count(*) filter (open > 0), count(*) filter (runs and due_on between $as_of and $soon),
           count(*) filter (runs and due_on < $as_of), count(*) filter (open = 0), count(*) filter (state = 'held'),
           count(*) filter (state = 'accepted')
    from temp.report_orders group by department order by department"""

# The last event of an item is its state (ledger.item_states); counted here in one scan instead of a lookup per item.
_ITEMS = """
    select department, state, count(*)
    from (select department, item_id, arg_max(state, number) as state from shuyuan.ledger.events group by all)
    group by all order by department, state"""

_CHANGES = """
    select department, count(distinct item_id) filter (event = 'opened'),
           count(distinct item_id) filter (event in ('verified_as_suggested', 'verified_otherwise')),
           count(distinct item_id) filter (event = 'reopened')
    from shuyuan.ledger.events where as_of = $as_of group by department order by department"""


# In PostgreSQL, which looks up the few items that are in dispute, and no others.
_DISPUTED = "select * from ledger.dispute_states where state in ('negotiation', 'authority', 'superior', 'government')"
_DOUBTS = f"""
    select i.department, i.resource, i.column_name, coalesce(r.raised_on, d.opened_on) as since, i.due_on,
           r.request_number, d.dispute_number, d.level, coalesce(r.applicant, d.opponent), i.order_number
    from (select item_id from ledger.request_states where not closed union select item_id from ({_DISPUTED}) o) o
    join ledger.item_states i using (item_id)
    left join ledger.requests r on r.request_id = i.finding_id
    left join ({_DISPUTED}) d on d.item_id = o.item_id
    order by i.department, since, i.order_number, i.column_name"""

# The last links of the chains: who keeps an old report can prove that the ledger was not cut off or written anew.
_HEADS = """
    select department, batch, as_of, digest from shuyuan.ledger.batches where as_of <= $as_of
    qualify row_number() over (partition by department order by batch desc) = 1 order by department"""


def collect_ledger(con: DuckDBPyConnection, as_of: date) -> Ledger:
    """Read the ledger once and count it; overdue is one whose clock runs and whose due date lies before `as_of`."""
    con.execute("""
        create or replace temp table report_orders as
        select order_id, order_number, department, resource, rule_id, severity, opened_on, due_on, due_provisional,
               items::BIGINT as items, open::BIGINT as open, state, cause is not null as systematic, accepted_until,
               open > 0 and state in ('open', 'notified') as runs
        from shuyuan.ledger.order_states""")
    try:
        return Ledger(
            orders=read(con, _ORDERS, Order, {"listed": URGENT_ORDERS, "as_of": as_of}),
            counts=read(con, _COUNTS, OrderCount, {"as_of": as_of, "soon": as_of + timedelta(days=DUE_SOON_DAYS)}),
            items=read(con, _ITEMS, ItemCount, {}),
            changes=read(con, _CHANGES, ItemChange, {"as_of": as_of}),
            heads=read(con, _HEADS, Head, {"as_of": as_of}),
            doubts=read(con, f"FROM postgres_query('shuyuan', {literal(_DOUBTS)})", Doubt, {}),
        )
    finally:
        con.execute("drop table temp.report_orders")
