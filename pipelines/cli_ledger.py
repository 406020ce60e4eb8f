"""`shuyuan ledger …`: proving from a terminal that nobody rewrote what happened."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli_options import Day, Json, day_of, one_of

if TYPE_CHECKING:
    from resources.city import City

ledger_app = typer.Typer(no_args_is_help=True, help="The ledger 台账: what happened to orders and items, in one chain.")


@contextmanager
def _city() -> Iterator[City]:
    from catalog import load_catalog
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog)) as city:
        yield city


@ledger_app.command("verify")
def verify(
    anchor: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="anchor.json of a report kept elsewhere: shows a cut-off end"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Name the first broken link of each department's chain; exit 1 when there is one."""
    from pipelines.console import emit_json, emit_table, err
    from resources import ledger

    published = []
    if anchor:
        try:
            published = ledger.read_anchor(anchor)
        except ledger.AnchorError as error:
            raise typer.BadParameter(str(error), param_hint="--anchor") from error
    with _city() as city:
        broken = ledger.verify_chain(city.con, published)
        heads = ledger.heads(city.server)
    if as_json:
        emit_json({"broken": [asdict(link) for link in broken], "heads": [asdict(head) for head in heads]})
    else:
        emit_table([asdict(head) for head in heads], title="heads")
        for link in broken:
            err.print(f"{link.department} batch {link.batch}: {link.reason}")
    if broken:
        raise typer.Exit(1)


@ledger_app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="JSON lines: each batch, then its rows")],
    department: Annotated[str | None, typer.Option("--department", help="only this department's chain")] = None,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="with the personal values and their salts")] = False,
    as_json: Json = False,
) -> None:
    """Write the chain to a file whose digests anybody can recompute; see docs/ledger.md."""
    from pipelines.console import emit_json, err
    from resources import ledger

    with _city() as city:
        one_of("--department", department, city.catalog.departments)
        batches = ledger.export(city.con, path, department=department, unmasked=unmasked)
    if as_json:
        emit_json({"batches": batches, "path": str(path)})
    else:
        err.print(f"{batches:,} batches in {path}")


@ledger_app.command("erase")
def erase(
    item: Annotated[str, typer.Argument(help="id of any item of the record, as in `orders show`")],
    basis: Annotated[str, typer.Option(help="the law and the request it follows; kept, so name no person")],
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Take a record's personal values out of the ledger; the chain stays whole and says who did it and why."""
    from assets import erasure, passes
    from pipelines.console import emit_json, err
    from resources import clock

    with _city() as city:
        day = day_of(as_of) or passes.last_begun(city) or clock.today()
        try:
            items = erasure.erase(city, item, basis, actor=getpass.getuser(), as_of=day)
        except erasure.ErasureRefusedError as error:
            raise typer.BadParameter(str(error)) from error
    if as_json:
        emit_json({"items": items})
        return
    err.print(f"values of {items} items erased" if items else "its values were erased before")
