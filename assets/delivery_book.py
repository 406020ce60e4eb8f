"""What a person sees of deliveries and may do to them: list, show, their records, replay, take back.

Whatever changes a pool is written down first (`ops.delivery_actions`, `ops.rebuilds`) and then done, so that a kill
between leaves it for the next load to finish; the pass that rests on the pool becomes due again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from assets import pools
from catalog.models import Resource
from resources import clock
from resources.city import City
from resources.lake import quoted

STATES = ("registered", "pooled", "superseded", "rejected")
LISTED = (
    "delivery_id, department, resource, as_of, mode, state, rows_declared, rows_delivered, rows_pooled, "
    "rows_quarantined, rows_removed, source, file_name, schema_version, day_number, superseded_by, bytes, sha256, "
    "archive_path, registered_at, settled_at, settled_by, pass_as_of, reasons"
)
SHORT = (
    "delivery_id", "state", "mode", "rows_delivered", "rows_pooled", "rows_quarantined", "rows_removed", "reasons",
)  # fmt: skip
NOTED = """
    insert into ops.delivery_actions (delivery_id, action, reason, actor, recorded_at)
    values (%(delivery_id)s, %(action)s, %(reason)s, %(actor)s, %(now)s);
"""
REBUILD = """
    insert into ops.rebuilds (department, resource, actor, recorded_at)
    select department, resource, %(actor)s, %(now)s from ops.deliveries where delivery_id = %(delivery_id)s
    on conflict (department, resource) do nothing;
"""
# The pass that rests on the pool is made again, with this delivery's resource in it.
REOPEN = """
    with last as (select max(as_of) as as_of from ops.passes where state = 'finished')
    update ops.deliveries d set pass_as_of = last.as_of from last
    where delivery_id = %(delivery_id)s and last.as_of is not null;
    update ops.passes set state = 'started', finished_at = null
    where as_of = (select max(as_of) from ops.passes where state = 'finished');
"""
TAKE_BACK = """
    update ops.deliveries
    set state = 'rejected', rows_pooled = 0, rows_quarantined = 0, rows_removed = 0, superseded_by = null,
        day_number = null, settled_at = %(now)s, settled_by = %(actor)s, reasons = reasons || %(reasons)s::jsonb
    where delivery_id = %(delivery_id)s;
    delete from ops.profiles where delivery_id = %(delivery_id)s;
"""
AGAIN = """
    update ops.deliveries
    set state = 'registered', rows_delivered = null, rows_pooled = null, rows_quarantined = null, rows_removed = null,
        settled_at = null, settled_by = null, reasons = '[]'
    where delivery_id = %(delivery_id)s;
"""


def list_deliveries(
    city: City,
    *,
    department: str | None = None,
    resource: str | None = None,
    state: str | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:
    """Deliveries that fit, newest as-of date first."""
    given = {"department": department, "resource": resource, "state": state, "since": since, "until": until}
    return _select(
        city,
        "(%(department)s::text is null or department = %(department)s) "
        "and (%(resource)s::text is null or resource = %(resource)s) "
        "and (%(state)s::text is null or state = %(state)s) "
        "and (%(since)s::date is null or as_of >= %(since)s) and (%(until)s::date is null or as_of <= %(until)s) "
        "order by as_of desc nulls first, department, resource, registered_at desc limit %(limit)s",
        {**given, "limit": limit},
    )


def show(city: City, delivery_id: str) -> dict[str, Any]:
    """All that is known of one delivery: its row, what a person did to it, its columns' profile.

    Raises:
        LookupError: the register does not know it.
    """
    row = _one(city, delivery_id)
    given = {"delivery_id": delivery_id}
    actions = _query(
        city,
        "select action, reason, actor, recorded_at from ops.delivery_actions where delivery_id = %(delivery_id)s "
        "order by recorded_at",
        given,
    )
    profile = _query(
        city,
        "select column_name, rows, nulls, distinct_values, converted, unparsed, lowest, highest, shortest, longest, "
        "top_lengths from ops.profiles where delivery_id = %(delivery_id)s order by position",
        given,
    )
    left_out = []
    if row["rows_quarantined"]:
        found = city.con.execute(
            f"select reason_code, count(*) from {quoted(row['department'])}._quarantine where delivery_id = $1 "
            "group by all order by all",
            [delivery_id],
        ).fetchall()
        left_out = [{"reason_code": code, "records": records} for code, records in found]
    return {**row, "quarantine": left_out, "actions": actions, "profile": profile}


def rows(
    city: City, delivery_id: str, *, quarantined: bool = False, unmasked: bool = False, limit: int = 100
) -> list[dict[str, Any]]:
    """Records of a delivery as the pool holds them now, or those it left in quarantine, in their order.

    Values of personal and sensitive columns are masked unless `unmasked`; of a quarantined record then nothing but its
    place and reason is shown, because nobody knows which of its fields is which.

    Raises:
        LookupError: the register does not know the delivery, or the catalogue its resource.
    """
    row = _one(city, delivery_id)
    resource = city.catalog.resources.get(f"{row['department']}.{row['resource']}")
    if resource is None:
        raise LookupError(f"{delivery_id}: {row['department']}.{row['resource']} is no resource of the catalogue")
    if quarantined:
        hidden = "" if unmasked else " replace ('***' as record_key, '***' as content)"
        query = f"select * exclude (delivery_id, resource){hidden} from {quoted(resource.department)}._quarantine"
        order, mine = "row_number", "delivery_id"
    else:
        shown = ", ".join(_shown(resource, name, unmasked=unmasked) for name in resource.columns)
        query = f"select _row, {shown} from {quoted(resource.department)}.{quoted(resource.name)}"
        order, mine = "_row", "_delivery_id"
    answer = city.con.execute(f"{query} where {mine} = $1 order by {order} limit $2", [delivery_id, limit])
    names = [column[0] for column in answer.description]
    return [dict(zip(names, values, strict=True)) for values in answer.fetchall()]


def _shown(resource: Resource, name: str, *, unmasked: bool) -> str:
    column, value = resource.columns[name], quoted(name)
    return value if unmasked or column.is_open else f"{column.mask}({value}::varchar) as {value}"


def replay(city: City, delivery_id: str, *, actor: str) -> dict[str, Any]:
    """Put a delivery through again under the present catalogue and code; done twice it comes to the same.

    One that was taken is replayed in its place among the others of its pool; one that was rejected at loading or taken
    back is loaded anew.

    Raises:
        LookupError: the register does not know it.
        ValueError: it was refused at registration, or cannot be read any more.
    """
    row = _one(city, delivery_id)
    given = {"delivery_id": delivery_id, "action": "replay", "reason": "", "actor": actor, "now": clock.now()}
    if row["state"] == "rejected" and (row["settled_at"] is None or row["archive_path"] is None):
        codes = ", ".join(reason["code"] for reason in row["reasons"])
        raise ValueError(f"{delivery_id} was refused when it was registered ({codes}): deliver it again")
    if row["state"] == "rejected":
        _execute(city, NOTED + AGAIN, given)
    elif row["state"] != "registered":
        _execute(city, NOTED + REBUILD + REOPEN, given)
    pools.load(city, row["department"], row["as_of"], author=actor, only=[row["resource"]])
    if row["state"] == "rejected":
        _execute(city, REOPEN, given)
    return _one(city, delivery_id)


def reject(city: City, delivery_id: str, reason: str, *, actor: str) -> dict[str, Any]:
    """Take a delivery back: its pool becomes what its other deliveries make, and its content is not taken again.

    Raises:
        LookupError: the register does not know it.
        ValueError: it was rejected already, or no reason is given.
    """
    row = _one(city, delivery_id)
    if row["state"] == "rejected":
        raise ValueError(f"{delivery_id} is rejected already")
    if not reason.strip():
        raise ValueError("reason = '': say why, the department reads it")
    message = f"{row['file_name']}: taken back by hand: {reason.strip()}"
    given = {
        "delivery_id": delivery_id,
        "action": "reject",
        "reason": reason.strip(),
        "actor": actor,
        "now": clock.now(),
        "reasons": json.dumps([{"code": "taken_back", "message": message}], ensure_ascii=False),
    }
    undo = REBUILD + REOPEN if row["state"] != "registered" else ""
    _execute(city, NOTED + undo + TAKE_BACK, given)
    pools.rebuild_wanted(city, row["department"], author=actor)
    return _one(city, delivery_id)


def short(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What fits a terminal: the reasons' codes for the reasons."""
    return [
        {**{name: row[name] for name in SHORT}, "reasons": ", ".join(reason["code"] for reason in row["reasons"])}
        for row in found
    ]


def _one(city: City, delivery_id: str) -> dict[str, Any]:
    found = _select(city, "delivery_id = %(delivery_id)s", {"delivery_id": delivery_id})
    if not found:
        raise LookupError(f"{delivery_id} is no delivery of the register; `shuyuan deliveries list` names them")
    return found[0]


def _select(city: City, condition: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    return _query(city, f"select {LISTED} from ops.deliveries where {condition}", given)


def _query(city: City, query: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    with city.server.session() as cursor:
        cursor.execute(query, given)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


def _execute(city: City, script: str, given: dict[str, Any]) -> None:
    """All of it in one transaction."""
    with city.server.session() as cursor:
        cursor.execute(script, given)
