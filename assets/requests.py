"""Orders raised by people 校核申请 (Order 809 art. 26): a data user doubts a value, its authority is asked to verify.

A request becomes an item of an order of the department whose record states the value, with the same states, clock,
notices and replies as any other, and is settled as any other: by a later delivery that states another value, by an
objection that is upheld, or by its applicant, who takes it back. Until then the value is marked (`ledger.marks`). What
becomes of each row is `assets.request_rows`, files and lists are `assets.request_files`; how it is judged, with every
pass, is `assets.correction_facts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from assets import receipts
from assets.corrections import tell
from assets.deliveries import date_in
from assets.dispute_book import lapse
from assets.landing import at_rest, handed_in, sha256_of, shown
from assets.request_files import REASONED, TITLES, read_rows, write_receipt, write_told
from assets.request_rows import FIELDS, OUTCOMES, judge
from catalog.load import Catalog
from quality_checks.clocks import days_sql, due_sql, horizon
from quality_checks.corrections import ItemEvent, ItemState
from quality_checks.order_states import OrderEvent, OrderState
from quality_checks.requests import DIMENSION, INDICATOR, SEVERITY, SUFFIX
from quality_checks.working_days import Calendar
from resources import ledger
from resources.city import City
from resources.lake import literal

State = Literal["open", "closed", "all"]


class UnknownRequestError(LookupError):
    """No such request that this department may see."""


class RequestRefusedError(ValueError):
    """What was asked cannot happen to this request now; the message says why."""


@dataclass(frozen=True)
class Raised:
    """What became of one row: an outcome of `assets.request_rows.OUTCOMES`, the request's number if there is one."""

    place: str
    outcome: str
    number: str
    zh: str
    en: str


@dataclass(frozen=True)
class RequestReceipt:
    """What became of one file of requests. `repeated` files were taken before and changed nothing."""

    department: str
    file: str
    sha256: str
    raised: int
    rows: tuple[Raised, ...]
    repeated: bool
    path: Path


@dataclass(frozen=True)
class RequestRow:
    """One request: who asked whom about which field, and where it stands. Holds no value of a record.

    `with_department` answers for it now, `overdue` tells that its last day has passed while it was open.
    """

    request_number: str
    applicant: str
    department: str
    with_department: str
    resource: str
    column_name: str
    library: str | None
    attribute: str | None
    raised_on: date
    state: str
    closed: bool
    since: date
    order_number: str
    due_on: date
    due_provisional: bool
    item_id: str


def raise_requests(
    city: City,
    applicant: str,
    rows: Sequence[Mapping[str, str | None]],
    as_of: date,
    *,
    author: str,
    source: str = "",
    places: Sequence[str] = (),
    before: Callable[[list[Raised]], None] = lambda _: None,
) -> list[Raised]:
    """Raise what can be raised of the rows (`request_rows.FIELDS`, all text) in one transaction; say why of the others.

    `before` is called with what becomes of them, before the ledger holds it.

    Raises:
        KeyError: the catalogue knows no such department.
        duckdb.Error: nothing was raised.
    """
    if applicant not in city.catalog.departments:
        raise KeyError(f"department {applicant!r}: must be one of: {', '.join(city.catalog.departments)}")
    listed = ", ".join(f'unnest(${field}::VARCHAR[]) AS "{field}"' for field in (*FIELDS, "place"))
    given: dict[str, list[str | None]] = {field: [_text(row.get(field)) for row in rows] for field in FIELDS}
    given["place"] = list(places or map(str, range(1, len(rows) + 1)))
    with city.server.lock(ledger.LOCK):
        city.con.execute(
            f"CREATE OR REPLACE TEMP TABLE requests_said AS SELECT generate_subscripts($place, 1) AS number, {listed}",
            given,
        )
        judge(city, applicant, as_of)
        _number(city.con, city.catalog, applicant, as_of)
        told = _outcomes(city)
        before(told)
        _append(city, applicant, as_of, author=author, source=source)
    write_told(city, as_of, applicant)
    return told


def import_file(city: City, path: Path, department: str, as_of: date, *, author: str) -> RequestReceipt:
    """Take one department's file of requests and write a receipt to `outbox/<department>/<as_of>/`.

    The same file again changes nothing. One that cannot be read gives a receipt that says so.

    Raises:
        KeyError: the catalogue knows no such department.
    """
    sha256 = sha256_of(path)
    source = f"{department}:{sha256}"
    told = city.home.outbox / department / as_of.isoformat() / f"request-receipt-{sha256[:12]}.csv"

    def write(rows: list[Raised]) -> None:
        write_receipt(told, shown(path), [(r.place, r.number, r.outcome, r.zh, r.en) for r in rows])

    with city.server.lock("requests"):  # of two imports of one file the second finds it taken
        unfinished = receipts.unfinished(told)
        with city.server.session() as cursor:
            cursor.execute("select count(*) from ledger.batches where kind = 'request' and source = %s", (source,))
            repeated = bool(cursor.fetchone()[0])

        rows: list[Raised] = []
        if not repeated:
            for partial in unfinished:
                partial.unlink()
            read = read_rows(path)
            if read.rows:
                rows = raise_requests(
                    city, department, read.rows, as_of, author=author, source=source, places=read.places, before=write
                )
            else:
                rows = [Raised("", "unreadable", "", read.zh, read.error)] if read.error else []
                write(rows)
            unfinished = [receipts.hidden(told)]
        receipts.show(unfinished)
        if repeated:
            if not unfinished:
                receipts.taken_before(told, TITLES, shown(path))
            write_told(city, as_of, department)  # the import before may have been killed before it
    return RequestReceipt(
        department=department,
        file=shown(path),
        sha256=sha256,
        raised=sum(row.outcome == "raised" for row in rows),
        rows=tuple(rows),
        repeated=repeated,
        path=told,
    )


def take(city: City, as_of: date, *, author: str) -> list[RequestReceipt]:
    """Import every file of `landing/<department>/requests/`, oldest name first, and move it to the archive.

    A file named after a day, `20261103.csv`, waits for the pass to that day.
    """
    taken = []
    for department in city.catalog.departments:
        for path in handed_in(city.home.landing / department / "requests"):
            if (date_in(path.name) or as_of) <= as_of and at_rest(path):
                receipt = import_file(city, path, department, as_of, author=author)
                taken.append(receipt)
                kept = city.home.archive / department / "requests" / f"{receipt.sha256[:12]}-{path.name}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                path.replace(kept)
    return taken


def waiting_days(city: City, last: date | None) -> set[date]:
    """Business days that need a pass: of waiting files, and of requests whose authority was not notified yet."""
    stated = [
        date_in(path.name) or last
        for department in city.catalog.departments
        for path in handed_in(city.home.landing / department / "requests")
    ]
    with city.server.session() as cursor:
        cursor.execute(
            "select distinct o.opened_on from ledger.requests r join ledger.request_states s using (request_id)"
            " join ledger.order_states o on o.order_id = s.order_id where o.state = 'open' and not s.closed"
        )
        stated += [day for (day,) in cursor.fetchall()]
    return {max(day, last or day) for day in stated if day}


def withdraw(city: City, number: str, reason: str, *, department: str, actor: str, as_of: date) -> RequestRow:
    """Its applicant takes a request back: its item is settled, what was owed is not; a dispute about it lapses.

    In the same words on the same day it changes nothing more.

    Raises:
        UnknownRequestError: this department raised none of that number.
        RequestRefusedError: no reason is given, or it is settled.
    """
    if not reason.strip():
        raise RequestRefusedError("reason: must be stated; it is kept in the ledger")
    with city.server.lock(ledger.LOCK):
        found = [row for row in list_requests(city, state="all", number=number) if row.applicant == department]
        if not found:
            raise UnknownRequestError(f"request {number}: {department} raised none of that number")
        last = show_request(city, number)["events"][-1]
        told = [last[name] for name in ("event", "reason", "actor", "as_of")]
        if found[0].closed and told != [ItemEvent.rule_withdrawn, reason.strip(), actor, as_of]:
            raise RequestRefusedError(f"request {number}: is settled, {found[0].state} since {found[0].since}")
        city.con.execute(
            "CREATE OR REPLACE TEMP TABLE requests_news AS SELECT $item AS item_id, $event AS event, $reason AS reason,"
            " NULL::VARCHAR AS evidence, NULL::DATE AS by_date",
            {"item": found[0].item_id, "event": str(ItemEvent.rule_withdrawn), "reason": reason.strip()},
        )
        tell(city, "requests_news", kind="request", as_of=as_of, actor=actor, author=actor)
        lapse(city, as_of, author=actor)
    write_told(city, as_of, department)
    return list_requests(city, state="all", number=number)[0]


_LIST = """
    select request_number, applicant, department, with_department, resource, column_name, library, attribute, raised_on,
           state, closed, since, order_number, due_on, due_provisional, item_id
    from ledger.request_states
    where (%(number)s::text is null or request_number = %(number)s)
      and (%(department)s::text is null or %(department)s in (applicant, department, with_department))
      and case %(state)s when 'open' then not closed when 'closed' then closed else true end
    order by raised_on, length(request_number), request_number
"""


def list_requests(
    city: City, *, department: str | None = None, state: State = "open", number: str | None = None
) -> list[RequestRow]:
    """Requests by the day they were raised; of a department those it raised and those addressed to it."""
    with city.server.session() as cursor:
        cursor.execute(_LIST, {"number": number, "department": department, "state": state})
        return [RequestRow(*row) for row in cursor.fetchall()]


def show_request(city: City, number: str, *, department: str | None = None) -> dict[str, Any]:
    """One request with what its applicant said, what happened to its item, and its disputes.

    What the record states since is for the department that is asked alone; its applicant sees it where it may read it.

    Raises:
        UnknownRequestError: there is none that this department raised or is asked by.
    """
    found = list_requests(city, department=department, state="all", number=number)
    if not found:
        raise UnknownRequestError(f"request {number}: there is none of that number that {department or 'you'} may see")
    shown: dict[str, Any] = {"request": found[0]}
    queries = {
        "values": "select record_key, doubted, proposed, reference_date, reason, evidence, raised_by from"
        " ledger.request_states where item_id = %s",
        "events": "select number, as_of, event, state, observed, suggested, reason, evidence, by_date, actor,"
        " delivery_id from ledger.events where serial = (select serial from ledger.items where item_id = %s)"
        " order by number",
        "disputes": "select dispute_number, state, level, opponent, opened_on, as_of, due_on from ledger.dispute_states"
        " where item_id = %s order by opened_on, dispute_number",
    }
    with city.server.session() as cursor:
        for name, query in queries.items():
            cursor.execute(query, (found[0].item_id,))
            columns = [column.name for column in cursor.description]
            shown[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    if department == found[0].applicant:
        shown["events"] = [_for_applicant(event) for event in shown["events"]]
    return shown


def _for_applicant(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what is the asked department's alone: values, and what it says to the bureau."""
    hidden = ["observed", "suggested"]
    if event["event"] not in (*REASONED, ItemEvent.opened):
        hidden += ["reason", "evidence"]
    return event | dict.fromkeys(hidden)


def _text(value: str | None) -> str | None:
    return (value.replace("\0", "␀").strip() or None) if value else None


def _outcomes(city: City) -> list[Raised]:
    rows = city.con.execute(
        "SELECT place, outcome, coalesce(detail, '') FROM requests_judged ORDER BY number"
    ).fetchall()
    return [
        Raised(place, outcome, detail if outcome in ("raised", "same_open") else "",
               *(text.replace("{detail}", detail) for text in OUTCOMES[outcome]))
        for place, outcome, detail in rows
    ]  # fmt: skip


def _append(city: City, applicant: str, as_of: date, *, author: str, source: str) -> None:
    """Append what is raised and numbered: an order per resource and delivery, an item and a request per row."""
    con = city.con
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE requests_items AS
        SELECT request_id AS item_id, request_id AS finding_id, department, resource, rule_id, record_key, column_name,
               $day::DATE AS opened_on, NULL::VARCHAR AS transferred_from
        FROM requests_raised
        """,
        {"day": as_of},
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE requests_events AS
        SELECT NULL::BIGINT AS serial, 1 AS number, request_id AS item_id, department, '{ItemEvent.opened}' AS event,
               '{ItemState.open}' AS state, false AS closed, $day::DATE AS since, order_id, $day::DATE AS as_of,
               delivery_id, 1 AS rule_version, record_hash, content_hash, value AS observed, proposed AS suggested,
               NULL::VARCHAR AS suggestion_method, NULL::DOUBLE AS suggestion_confidence, told AS reason, evidence,
               NULL::DATE AS by_date, $applicant AS actor, NULL::DATE AS notified_on, 0 AS relapses
        FROM requests_raised
        """,
        {"day": as_of, "applicant": applicant},
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE requests_order_events AS
        SELECT order_id, 1 AS number, department, '{OrderEvent.opened}' AS event, '{OrderState.open}' AS state,
               opened_on AS as_of, due_on, due_provisional, working_days, 0 AS paused_days, 0 AS level,
               $applicant AS actor, NULL::VARCHAR AS reason, NULL::VARCHAR AS evidence
        FROM requests_orders
        """,
        {"applicant": applicant},
    )
    ledger.append(
        con, kind="request", as_of=as_of, author=author, source=source, events="requests_events",
        order_events="requests_order_events", orders="requests_orders", items="requests_items",
        requests="requests_raised",
    )  # fmt: skip


def _number(con: Any, catalog: Catalog, applicant: str, as_of: date) -> None:
    """`requests_raised`: what is raised, as the ledger wants it; `requests_orders`: the orders it makes."""
    title = catalog.departments[applicant].title.zh
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE requests_raised AS
        WITH before AS (SELECT count(*) AS n FROM shuyuan.ledger.requests WHERE raised_on = $day::DATE),
        numbered AS (
            SELECT j.* EXCLUDE (outcome, detail),
                   printf('R%s-%04d', strftime($day::DATE, '%Y%m%d'), row_number() OVER (ORDER BY number) + b.n)
                       AS request_number
            FROM requests_judged j, before b WHERE outcome = 'raised'
        )
        SELECT *, coalesce(value, '') AS doubted, $applicant AS applicant, $day::DATE AS raised_on,
               md5('request|' || request_number) AS request_id,
               concat(department, '.', resource, '{SUFFIX}') AS rule_id,
               md5(concat_ws('|', min(request_number) OVER (PARTITION BY department, resource, delivery_id),
                             department, resource, delivery_id)) AS order_id,
               concat_ws('；', {literal(title)} || '申请校核 ' || request_number, reason, '依据：' || evidence,
                         '基准日 ' || reference_date) AS told
        FROM numbered
        """,
        {"day": as_of, "applicant": applicant},
    )
    con.execute(
        "UPDATE requests_judged j SET detail = r.request_number FROM requests_raised r WHERE r.number = j.number"
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE requests_numbered AS
        SELECT *, {days_sql(catalog.jurisdiction.clock)} AS working_days,
               printf('%s-%04d', strftime(opened_on, '%Y%m%d'), row_number() OVER (ORDER BY first)
                   + (SELECT count(*) FROM shuyuan.ledger.orders WHERE opened_on = $day::DATE)) AS order_number
        FROM (
            SELECT order_id, department, resource, rule_id, delivery_id, NULL::VARCHAR AS standard,
                   '{DIMENSION}' AS dimension, '{INDICATOR}' AS indicator, '{SEVERITY}' AS severity,
                   $day::DATE AS opened_on, $day::DATE AS started_on, min(number) AS first
            FROM requests_raised GROUP BY ALL
        )
        """,
        {"day": as_of},
    )
    last = horizon(con, "requests_numbered", as_of)
    due = due_sql("requests_numbered", as_of, last, Calendar.with_table(catalog.holidays))
    con.execute(
        "CREATE OR REPLACE TEMP TABLE requests_orders AS"
        f" SELECT n.*, d.due_on, d.due_provisional FROM requests_numbered n JOIN ({due}) d USING (order_id)"
    )
