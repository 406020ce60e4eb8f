"""Pulls: what is new at a department's own place comes into its landing folder, and nothing else does.

From there it is a delivery like any other: registered, read in the child, pooled, traceable. What was pulled is
remembered in `ops.pulls`, and only once it stands in landing, so that a kill at any moment loses nothing: what came
between copy and memory comes again, and the register knows it by its content. How a place is reached is
`resources.sources` (files) and `resources.source_tables`; when somebody pulls is for `pipelines`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import stamina

from assets.landing import FRESH, LOOK, MANIFEST, Arrival, manifest_names, sha256_of
from catalog.models import Cycle, Resource
from catalog.sources import FileSource, TableSource
from resources import clock
from resources.city import City
from resources.failures import PermanentError, TransientError
from resources.home import scratch
from resources.secrets import Vault
from resources.source_tables import Fetched, enter
from resources.sources import RemoteFile, Store, address, reach

ATTEMPTS = 3  # of a pull that fails for a reason that may pass
WAIT_SECONDS = 2.0  # before the second attempt; doubled before the third

KNOWN = """
    select name, version, sha256 from ops.pulls where department = %s and resource = %s and outcome = 'pulled'
    order by pull_id
"""
REACHED = """
    select watermark, version from ops.pulls
    where department = %s and resource = %s and name = %s and outcome = 'pulled' and watermark is not null
    order by pull_id desc limit 1
"""
ALWAYS = {Cycle.real_time, Cycle.hourly}
LAST = """
    select department || '.' || resource, max(pulled_at) from ops.pulls where outcome = 'pulled' group by 1
"""
FAILING = """
    select message from (
        select distinct on (department, resource) outcome, message from ops.pulls
        order by department, resource, pull_id desc
    ) last where outcome = 'failed' order by 1
"""
INSERT = """
    insert into ops.pulls (department, resource, name, version, watermark, bytes, rows, sha256, delivery_file, outcome,
                           transient, message, pulled_at)
    values (%(department)s, %(resource)s, %(name)s, %(version)s, %(watermark)s, %(bytes)s, %(rows)s, %(sha256)s,
            %(delivery_file)s, %(outcome)s, %(transient)s, %(message)s, %(pulled_at)s)
"""


@dataclass
class Pulled:
    """What the pull of one resource came to. `failure` is empty when it went well; then no file means nothing new."""

    resource: str
    source: str
    files: list[str] = field(default_factory=list)  # names in landing
    waiting: list[str] = field(default_factory=list)  # remote names still being written
    bytes: int = 0
    failure: str = ""
    transient: bool = False

    @property
    def outcome(self) -> str:
        if self.failure:
            return "failed"
        return "pulled" if self.files else "nothing new"


def pull(city: City, resources: Iterable[Resource], vault: Vault, *, again: bool = False) -> list[Pulled]:
    """Bring what is new of each resource that has a source; one that fails stops no other.

    A failure that may pass is tried `ATTEMPTS` times. With `again` everything comes once more, whatever is remembered:
    after a department restored or replaced its data.
    """
    return [_pull(city, resource, vault, again=again) for resource in resources if resource.source]


def due(city: City, today: date) -> list[Resource]:
    """Resources with a source that brought nothing new yet in the present period of their cycle; where a day has many
    periods, whenever it is asked.
    """
    sourced = [resource for resource in city.catalog.resources.values() if resource.source]
    if not sourced:
        return []
    with city.server.session() as cursor:
        cursor.execute(LAST)
        last = {name: when.astimezone(clock.ZONE).date() for name, when in cursor.fetchall()}
    return [one for one in sourced if one.cycle in ALWAYS or last.get(one.id, date.min) < period(one.cycle, today)]


def failing(city: City) -> list[str]:
    """Why each source failed whose last pull did."""
    with city.server.session() as cursor:
        cursor.execute(FAILING)
        return [message for (message,) in cursor.fetchall()]


def period(cycle: Cycle, day: date) -> date:
    """First day of the period of the cycle that `day` is in."""
    if cycle in {*ALWAYS, Cycle.daily, Cycle.every_day}:
        return day
    if cycle is Cycle.weekly:
        return day - timedelta(days=day.weekday())
    months = {Cycle.monthly: 1, Cycle.quarterly: 3, Cycle.yearly: 12}[cycle]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


@dataclass
class _Pull:
    """A pull under way: of one resource, under its lock. `brought` are remote files of an attempt that failed later."""

    city: City
    cursor: Any
    resource: Resource
    vault: Vault
    again: bool
    done: Pulled
    brought: set[tuple[str, str]] = field(default_factory=set)

    @property
    def place(self) -> Path:
        """The resource's folder in landing."""
        folder = self.city.home.landing / self.resource.department / self.resource.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remember(self, name: str, version: str, known: dict[str, object], outcome: str = "pulled") -> None:
        row: dict[str, object] = dict.fromkeys(
            ("watermark", "bytes", "rows", "sha256", "delivery_file", "transient"),
        )
        row |= {"department": self.resource.department, "resource": self.resource.name, "message": ""}
        row |= {"name": name, "version": version, "outcome": outcome, "pulled_at": clock.now()}
        self.cursor.execute(INSERT, row | known)

    def landed(self, name: str, size: int) -> None:
        self.done.files.append(name)
        self.done.bytes += size


def _pull(city: City, resource: Resource, vault: Vault, *, again: bool) -> Pulled:
    assert resource.source is not None  # noqa: S101  # chosen by the caller
    done = Pulled(resource.id, address(resource.source))
    with city.server.lock(f"pull {resource.id}"), city.server.session() as cursor:
        work = _Pull(city, cursor, resource, vault, again, done)
        try:
            for attempt in stamina.retry_context(
                on=TransientError, attempts=ATTEMPTS, wait_initial=WAIT_SECONDS, wait_jitter=0.5, timeout=None
            ):
                with attempt:
                    if isinstance(resource.source, TableSource):
                        _pull_table(work, resource.source)
                    else:
                        _pull_files(work, resource.source)
        except (TransientError, PermanentError, OSError) as error:
            done.failure, done.transient = f"{resource.id}: {error}", isinstance(error, TransientError)
            work.remember(done.source, "", {"message": done.failure, "transient": done.transient}, "failed")
    return done


def _pull_files(work: _Pull, source: FileSource) -> None:
    work.cursor.execute(KNOWN, (work.resource.department, work.resource.name))
    rows = [] if work.again else work.cursor.fetchall()
    versions = {(name, version) for name, version, _ in rows if version} | work.brought
    contents = {name: sha256 for name, _, sha256 in rows}
    work.done.waiting.clear()
    store = reach(source, work.vault)
    began = time.monotonic()
    listed = [file for file in store.listed() if not file.name.endswith(MANIFEST)]
    fresh = [file for file in listed if (file.path, file.version) not in versions]
    for file in sorted(fresh, key=lambda f: (f.modified is not None, f.modified, f.path)):
        copy = work.place / f".{file.name}"  # a name landing leaves alone, with the format's ending
        try:
            store.copy(file, copy)
            if not _settled(store, file, copy, began):
                work.done.waiting.append(file.name)
            elif file.version or sha256_of(copy) != contents.get(file.path):
                _take(work, store, file, copy)
        finally:
            copy.unlink(missing_ok=True)


def _settled(store: Store, file: RemoteFile, copy: Path, began: float) -> bool:
    """Whether the copy is the whole file: two looks agree, and one written within the last minute ends as it should."""
    age = clock.now().timestamp() - file.modified.timestamp() if file.modified else 0.0
    if age < FRESH:
        time.sleep(max(0.0, LOOK - (time.monotonic() - began)))
    now = store.look(file)
    size = copy.stat().st_size
    if (now.version, now.size) != (file.version, file.size) or file.size not in (None, size):
        return False
    return age >= FRESH or Arrival(copy, (), None, ordinary=True).complete()


def _take(work: _Pull, store: Store, file: RemoteFile, copy: Path) -> None:
    """A whole copy into landing with the manifest the department put beside it, else one of ours."""
    digest, size = sha256_of(copy), copy.stat().st_size
    stated = next(filter(None, (store.companion(file, name) for name in manifest_names(file.name))), None)
    if file.modified:
        os.utime(copy, (file.modified.timestamp(), file.modified.timestamp()))
    name = _land(copy, file.name, digest, stated or json.dumps({"sha256": digest}).encode())
    work.remember(file.path, file.version, {"bytes": size, "sha256": digest, "delivery_file": name})
    work.brought.add((file.path, file.version))
    work.landed(name, size)


def _pull_table(work: _Pull, source: TableSource) -> None:
    place = address(source)
    work.cursor.execute(REACHED, (work.resource.department, work.resource.name, place))
    since, edge = (None if work.again else work.cursor.fetchone()) or (None, "")
    columns = {name: source.columns.get(name, name) for name in work.resource.columns}
    name = f"{work.resource.name}-{clock.now():%Y%m%d-%H%M%S}.parquet"
    copy = work.place / f".{name}"
    try:
        with scratch(work.city.home) as spill, enter(source, work.vault, spill) as database:
            fetched = database.fetch(columns, copy, since)
        if not _anything_new(fetched, source, since, edge):
            return
        digest, size = sha256_of(copy), copy.stat().st_size
        mode = "incremental" if source.watermark else "full"
        stated = {"as_of": f"{clock.today()}", "rows": fetched.rows, "sha256": digest, "mode": mode}
        landed = _land(copy, name, digest, json.dumps(stated).encode())
    finally:
        copy.unlink(missing_ok=True)
    known = {"bytes": size, "sha256": digest, "delivery_file": landed, "rows": fetched.rows}
    work.remember(place, fetched.edge, known | {"watermark": fetched.watermark})
    work.landed(landed, size)


def _anything_new(fetched: Fetched, source: TableSource, since: str | None, edge: str) -> bool:
    """Whether the rows fetched say more than those of the last pull did.

    Raises:
        PermanentError: the watermark went back, so that changes cannot be told from it.
    """
    if source.watermark is None:
        return True
    if since is not None and not fetched.marked:
        went = f"{source.watermark} went back from {since} to {fetched.watermark or 'nothing'}"
        advice = "the table was restored or replaced; pull it anew with shuyuan pull --again"
        raise PermanentError(f"{address(source)}: {went}: {advice}")
    return fetched.rows > 0 and (fetched.watermark, fetched.edge) != (since, edge)


def _land(copy: Path, name: str, digest: str, manifest: bytes) -> str:
    """The copy under its name in landing, its manifest before it; returns the name, another one when it is taken."""
    target = copy.with_name(name)
    if target.exists():
        stem, dot, ending = name.partition(".")
        target = copy.with_name(f"{stem}-{digest[:8]}{dot}{ending}")
    beside = target.with_name(f"{target.name}{MANIFEST}")
    partial = beside.with_name(f"{beside.name}.part")
    with partial.open("wb") as file:
        file.write(manifest)
        file.flush()
        os.fsync(file.fileno())
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(beside)
    copy.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target.name


def named(resources: Sequence[Resource], departments: Sequence[str], names: Sequence[str]) -> list[Resource]:
    """The resources with a source that are of one of the departments and have one of the names; no name means any.

    Raises:
        ValueError: a name fits nothing that has a source; says what is allowed.
    """
    sourced = [resource for resource in resources if resource.source]
    for what, given, known in (
        ("department", departments, {resource.department for resource in sourced}),
        ("resource", names, {resource.id for resource in sourced}),
    ):
        strange = sorted(set(given) - known)
        if strange:
            listed = ", ".join(sorted(known)) or "none: no resource has a source"
            raise ValueError(f"unknown {what} or without source: {', '.join(strange)}; must be one of: {listed}")
    return [
        one for one in sourced if (not departments or one.department in departments) and (not names or one.id in names)
    ]
