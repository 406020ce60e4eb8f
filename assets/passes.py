"""The register of passes: which business days the city has been taken to, and which were left half way.

A pass is `started` by its first stage and `finished` by its last; one that was killed between is made again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from assets.passing import Figures
from resources import clock
from resources.city import City


def start(city: City, as_of: date, departments: Sequence[str] = ()) -> None:
    """Note that the pass to `as_of` has begun and which deliveries it takes in: all up to that day, or a department's.

    A finished day that begins again counts as unfinished.
    """
    with city.server.session() as cursor:
        cursor.execute(
            """
            INSERT INTO ops.passes (as_of, state, started_at) VALUES (%s, 'started', %s)
            ON CONFLICT (as_of) DO UPDATE SET state = 'started', started_at = excluded.started_at, finished_at = NULL
            """,
            (as_of, clock.now()),
        )
        cursor.execute(
            """
            UPDATE ops.deliveries SET pass_as_of = %(day)s
            WHERE (state = 'rejected' AND pass_as_of IS NULL) OR state = 'registered' AND as_of <= %(day)s
              AND (cardinality(%(some)s::text[]) = 0 OR department = ANY(%(some)s))
            """,
            {"day": as_of, "some": list(departments)},
        )


def give_back(city: City, as_of: date, department: str) -> None:
    """Make a department's deliveries of the pass due again, after its load or its checks failed.

    Of each resource the last one is enough: what came before is part of its pool or was overtaken.
    """
    with city.server.session() as cursor:
        cursor.execute(
            """
            UPDATE ops.deliveries SET state = 'registered' WHERE delivery_id IN (
                SELECT DISTINCT ON (resource) delivery_id FROM ops.deliveries
                WHERE pass_as_of = %s AND department = %s AND state = 'pooled'
                ORDER BY resource, as_of DESC, registered_at DESC
            )
            """,
            (as_of, department),
        )


def taken_in(city: City, as_of: date) -> list[str]:
    """Resources, as `<department>.<resource>`, with a delivery that belongs to the pass."""
    with city.server.session() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT department || '.' || resource FROM ops.deliveries WHERE pass_as_of = %s ORDER BY 1
            """,
            (as_of,),
        )
        return [row[0] for row in cursor.fetchall()]


def finish(city: City, as_of: date, figures: Figures) -> None:
    """Note that every stage of the pass to `as_of` is done, with what it came to."""
    with city.server.session() as cursor:
        cursor.execute(
            "UPDATE ops.passes SET state = 'finished', finished_at = %s, summary = %s WHERE as_of = %s",
            (clock.now(), json.dumps(asdict(figures)), as_of),
        )


def last_finished(city: City) -> date | None:
    """The newest day the city has been taken to."""
    with city.server.session() as cursor:
        cursor.execute("SELECT max(as_of) FROM ops.passes WHERE state = 'finished'")
        row = cursor.fetchone()
        return row[0] if row else None


def last_begun(city: City) -> date | None:
    """The newest day a pass was begun to, finished or not: what people do while it runs belongs to it."""
    with city.server.session() as cursor:
        cursor.execute("SELECT max(as_of) FROM ops.passes")
        row = cursor.fetchone()
        return row[0] if row else None
