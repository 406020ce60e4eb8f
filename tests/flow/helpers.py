"""Running the product as its users do, and comparing everything it holds."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from conftest import THREADS

from catalog import load_catalog
from pipelines.installation import open_city
from pipelines.settings import Settings
from resources.city import City

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "catalog"
ALL_THREADS = {"SHUYUAN_THREADS": str(os.cpu_count())}  # as users have it who say nothing
# What may differ between two runs that did the same: who ran, when by the clock, in which commit; digests of these.
VOLATILE = {
    "author", "actor", "run_id", "applied_at",
    "recorded_at", "registered_at", "settled_at", "settled_by", "started_at", "finished_at", "published_at", "summary",
    "batch_id", "seq", "event_id", "digest", "previous_digest", "events_digest", "archive_path", "version",
    "salt", "personal_digest", "city_version",
}  # fmt: skip


def shuyuan(
    home: Path, *arguments: str, timeout: float = 1000, check: bool = True, **settings: str
) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own, on this home; `settings` are variables of the environment."""
    environ = environment(home, **settings)
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environ, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stderr[-4000:]}"
    return done


def command(*arguments: str) -> list[str]:
    return [str(programs() / "shuyuan"), *arguments]


@cache
def programs() -> Path:
    """The folder of a `shuyuan` that starts at once (`command_server`), for as long as this process."""
    folder = tempfile.TemporaryDirectory(prefix="shuyuan-programs-")
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("command_server.py")), folder.name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )  # fmt: skip
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)
    assert server.stdout.readline() == b"ready\n"
    return Path(folder.name)


def environment(home: Path, **settings: str) -> dict[str, str]:
    return {
        "SHUYUAN_THREADS": str(THREADS),
        "SHUYUAN_HOME": str(home),
        "SHUYUAN_CATALOG": str(CATALOGUE),
        "PATH": f"{programs()}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(home.parent),
        **settings,
    }


def run_json(home: Path, *arguments: str, **settings: str) -> dict:
    return json.loads(shuyuan(home, "run", "--json", *arguments, **settings).stdout)


@contextmanager
def opened(home: Path, catalog: Path = CATALOGUE) -> Iterator[City]:
    settings = Settings(home=home, catalog=catalog)
    with open_city(settings, load_catalog(settings.catalog)) as city:
        yield city


def rows(city: City, sql: str) -> list[tuple]:
    return city.con.execute(sql).fetchall()


def with_planted(city: City, home: Path) -> None:
    """The demo's list of planted defects as the temporary table `planted`, all text."""
    file = str(home / "planted_defects.csv").replace("'", "''")
    city.con.execute(f"CREATE TEMP TABLE planted AS FROM read_csv('{file}', header = true, all_varchar = true)")


def identities(city: City, home: Path) -> tuple[int, int, list[str] | None]:
    """Records without a number in which nothing was planted, how many of them found their person by the demo's truth
    (or, of a person nobody knows, one another), and those that are of one entity with another person.
    """
    truth = str(home / "identity_truth.csv").replace("'", "''")
    planted = str(home / "planted_defects.csv").replace("'", "''")
    ((records, right, wrong),) = rows(
        city,
        f"""
        WITH linked AS (
            SELECT t.*, l.entity_key, starts_with(l.entity_key, '#') AS founded,
                count(*) OVER (PARTITION BY person) AS of_person,
                count(*) OVER (PARTITION BY person, entity_key) AS of_both,
                count(*) OVER (PARTITION BY entity_key) AS of_entity
            FROM read_csv('{truth}', header = true, all_varchar = true) t
            ANTI JOIN read_csv('{planted}', header = true, all_varchar = true) p
                USING (department, resource, record_key)
            JOIN base._links l USING (department, resource, record_key) WHERE l.library = 'population'
        )
        SELECT count(*),
            count(*) FILTER (entity_key = id_number OR id_number IS NULL AND founded AND of_both = of_person),
            list(record_key) FILTER (entity_key IS NOT NULL AND (
                NOT founded AND entity_key IS DISTINCT FROM id_number OR founded AND of_both <> of_entity))
        FROM linked
        """,
    )
    return records, right, wrong


def contents(city: City) -> dict[str, tuple]:
    """Row count and order-free digest of every table of the lake and of PostgreSQL, without what may differ."""
    lake = [f"{r.department}.{r.name}" for r in city.catalog.resources.values()]
    lake += [f"{name}.{table}" for name in city.catalog.departments for table in ("_quarantine", "_removed")]
    lake += [f"base.{name}" for name in city.catalog.libraries]
    lake += [f"thematic.{t.topic}__{t.name}" for t in city.catalog.thematic.values()]
    lake += [f"quality.{table}" for table in ("findings", "results", "measures", "scores", "precision")]
    with city.server.connect() as pg, pg.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema IN ('ops', 'ledger', 'curated') ORDER BY 1"
        )
        stored = [f"shuyuan.{row[0]}" for row in cursor.fetchall()]
    return {name: _digest(city, name) for name in [*lake, *stored]}


def _digest(city: City, table: str) -> tuple:
    described = city.con.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
    salted = {"content"} if table == "shuyuan.ledger.batches" else set()  # a digest of what was salted by chance
    columns = [f'"{name}"' for name, *_ in described if name not in VOLATILE | salted]
    return rows(city, f"SELECT count(*), bit_xor(hash({', '.join(columns)})) FROM {table}")[0]
