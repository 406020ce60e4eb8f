"""What is asked about disputes: the list, one with all statements, those of an order; what parties are told; lapsing.

What people do to one is `assets.disputes`. The list holds no value of a record; statements are for the parties' eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from assets.notice_files import write_list
from assets.sending import BUREAU, enqueue
from quality_checks.corrections import ItemState
from quality_checks.dispute_states import ENDED, DisputeEvent, DisputeState
from resources import ledger
from resources.city import City
from resources.lake import literal

State = Literal["open", "closed", "all"]


@dataclass(frozen=True)
class DisputeRow:
    """One dispute: between whom, about which item, on which level it is or ended. `due_on` null: no law states one.

    `rule_version`: of an upheld one, from which version of the rule on its verdict counts again.
    """

    dispute_number: str
    item_id: str
    department: str
    opponent: str
    resource: str
    rule_id: str
    column_name: str
    opened_on: date
    state: str
    level: int
    closed: bool
    as_of: date
    due_on: date | None
    rule_version: int | None
    number: int
    order_number: str


@dataclass(frozen=True)
class StatementRow:
    """One thing that happened to a dispute: which party or level said what, on what evidence."""

    number: int
    as_of: date
    event: str
    state: str
    level: int
    party: str
    actor: str
    due_on: date | None
    reason: str | None
    evidence: str | None


_LIST = """
    select d.dispute_number, d.item_id, d.department, d.opponent, d.resource, d.rule_id, d.column_name, d.opened_on,
           d.state, d.level, d.state = any(%(ended)s) as closed, d.as_of, d.due_on, d.rule_version, d.number,
           o.order_number
    from ledger.dispute_states d
    cross join lateral (
        select e.order_id from ledger.items i join ledger.events e using (serial)
        where i.item_id = d.item_id order by e.number desc limit 1
    ) e
    join ledger.orders o using (order_id)
    where (%(number)s::text is null or d.dispute_number = %(number)s)
      and (%(item_id)s::text is null or d.item_id = %(item_id)s)
      and (%(order)s::text is null or o.order_number = %(order)s)
      and (%(department)s::text is null or %(department)s in (d.department, d.opponent))
      and case %(state)s when 'open' then d.state <> all(%(ended)s) when 'closed' then d.state = any(%(ended)s)
          else true end
    order by d.opened_on, length(d.dispute_number), d.dispute_number
"""


def list_disputes(
    city: City,
    *,
    department: str | None = None,
    state: State = "open",
    number: str | None = None,
    item_id: str | None = None,
    order: str | None = None,
) -> list[DisputeRow]:
    """Disputes by the day they were opened; of a department those it is a party to."""
    wanted = {
        "department": department, "state": state, "number": number, "item_id": item_id, "order": order,
        "ended": [str(one) for one in sorted(ENDED)],
    }  # fmt: skip
    with city.server.session() as cursor:
        cursor.execute(_LIST, wanted)
        return [DisputeRow(*row) for row in cursor.fetchall()]


def statements(city: City, number: str) -> tuple[StatementRow, ...]:
    """Everything that happened to one dispute, in order."""
    with city.server.session() as cursor:
        cursor.execute(
            "select number, as_of, event, state, level, party, actor, due_on, reason, evidence"
            " from ledger.dispute_events where dispute_number = %s order by number",
            (number,),
        )
        return tuple(StatementRow(*row) for row in cursor.fetchall())


def open_dispute_of(city: City, item_id: str) -> str | None:
    """Number of the dispute that is open on an item."""
    found = list_disputes(city, item_id=item_id)
    return found[0].dispute_number if found else None


def read_item(city: City, item_id: str) -> dict[str, Any] | None:
    """The item as it stands, who is against its department, and since when it is about this value (`begun_on`)."""
    with city.server.session() as cursor:
        cursor.execute(
            """
            select i.*, coalesce(r.applicant, %(bureau)s) as opponent, b.begun_on
            from ledger.item_states i left join ledger.requests r on r.request_id = i.finding_id
            cross join lateral (
                select min(as_of) as begun_on from ledger.events e
                where e.serial = i.serial and e.number > coalesce((
                    select max(number) from ledger.events p
                    where p.serial = i.serial and p.observed is distinct from i.observed), 0)
            ) b
            where i.item_id = %(item)s
            """,
            {"item": item_id, "bureau": BUREAU},
        )
        found = cursor.fetchone()
        return dict(zip([c.name for c in cursor.description], found, strict=True)) if found else None


def lapse(city: City, as_of: date, *, author: str) -> int:
    """End every dispute whose item no longer stands in objection: the value it was about is not stated any more, or the
    request was taken back. The caller holds the ledger's lock. Returns how many ended.
    """
    ended = ", ".join(f"'{one}'" for one in sorted(ENDED))
    pending = f"""
        select d.dispute_id, d.number + 1 as number, d.department, d.dispute_number, d.item_id, d.opponent, d.level,
               d.library, d.attribute, 'item: ' || i.state as reason
        from ledger.dispute_states d join ledger.item_states i using (item_id)
        where d.state not in ({ended}) and i.state <> '{ItemState.objection_raised}'"""
    city.con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE disputes_lapsed AS
        SELECT *, '{DisputeEvent.lapsed}' AS event, '{DisputeState.lapsed}' AS state, '{BUREAU}' AS party,
               $day::DATE AS as_of, NULL::DATE AS due_on, NULL::INTEGER AS rule_version, $author AS actor,
               NULL::VARCHAR AS entity_id, NULL::VARCHAR AS evidence
        FROM postgres_query('shuyuan', {literal(pending)})  -- it looks up the items of open disputes, and no others
        """,
        {"day": as_of, "author": author},
    )
    row = city.con.execute("SELECT count(*) FROM disputes_lapsed").fetchone()
    if row and row[0]:
        ledger.append(city.con, kind="dispute", as_of=as_of, author=author, dispute_events="disputes_lapsed")
    return int(row[0]) if row else 0


def write_told(city: City, as_of: date) -> list[Path]:
    """What both parties are told of the day's disputes: `outbox/<party>/<day>/disputes.*`, written from the ledger."""
    with city.server.session() as cursor:
        cursor.execute(
            """
            select d.dispute_number as dispute, d.event, d.state, d.level, d.party, d.department, d.opponent,
                   i.resource, i.column_name as "column", d.due_on, d.reason, d.evidence
            from ledger.dispute_events d join ledger.items i using (item_id)
            where d.as_of = %s order by length(d.dispute_number), d.dispute_number, d.number
            """,
            (as_of,),
        )
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    written: list[Path] = []
    for party in sorted({row[side] for row in rows for side in ("department", "opponent")}):
        folder = city.home.outbox / party / as_of.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        theirs = [row for row in rows if party in (row["department"], row["opponent"])]
        made = write_list(folder / "disputes", "Disputes 争议", theirs, as_of)
        enqueue(city, party, as_of, made)
        written += made
    return written
