"""Sending: notice files on their way from the outbox to the channels a department declares, each once.

`enqueue` writes what is to be sent as rows of `ops.sendings` whose key is the same for the same bytes to the same
place; `send` delivers what waits. A process killed in between leaves rows that the next `send` delivers again under
the same key: SFTP looks first, e-mail and webhook repeat their id, so that the other side can tell. The outbox folder
holds every file in any case. How a channel is reached is `resources.channels`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import stamina

from catalog.channels import EmailChannel, SftpChannel, WebhookChannel
from catalog.load import Catalog
from resources import clock
from resources.channels import Parcel, address, deliver
from resources.city import City
from resources.failures import PermanentError, TransientError
from resources.secrets import Vault

LOCK = "sendings"
BUREAU = "city"  # the bureau's own folder of the outbox; no department may be named so
ATTEMPTS = 3  # at one time; what still fails waits for the next


@dataclass(frozen=True)
class Sending:
    """One file and the channel it goes to. `attempts` counts those that ended, however they did."""

    key: str
    department: str
    as_of: date
    kind: str
    address: str
    file: str
    sha256: str
    state: str
    attempts: int
    message: str


COLUMNS = "key, department, as_of, kind, address, file, sha256, state, attempts, message"


def channels_of(catalog: Catalog, department: str) -> tuple[SftpChannel | EmailChannel | WebhookChannel, ...]:
    """The channels of a department, or the bureau's."""
    return catalog.jurisdiction.channels if department == BUREAU else catalog.departments[department].channels


def enqueue(city: City, department: str, as_of: date, paths: Sequence[Path]) -> int:
    """Note that files of the outbox are to be sent by every channel of the department; returns how many are new.

    A file written anew with other content takes the place of its forerunner that has not been sent yet.
    """
    rows = []
    for channel in channels_of(city.catalog, department):
        for path in paths:
            if path.suffix.removeprefix(".") in channel.formats:
                file = path.relative_to(city.home.outbox).as_posix()
                content = path.read_bytes()
                sha256, where = hashlib.sha256(content).hexdigest(), address(channel)
                key = hashlib.sha256(f"{where}\n{file}\n{sha256}".encode()).hexdigest()[:40]
                rows.append((key, department, as_of, channel.kind, where, file, sha256, len(content)))
    added = 0
    with city.server.session() as cursor:
        for row in rows:  # a handful: parts of one notice
            cursor.execute(
                """
                insert into ops.sendings (key, department, as_of, kind, address, file, sha256, bytes, state)
                values (%s, %s, %s, %s, %s, %s, %s, %s, 'waiting') on conflict (key) do nothing
                """,
                row,
            )
            added += cursor.rowcount
            cursor.execute(
                """
                update ops.sendings set state = 'superseded', settled_at = now()
                where address = %s and file = %s and key <> %s and state in ('waiting', 'failed')
                """,
                (row[4], row[5], row[0]),
            )
    return added


def send(city: City, vault: Vault, *, department: str | None = None, again: bool = False) -> list[Sending]:
    """Deliver what waits, oldest first; `again` takes what failed for good too. Returns what became of each.

    Another process that sends is waited for. A failure stops no other file.
    """
    wanted = ("waiting", "sending", *(("failed",) if again else ()))
    with city.server.lock(LOCK):  # a row under way that is seen here was left by a process that died
        return [_send(city, vault, one) for one in listed(city, states=wanted, department=department)]


def listed(city: City, *, states: Iterable[str] = (), department: str | None = None) -> list[Sending]:
    """Sendings, oldest first; of all states unless some are named."""
    with city.server.session() as cursor:
        cursor.execute(
            f"""
            select {COLUMNS} from ops.sendings
            where (%(department)s::text is null or department = %(department)s)
              and (%(all)s or state = any(%(states)s))
            order by queued_at, file, key
            """,
            {"department": department, "states": list(states), "all": not list(states)},
        )
        return [Sending(*row) for row in cursor.fetchall()]


def _send(city: City, vault: Vault, one: Sending) -> Sending:
    channel = next((c for c in channels_of(city.catalog, one.department) if address(c) == one.address), None)
    path = city.home.outbox / one.file
    if channel is None:
        return _note(city, one, "failed", f"{one.address}: the catalogue no longer states this channel")
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
        return _note(city, one, "superseded", "")
    _mark(city, one, "sending")
    title = "数据质量监管部门" if one.department == BUREAU else city.catalog.departments[one.department].title.zh
    parcel = Parcel(
        key=one.key,
        path=path,
        name=f"{one.department}-{one.as_of.isoformat()}-{path.name}",
        subject=f"{title} 纠错通知单 correction notice {one.as_of.isoformat()}: {path.name}",
        text=f"纠错通知单已就绪 A correction notice is ready: outbox/{one.file}\n依据 Order 809 art. 26.\n",
        written_at=clock.now(),
    )
    try:
        for attempt in stamina.retry_context(on=TransientError, attempts=ATTEMPTS, wait_initial=0.2, timeout=None):
            with attempt:
                deliver(channel, parcel, vault)
    except TransientError as error:
        return _note(city, one, "waiting", str(error))
    except PermanentError as error:
        return _note(city, one, "failed", str(error))
    return _note(city, one, "sent", "")


def _mark(city: City, one: Sending, state: str) -> None:
    with city.server.session() as cursor:
        cursor.execute("update ops.sendings set state = %s where key = %s", (state, one.key))


def _note(city: City, one: Sending, state: str, message: str) -> Sending:
    values: dict[str, Any] = {"key": one.key, "state": state, "message": message, "settled": state != "waiting"}
    with city.server.session() as cursor:
        cursor.execute(
            f"""
            update ops.sendings
            set state = %(state)s, message = %(message)s, attempts = attempts + 1,
                settled_at = case when %(settled)s then now() end
            where key = %(key)s returning {COLUMNS}
            """,
            values,
        )
        return Sending(*cursor.fetchone())
