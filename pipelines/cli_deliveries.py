"""`shuyuan deliveries …`: what arrived, what became of it, what is due; replaying and taking back."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli_options import Day, Json, day_of, one_of

if TYPE_CHECKING:
    from resources.city import City

deliveries_app = typer.Typer(no_args_is_help=True, help="Deliveries 批次: what arrived and what became of it.")

Id = Annotated[str, typer.Argument(help="delivery id, as in `deliveries list`")]
Department = Annotated[str | None, typer.Option("--department", help="only this department")]


@contextmanager
def _city(*, writes: bool = False) -> Iterator[City]:
    """The city; what writes waits for a run in progress."""
    from contextlib import nullcontext

    from catalog import load_catalog
    from pipelines.installation import RUN_LOCK, open_city
    from pipelines.settings import Settings

    settings = Settings()
    with (
        open_city(settings, load_catalog(settings.catalog)) as city,
        city.server.lock(RUN_LOCK) if writes else nullcontext(),
    ):
        yield city


@deliveries_app.command("list")
def list_deliveries(
    department: Department = None,
    resource: Annotated[str | None, typer.Option(help="only this resource")] = None,
    state: Annotated[str | None, typer.Option(help="registered, pooled, superseded or rejected")] = None,
    since: Annotated[str | None, typer.Option(help="first as-of date, YYYY-MM-DD")] = None,
    until: Annotated[str | None, typer.Option(help="last as-of date, YYYY-MM-DD")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 200,
    as_json: Json = False,
) -> None:
    """One line per delivery, newest first: verdict, rows, codes of what was noticed."""
    from assets import delivery_book
    from pipelines.console import emit_json, emit_table

    one_of("--state", state, delivery_book.STATES)
    with _city() as city:
        found = delivery_book.list_deliveries(
            city,
            department=department,
            resource=resource,
            state=state,
            since=day_of(since),
            until=day_of(until),
            limit=limit,
        )
    if as_json:
        emit_json(found)
        return
    emit_table(delivery_book.short(found), title="deliveries")


@deliveries_app.command("show")
def show(delivery: Id, as_json: Json = False) -> None:
    """One delivery: where it came from, rows, verdict with reasons, quarantine, what was done to it, its profile."""
    from assets import delivery_book
    from pipelines.console import emit_json, emit_table

    with _city() as city:
        found = delivery_book.show(city, delivery)
    if as_json:
        emit_json(found)
        return
    nested = {name: found.pop(name) for name in ("reasons", "quarantine", "actions", "profile")}
    emit_table([{"field": name, "value": value} for name, value in found.items()], title=delivery)
    for name, rows in nested.items():
        if rows:
            emit_table(rows, title=name)


@deliveries_app.command("rows")
def rows(
    delivery: Id,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="what it left in quarantine, with why")] = False,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="show personal values in clear")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 100,
    as_json: Json = False,
) -> None:
    """Its records as the pool holds them now; personal and sensitive columns are masked."""
    from assets import delivery_book
    from pipelines.console import emit_table

    with _city() as city:
        found = delivery_book.rows(city, delivery, quarantined=quarantined, unmasked=unmasked, limit=limit)
    emit_table(found, title=delivery, as_json=as_json)


@deliveries_app.command("replay")
def replay(delivery: Id, as_json: Json = False) -> None:
    """Put a delivery through again, after the catalogue or the code has changed; `shuyuan run` then judges the pool."""
    from assets import delivery_book
    from pipelines.console import emit_json, emit_table

    with _city(writes=True) as city:
        found = delivery_book.replay(city, delivery, actor=_actor())
    if as_json:
        emit_json(found)
        return
    emit_table(delivery_book.short([found]), title="replayed; next: shuyuan run")


@deliveries_app.command("reject")
def reject(
    delivery: Id,
    reason: Annotated[str, typer.Option(help="why; the department reads it")],
    as_json: Json = False,
) -> None:
    """Take a delivery back: the pool becomes what its other deliveries make, and the same content is refused."""
    from assets import delivery_book
    from pipelines.console import emit_json, emit_table

    with _city(writes=True) as city:
        found = delivery_book.reject(city, delivery, reason, actor=_actor())
    if as_json:
        emit_json(found)
        return
    emit_table(delivery_book.short([found]), title="taken back; next: shuyuan run")


@deliveries_app.command("due")
def due(
    as_of: Day = None,
    department: Department = None,
    all_: Annotated[bool, typer.Option("--all", help="also what is not due yet")] = False,
    as_json: Json = False,
) -> None:
    """Deliveries the update cycles call for and that have not come, with how many working days they are late."""
    from assets import passes
    from assets.quality import due_deliveries
    from pipelines.console import emit_table
    from resources import clock

    with _city() as city:
        one_of("--department", department, city.catalog.departments)
        day = day_of(as_of) or passes.last_finished(city) or clock.today()
        found = [
            asdict(one)
            for one in due_deliveries(city, day)
            if department in {None, one.department} and (all_ or one.state != "expected")
        ]
    emit_table(found, title=f"deliveries due on {day}", as_json=as_json)


def _actor() -> str:
    return f"cli:{getpass.getuser()}"
