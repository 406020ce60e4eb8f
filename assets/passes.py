"""The register of passes: which business days the city has been taken to, and which were left half way.

A pass is `started` by its first stage and `finished` by its last; one that was killed between is made again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date

from assets.passing import Figures
from resources import clock
from resources.city import City


def start(city: City, as_of: date) -> None:
    """Note that the pass to `as_of` has begun; a finished day that begins again counts as unfinished."""
    with city.server.connect() as pg, pg.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO ops.passes (as_of, state, started_at) VALUES (%s, 'started', %s)
            ON CONFLICT (as_of) DO UPDATE SET state = 'started', started_at = excluded.started_at, finished_at = NULL
            """,
            (as_of, clock.now()),
        )


def finish(city: City, as_of: date, figures: Figures) -> None:
    """Note that every stage of the pass to `as_of` is done, with what it came to."""
    with city.server.connect() as pg, pg.cursor() as cursor:
        cursor.execute(
            "UPDATE ops.passes SET state = 'finished', finished_at = %s, summary = %s WHERE as_of = %s",
            (clock.now(), json.dumps(asdict(figures)), as_of),
        )


def unfinished(city: City) -> list[date]:
    """Days begun and not finished, oldest first."""
    with city.server.connect() as pg, pg.cursor() as cursor:
        cursor.execute("SELECT as_of FROM ops.passes WHERE state = 'started' ORDER BY as_of")
        return [row[0] for row in cursor.fetchall()]


def last_finished(city: City) -> date | None:
    """The newest day the city has been taken to."""
    with city.server.connect() as pg, pg.cursor() as cursor:
        cursor.execute("SELECT max(as_of) FROM ops.passes WHERE state = 'finished'")
        row = cursor.fetchone()
        return row[0] if row else None
