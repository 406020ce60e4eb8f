"""What loading reads from `ops.deliveries` and writes back: what waits, what stands, and what became of it.

How a file gets into the register is `assets.deliveries`; what a person does to a delivery is `assets.delivery_book`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from assets.pooling import Delivery, PoolResult, Standing
from assets.profiles import as_rows
from catalog.models import Resource
from resources import clock
from resources.city import City

FIELDS = "delivery_id, resource, file_name, archive_path, sha256, as_of, mode, rows_declared, coalesce(day_number, 1)"
WAITING = f"""
    select {FIELDS} from ops.deliveries
    where department = %s and state = 'registered' and as_of <= %s order by as_of, registered_at
"""
ACCEPTED = f"""
    select {FIELDS} from ops.deliveries
    where department = %s and resource = %s and state in ('pooled', 'superseded') order by settled_at, registered_at
"""
STANDING = """
    select resource, max(as_of) filter (where state = 'pooled'),
           (array_agg(delivery_id order by as_of desc, settled_at desc)
                filter (where state = 'pooled' and mode = 'full'))[1],
           max(as_of) filter (where state = 'pooled' and mode = 'full')
    from ops.deliveries where department = %s and resource = any(%s) group by resource
"""
DAY_NUMBERS = """
    select w.delivery_id, coalesce(max(d.day_number), 0) + 1
    from ops.deliveries w left join ops.deliveries d
      on (d.department, d.resource, d.as_of) = (w.department, w.resource, w.as_of) and d.delivery_id <> w.delivery_id
    where w.delivery_id = any(%s) group by w.delivery_id
"""
# One transaction: outcome, profile, and what is now superseded by what.
SETTLE = """
    update ops.deliveries d
    set state = r.state, rows_delivered = r.rows_delivered, rows_pooled = r.rows_pooled,
        rows_quarantined = r.rows_quarantined, rows_removed = r.rows_removed, schema_version = r.schema_version,
        day_number = r.day_number, settled_by = coalesce(d.settled_by, %(author)s),
        settled_at = coalesce(d.settled_at, %(now)s),
        reasons = (select coalesce(jsonb_agg(n), '[]') from jsonb_array_elements(d.reasons) n
                   where d.state = 'registered' or n->>'code' in ('as_of_assumed', 'delivered_again')) || r.reasons
    from jsonb_to_recordset(%(results)s::jsonb) as r(
        delivery_id text, state text, rows_delivered bigint, rows_pooled bigint, rows_quarantined bigint,
        rows_removed bigint, schema_version integer, day_number integer, reasons jsonb)
    where d.delivery_id = r.delivery_id;
    delete from ops.profiles where delivery_id in (
        select p.delivery_id from jsonb_to_recordset(%(profiles)s::jsonb) as p(delivery_id text));
    insert into ops.profiles
    select p.delivery_id, p.position, p.column_name, p.rows, p.nulls, p.distinct_values, p.converted, p.unparsed,
           p.lowest, p.highest, p.shortest, p.longest, p.top_lengths::jsonb
    from jsonb_to_recordset(%(profiles)s::jsonb) as p(
        delivery_id text, position integer, column_name text, rows bigint, nulls bigint, distinct_values bigint,
        converted bigint, unparsed bigint, lowest text, highest text, shortest bigint, longest bigint,
        top_lengths text);
    with touched as (
        select distinct d.department, d.resource from ops.deliveries d
        join jsonb_to_recordset(%(results)s::jsonb) as r(delivery_id text) using (delivery_id)),
    better as (
        select d.delivery_id, (
            select f.delivery_id from ops.deliveries f
            where f.department = d.department and f.resource = d.resource and f.state = 'pooled' and f.mode = 'full'
              and (d.state = 'superseded' and f.as_of > d.as_of
                   or d.state = 'pooled' and d.mode = 'full' and f.as_of = d.as_of and f.settled_at > d.settled_at)
            order by f.as_of desc, f.settled_at desc limit 1) as by_whom
        from ops.deliveries d join touched using (department, resource)
        where d.state in ('pooled', 'superseded'))
    update ops.deliveries d set superseded_by = better.by_whom
    from better where better.delivery_id = d.delivery_id and d.superseded_by is distinct from better.by_whom
"""


def waiting(city: City, cursor: Any, department: str, as_of: date) -> list[Delivery]:
    """Registered deliveries of a department up to `as_of`, oldest first."""
    return _deliveries(city, cursor, department, WAITING, (department, as_of))


def accepted(city: City, cursor: Any, resource: Resource) -> list[Delivery]:
    """A resource's pooled and superseded deliveries in the order they were taken."""
    return _deliveries(city, cursor, resource.department, ACCEPTED, (resource.department, resource.name))


def standings(cursor: Any, department: str, resources: Sequence[str]) -> Mapping[str, Standing]:
    """What the register says the pools were made from, by resource."""
    cursor.execute(STANDING, (department, list(resources)))
    return {name: Standing(newest, full or "", full_as_of) for name, newest, full, full_as_of in cursor.fetchall()}


def day_numbers(cursor: Any, deliveries: Sequence[str]) -> dict[str, int]:
    """Which of its resource's deliveries of its as-of date each would be; the same again after a kill."""
    cursor.execute(DAY_NUMBERS, (list(deliveries),))
    return dict(cursor.fetchall())


def settle(cursor: Any, results: Sequence[PoolResult], author: str) -> None:
    """Write what became of deliveries. Settling them again keeps who did it first, and when."""
    if not results:
        return
    given = {
        "results": json.dumps([_row(result) for result in results], ensure_ascii=False),
        "profiles": json.dumps([row for r in results for row in as_rows(r.delivery_id, r.profile)], ensure_ascii=False),
        "author": author,
        "now": clock.now(),
    }
    cursor.execute(SETTLE, given)


def _row(result: PoolResult) -> dict[str, object]:
    return {name: value for name, value in vars(result).items() if name not in {"profile", "resource", "as_of", "mode"}}


def _deliveries(city: City, cursor: Any, department: str, query: str, given: tuple[object, ...]) -> list[Delivery]:
    cursor.execute(query, given)
    return [
        Delivery(
            delivery_id, city.catalog.resources[f"{department}.{name}"], file_name, city.home.archive / path, *rest
        )
        for delivery_id, name, file_name, path, *rest in cursor.fetchall()
    ]
