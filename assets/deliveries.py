"""Deliveries 批次: what stands complete in the landing folder becomes an archived file and a row of `ops.deliveries`.

Holds what may be registered, what a manifest may say, and how a file is moved so that a kill at any moment loses
nothing: link into the archive, write the row, unlink from landing. Which files count and when one is complete is
`assets.landing`; what is inside a file is looked at by `assets.pools`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from assets import landing
from assets.landing import PATIENCE, Arrival, settled
from catalog.frozen import Frozen
from catalog.load import Catalog
from catalog.models import Mode
from resources import clock
from resources.city import City
from resources.landed import ALLOWED
from resources.reader import Reason

MANIFEST_LIMIT = 64_000  # bytes
DATE_IN_NAME = re.compile(r"(?<!\d)(20\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")
NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_]+")

INSERT = """
    insert into ops.deliveries (delivery_id, department, resource, file_name, archive_path, sha256, bytes, as_of, mode,
                                rows_declared, source, state, reasons, registered_at)
    values (%(delivery_id)s, %(department)s, %(resource)s, %(file_name)s, %(archive_path)s, %(sha256)s, %(bytes)s,
            %(as_of)s, %(mode)s, %(rows_declared)s, %(source)s, %(state)s, %(reasons)s, %(registered_at)s)
    on conflict (delivery_id) do update
    set (department, resource, file_name, archive_path, sha256, bytes, as_of, mode, rows_declared, source, state,
         reasons, registered_at, rows_delivered, rows_pooled, rows_quarantined, rows_removed, pass_as_of, settled_at,
         settled_by)
      = (excluded.department, excluded.resource, excluded.file_name, excluded.archive_path, excluded.sha256,
         excluded.bytes, excluded.as_of, excluded.mode, excluded.rows_declared, excluded.source, excluded.state,
         excluded.reasons, excluded.registered_at, null, null, null, null, null, null, null)
    where deliveries.state = 'rejected' and not deliveries.reasons @> '[{"code": "taken_back"}]'
    returning state
"""
NOTE = """
    update ops.deliveries set reasons = reasons || %(note)s::jsonb
    where delivery_id = %(delivery_id)s and not reasons @> %(note)s::jsonb
"""
TAKEN_BACK = """
    select delivery_id from ops.deliveries
    where department = %s and resource = %s and sha256 = %s and delivery_id <> %s
      and reasons @> '[{"code": "taken_back"}]' limit 1
"""
DUE = """
    with last as (select max(as_of) as as_of from ops.passes where state = 'finished'),
    work as (
        select greatest(d.as_of, last.as_of) as as_of from ops.deliveries d, last
        where d.state = 'registered' and (cardinality(%(some)s::text[]) = 0 or d.department = any(%(some)s))
        union
        select as_of from ops.passes where state = 'started'
    )
    select as_of from work
    union
    select coalesce(last.as_of, d.as_of) from ops.deliveries d, last
    where d.state = 'rejected' and d.pass_as_of is null and not exists (select from work)
    order by 1
"""


@dataclass(frozen=True)
class Registered:
    """What one look at the landing folder came to, in files.

    `duplicates` had come before (same resource, content and as-of date) and were noted there; `waiting` are still being
    written or incomplete and were left where they are, as was what this process may not read (`unreadable`, by path).
    """

    registered: int
    rejected: int
    duplicates: int = 0
    waiting: int = 0
    unreadable: tuple[str, ...] = ()


class Manifest(Frozen):
    """What a department states about a file beside it."""

    as_of: date | None = None
    rows: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$", to_lower=True)] | None = None
    mode: Mode | None = None
    source: Annotated[str, StringConstraints(max_length=200)] | None = None


@dataclass(frozen=True)
class Delivery:
    """A row of `ops.deliveries` before it is loaded."""

    department: str
    resource: str
    file_name: str
    suffix: str
    sha256: str
    bytes: int
    as_of: date
    mode: str | None
    rows_declared: int | None
    reasons: tuple[Reason, ...]
    as_of_stated: bool
    source: str

    @property
    def delivery_id(self) -> str:
        place = "-".join(NOT_IN_IDS.sub("_", name)[:48] or "_" for name in (self.department, self.resource))
        return f"{self.as_of:%Y%m%d}-{place}-{self.sha256[:12]}"

    @property
    def archive_name(self) -> str:
        """Place below the archive folder."""
        return f"{'/'.join(self.delivery_id.split('-')[1:3])}/{self.delivery_id}{self.suffix}"


def register(city: City, *, patience: float = PATIENCE) -> Registered:
    """Archive and register everything complete in landing, oldest as-of date first.

    Grain: one row of `ops.deliveries` per resource, content and as-of date.

    Rejected files are archived and registered too, with reasons that name file, field, value and what is allowed.
    `patience` is how many seconds a fresh, seemingly incomplete file is watched before it is left for the next time.
    """
    found: Counter[str] = Counter()
    with city.server.lock("landing"), city.server.session() as cursor:
        arrivals, waiting = settled(city.home.landing, patience)
        unreadable = tuple(landing.unreadable(city.home.landing))
        examined = [(examine(city.catalog, arrival), arrival) for arrival in arrivals]
        for delivery, arrival in sorted(examined, key=lambda pair: pair[0].as_of):
            found[_take(city, cursor, delivery, arrival)] += 1
    return Registered(found["registered"], found["rejected"], found["duplicate"], waiting, unreadable)


def due_passes(city: City, departments: Sequence[str] = ()) -> list[date]:
    """Business days that need a pass, sorted: those of registered deliveries (of the departments, if any are given),
    and those started and not finished; where there is none, the last one for files refused since.

    Time never runs backwards: a delivery older than the last finished pass makes that pass due again.
    """
    with city.server.session() as cursor:
        cursor.execute(DUE, {"some": list(departments)})
        return [as_of for (as_of,) in cursor.fetchall()]


def _take(city: City, cursor: Any, delivery: Delivery, arrival: Arrival) -> str:
    """Archive, register, remove from landing; each step may have been done by a run that was killed."""
    target = None
    delivery = _refuse_taken_back(cursor, delivery, arrival)
    if arrival.ordinary:
        target = city.home.archive / delivery.archive_name
        _link(arrival.path, target)
    row = {
        "delivery_id": delivery.delivery_id,
        "department": delivery.department,
        "resource": delivery.resource,
        "file_name": delivery.file_name,
        "archive_path": delivery.archive_name if target else None,
        "sha256": delivery.sha256,
        "bytes": delivery.bytes,
        "as_of": delivery.as_of,
        "mode": delivery.mode,
        "rows_declared": delivery.rows_declared,
        "source": delivery.source,
        "state": "rejected" if delivery.reasons else "registered",
        "reasons": _as_json(delivery.reasons),
        "registered_at": clock.now(),
    }
    cursor.execute(INSERT, row)
    written = cursor.fetchone()
    outcome = written[0] if written else "duplicate"
    if outcome == "duplicate" and target and target.samefile(arrival.path):
        outcome = "registered"  # a run was killed between row and unlink
    elif outcome == "duplicate":
        again = _reason(arrival, "delivered_again", "the same content came again for the same date; ignored")
        cursor.execute(NOTE, {"delivery_id": delivery.delivery_id, "note": _as_json([again])})
    elif outcome == "registered" and not delivery.as_of_stated:
        assumed = f"neither manifest nor file name states a date; as_of = {delivery.as_of} is the file's own"
        note = _as_json([_reason(arrival, "as_of_assumed", assumed)])
        cursor.execute(NOTE, {"delivery_id": delivery.delivery_id, "note": note})
    arrival.path.unlink()
    if arrival.manifest:
        arrival.manifest.unlink()
    return str(outcome)


def _refuse_taken_back(cursor: Any, delivery: Delivery, arrival: Arrival) -> Delivery:
    """The delivery, with a reason to reject it when its content was taken back by hand for another date."""
    cursor.execute(TAKEN_BACK, (delivery.department, delivery.resource, delivery.sha256, delivery.delivery_id))
    if found := cursor.fetchone():
        message = (
            f"the same content was taken back by hand as {found[0]}; `shuyuan deliveries replay` takes it after all"
        )
        return replace(delivery, reasons=(*delivery.reasons, _reason(arrival, "taken_back_before", message)))
    return delivery


def _as_json(reasons: Iterable[Reason]) -> str:
    return json.dumps([{"code": r.code, "message": r.message} for r in reasons], ensure_ascii=False)


def _link(source: Path, target: Path) -> None:
    """A second name for the file, on disk before anything refers to it; a name already there has the same content."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file:
        os.fsync(file.fileno())
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def examine(catalog: Catalog, arrival: Arrival) -> Delivery:
    """What is known of a file without reading its records, and every reason to reject it."""
    department, resource = (*arrival.place[:2], "", "")[:2]
    reasons = list(_misplaced(catalog, arrival))
    manifest, wrong = _read_manifest(arrival)
    reasons += wrong
    declared = catalog.resources.get(f"{department}.{resource}")
    if manifest.mode == "changes" and declared and declared.change_column is None:
        message = f"manifest: mode = 'changes', but {declared.id} declares no change_column; allowed: full, incremental"
        reasons.append(_reason(arrival, "mode", message))
    digest, size = _content(arrival)
    stated = manifest.as_of or date_in(arrival.shown)
    if manifest.sha256 and manifest.sha256 != digest:
        message = f"manifest: sha256 = {manifest.sha256} is not the file's, {digest}; deliver both again"
        reasons.append(_reason(arrival, "sha256", message))
    if arrival.ordinary and not size:
        reasons.append(_reason(arrival, "empty", "holds no byte; a delivery needs a header and at least one record"))
    return Delivery(
        department=_readable(department),
        resource=_readable(resource),
        file_name=arrival.shown,
        suffix=arrival.suffix,
        sha256=digest,
        bytes=size,
        as_of=stated or _modified(arrival.path),
        mode=manifest.mode or (declared.mode if declared else None),
        rows_declared=manifest.rows,
        reasons=tuple(reasons),
        as_of_stated=stated is not None,
        source=manifest.source or "landing",
    )


def _misplaced(catalog: Catalog, arrival: Arrival) -> Iterable[Reason]:
    place = arrival.place
    if not arrival.ordinary:
        yield _reason(arrival, "not_a_file", "is a link or a device; deliver the file itself")
    if len(place) != 2:
        folder = "/".join(place) or "landing itself"
        yield _reason(arrival, "place", f"lies in {folder}; allowed: landing/<department>/<resource>/")
    elif place[0] not in catalog.departments:
        allowed = _some(catalog.departments)
        yield _reason(arrival, "unknown_department", f"folder {place[0]} is no department; allowed: {allowed}")
    elif ".".join(place) not in catalog.resources:
        allowed = _some(resource.name for resource in catalog.of_department(place[0]))
        message = f"folder {place[1]} is no resource of {place[0]}; allowed: {allowed}"
        yield _reason(arrival, "unknown_resource", message)
    declared = catalog.resources.get(".".join(place))
    known = arrival.kind or arrival.packing == "zip" or (declared and declared.layout and declared.layout.kind)
    if arrival.ordinary and not known:
        yield _reason(arrival, "extension", f"file name ends in {arrival.path.suffix or 'nothing'}; allowed: {ALLOWED}")


def _read_manifest(arrival: Arrival) -> tuple[Manifest, list[Reason]]:
    if arrival.manifest is None:
        return Manifest(), []
    with arrival.manifest.open("rb") as file:
        text = file.read(MANIFEST_LIMIT)
    try:
        return Manifest.model_validate_json(text), []
    except ValidationError as error:
        allowed = ", ".join(Manifest.model_fields)
        return Manifest(), [
            _reason(arrival, "manifest", f"manifest: {_field(item)}: {item['msg']}; allowed: {allowed}")
            for item in error.errors(include_url=False)
        ]


def _field(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    return f"{where} = {str(item['input'])[:60]!r}" if where else "the file"


def _content(arrival: Arrival) -> tuple[str, int]:
    """Hash and size of what was delivered: of a link, its target's name, which is never opened."""
    if arrival.ordinary:
        with arrival.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    name = str(arrival.path.readlink()) if arrival.path.is_symlink() else arrival.shown
    return hashlib.sha256(os.fsencode(name)).hexdigest(), 0


def date_in(name: str) -> date | None:
    """The first real date in a file name, written yyyymmdd or yyyy-mm-dd."""
    for match in DATE_IN_NAME.finditer(name):
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            continue
    return None


def _modified(path: Path) -> date:
    return datetime.fromtimestamp(path.lstat().st_mtime, clock.ZONE).date()


def _readable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _reason(arrival: Arrival, code: str, message: str) -> Reason:
    return Reason(code, f"{arrival.shown}: {message}")


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:20]) + (f", … ({len(listed)} in all)" if len(listed) > 20 else "")
