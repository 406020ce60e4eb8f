"""`shuyuan orders …` and `shuyuan feedback …`: the correction loop from a terminal."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pipelines.cli_options import Day, Json, day_of, one_of

if TYPE_CHECKING:
    from datetime import date

    from resources.city import City

orders_app = typer.Typer(no_args_is_help=True, help="Correction orders 纠错工单: what departments owe, by when.")
feedback_app = typer.Typer(no_args_is_help=True, help="What departments answer to their orders.")

Department = Annotated[str | None, typer.Option("--department", help="only this department")]
State = Annotated[str, typer.Option("--state", help="open, closed, overdue or all")]


@contextmanager
def _city(as_of: str | None) -> Iterator[tuple[City, date]]:
    """The city, and the stated day or the last one it was taken to."""
    from assets import passes
    from catalog import load_catalog
    from pipelines.installation import open_city
    from pipelines.settings import Settings
    from resources import clock

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog)) as city:
        yield city, day_of(as_of) or passes.last_finished(city) or clock.today()


@orders_app.command("list")
def list_orders(department: Department = None, state: State = "open", as_of: Day = None, as_json: Json = False) -> None:
    """One line per order, with its deadline and how many of its items are open, verified, relapsed."""
    from assets import orders
    from pipelines.console import emit_table

    with _city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        one_of("--state", state, get_args(orders.State))
        rows = orders.list_orders(city, day, department=department, state=state)  # type: ignore[arg-type]  # checked above
    emit_table([asdict(row) for row in rows], title=f"orders {state} on {day}", as_json=as_json)


@orders_app.command("show")
def show_order(
    number: Annotated[str, typer.Argument(help="as in `orders list`, e.g. 20261102-0001")],
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """One order with everything that happened to its items; holds the department's own values."""
    from assets import orders
    from pipelines.console import emit_json, emit_table

    with _city(as_of) as (city, day):
        detail = orders.show_order(city, number, day)
    if as_json:
        emit_json(asdict(detail))
        return
    emit_table([{"field": field, "value": value} for field, value in asdict(detail.order).items()], title=number)
    emit_table([asdict(event) for event in detail.events], title="items")


@orders_app.command("export")
def export_orders(
    path: Annotated[Path, typer.Argument(help="ends in .csv or .xlsx")],
    department: Department = None,
    state: State = "all",
    as_of: Day = None,
) -> None:
    """Write the list of orders to a file."""
    from assets import orders
    from pipelines.console import err

    with _city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        one_of("--state", state, get_args(orders.State))
        rows = orders.export_orders(city, path, day, department=department, state=state)  # type: ignore[arg-type]  # checked
    err.print(f"{rows:,} orders in {path}")


@orders_app.command("decide")
def decide(
    item: Annotated[str, typer.Argument(help="item id, as in `orders show`")],
    outcome: Annotated[str, typer.Argument(help="uphold (the department is right) or reject")],
    reason: Annotated[str, typer.Option(help="why; the department reads it")],
    as_of: Day = None,
) -> None:
    """Rule on an objection: an upheld one excepts the record for as long as its value stays."""
    from assets import feedback
    from pipelines.console import err

    with _city(as_of) as (city, day):
        one_of("outcome", outcome, ("uphold", "reject"))
        feedback.decide(city, item, outcome, reason, actor=getpass.getuser(), as_of=day)  # type: ignore[arg-type]  # checked
    err.print(f"{item}: {outcome}")


@feedback_app.command("import")
def import_feedback(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a filled notice (.xlsx) or a .csv")],
    department: Annotated[str, typer.Option("--department", help="whose reply it is: only its items can be touched")],
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Take in one reply; the receipt names every row that was refused and what is allowed."""
    from assets import feedback
    from pipelines.console import emit_json, err

    with _city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        receipt = feedback.import_file(city, path, department, day, author=f"cli:{getpass.getuser()}")
    if as_json:
        emit_json(asdict(receipt))
        return
    again = " (taken before: nothing changed)" if receipt.repeated else ""
    err.print(f"{receipt.accepted:,} replies taken, {len(receipt.refusals):,} refused{again}; receipt: {receipt.path}")
