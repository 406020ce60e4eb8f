"""`shuyuan orders …` and `shuyuan feedback …`: the correction loop from a terminal."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from pipelines.cli_options import Day, Json, day_of, number_of, one_of

if TYPE_CHECKING:
    from datetime import date

    from resources.city import City

orders_app = typer.Typer(no_args_is_help=True, help="Correction orders 纠错工单: what departments owe, by when.")
feedback_app = typer.Typer(no_args_is_help=True, help="What departments answer to their orders.")

Department = Annotated[str | None, typer.Option("--department", help="only this department")]
Number = Annotated[
    str, typer.Argument(parser=number_of, metavar="NUMBER", help="as in `orders list`, e.g. 20261102-0001")
]
Reason = Annotated[str, typer.Option("--reason", help="why; kept in the ledger, the department reads it")]
By = Annotated[str | None, typer.Option("--by", help="who decided; default the user of this machine")]
SHOWN = 10  # refused rows of a file that are told on the terminal
State = Annotated[str, typer.Option("--state", help="open, closed, overdue, held, accepted or all")]


@contextmanager
def in_city(as_of: str | None) -> Iterator[tuple[City, date]]:
    """The city, and the stated day or the last one it was taken to, or is being taken to."""
    from assets import passes
    from catalog import load_catalog
    from pipelines.installation import open_city
    from pipelines.settings import Settings
    from resources import clock

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog)) as city:
        yield city, day_of(as_of) or passes.last_begun(city) or clock.today()


@orders_app.command("list")
def list_orders(department: Department = None, state: State = "open", as_of: Day = None, as_json: Json = False) -> None:
    """One line per order, with its deadline and how many of its items are open, verified, relapsed."""
    from assets import orders
    from pipelines.console import emit_table

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        one_of("--state", state, get_args(orders.State))
        rows = orders.list_orders(city, day, department=department, state=state)  # type: ignore[arg-type]  # checked above
    emit_table([asdict(row) for row in rows], title=f"orders {state} on {day}", as_json=as_json)


@orders_app.command("show")
def show_order(number: Number, department: Department = None, as_of: Day = None, as_json: Json = False) -> None:
    """One order with everything that happened to its items; holds the department's own values."""
    from assets import orders
    from pipelines.console import emit_json, emit_table

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        detail = orders.show_order(city, number, day, department=department)
    if as_json:
        emit_json(asdict(detail))
        return
    emit_table([{"field": field, "value": value} for field, value in asdict(detail.order).items()], title=number)
    emit_table([asdict(event) for event in detail.clock], title="clock")
    emit_table([asdict(event) for event in detail.events], title="items")
    if detail.disputes:
        emit_table([asdict(dispute) for dispute in detail.disputes], title="disputes")


@orders_app.command("export")
def export_orders(
    path: Annotated[Path, typer.Argument(help="ends in .csv or .xlsx")],
    department: Department = None,
    state: State = "all",
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Write the list of orders to a file."""
    from assets import orders
    from pipelines.console import emit_json, err

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        one_of("--state", state, get_args(orders.State))
        rows = orders.export_orders(city, path, day, department=department, state=state)  # type: ignore[arg-type]  # checked
    if as_json:
        emit_json({"orders": rows, "path": str(path)})
        return
    err.print(f"{rows:,} orders in {path}")


@orders_app.command("extend")
def extend_order(
    number: Number,
    reason: Reason,
    days: Annotated[int, typer.Option("--days", help="working days; the jurisdiction says how many at most")],
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Give an order its one extension, before its deadline has passed."""
    with _acting(number, reason, by, as_of, as_json) as (book, city, act, told):
        told(book.extend(city, act, days))


@orders_app.command("answer")
def answer_order(
    number: Number,
    text: Annotated[str, typer.Option("--text", help="what the department asked for; kept in the ledger")],
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Answer what a department asked: its clock goes on, without the days it stood."""
    with _acting(number, text, by, as_of, as_json) as (book, city, act, told):
        told(book.answer(city, act))


@orders_app.command("withdraw")
def withdraw_order(number: Number, reason: Reason, by: By = None, as_of: Day = None, as_json: Json = False) -> None:
    """Take an order back: nothing is due any more; its items are judged on."""
    with _acting(number, reason, by, as_of, as_json) as (book, city, act, told):
        told(book.withdraw(city, act))


@orders_app.command("escalate")
def escalate_order(number: Number, reason: Reason, by: By = None, as_of: Day = None, as_json: Json = False) -> None:
    """Take an order to the next level: steward, department head, bureau, supervision list."""
    with _acting(number, reason, by, as_of, as_json) as (book, city, act, told):
        told(book.escalate(city, act))


@orders_app.command("transfer")
def transfer_order(
    number: Number,
    reason: Reason,
    to: Annotated[str | None, typer.Option("--to", help="default the department that the replies name")] = None,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Move the items that are not this department's to the right one, with their history."""
    with _acting(number, reason, by, as_of, as_json) as (book, city, act, told):
        told(book.transfer(city, act, to))


@contextmanager
def _acting(number: str, reason: str, by: str | None, as_of: str | None, as_json: bool) -> Iterator[tuple[Any, ...]]:
    """The module that acts, the city, the act, and how its outcome is told."""
    from assets import order_book
    from pipelines.console import emit_json, err

    def told(done: order_book.OrderMoved) -> None:
        if as_json:
            emit_json(asdict(done))
            return
        provisional = " (provisional)" if done.due_provisional else ""
        err.print(f"{number}: {done.event}, {done.items} items, due on {done.due_on}{provisional}, level {done.level}")

    with in_city(as_of) as (city, day):
        act = order_book.Act(number, by or getpass.getuser(), reason, day)
        yield order_book, city, act, told


@orders_app.command("decide")
def decide(
    item: Annotated[str, typer.Argument(parser=number_of, metavar="ITEM", help="item id, as in `orders show`")],
    outcome: Annotated[str, typer.Argument(help="uphold (the department is right) or reject")],
    reason: Reason,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Rule on an objection: an upheld one excepts the record for as long as its value stays."""
    from assets import feedback
    from pipelines.console import emit_json, err

    with in_city(as_of) as (city, day):
        one_of("outcome", outcome, ("uphold", "reject"))
        feedback.decide(city, item, outcome, reason, actor=by or getpass.getuser(), as_of=day)  # type: ignore[arg-type]  # checked
    if as_json:
        emit_json({"item_id": item, "ruling": outcome, "as_of": day})
        return
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

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        receipt = feedback.import_file(city, path, department, day, author=f"cli:{getpass.getuser()}")
    if as_json:
        emit_json(asdict(receipt))
        return
    again = " (taken before: nothing changed)" if receipt.repeated else ""
    err.print(
        f"{receipt.accepted:,} replies taken, {receipt.late:,} of them late, {len(receipt.refusals):,} refused,"
        f" {receipt.unanswered:,} rows not filled in{again}; receipt: {receipt.path}",
        soft_wrap=True,
    )
    tell_rows([(one.row, one.message) for one in receipt.refusals])


def tell_rows(refused: Sequence[tuple[str, str]]) -> None:
    """The first refused rows of a file and why, on stderr; the receipt holds them all."""
    from pipelines.console import err

    for row, message in refused[:SHOWN]:
        err.print(f"{f'row {row}: ' if row else ''}{message}", soft_wrap=True, markup=False)
    if len(refused) > SHOWN:
        err.print(f"… and {len(refused) - SHOWN:,} more in the receipt")


@feedback_app.command("status")
def feedback_status(department: Department = None, as_of: Day = None, as_json: Json = False) -> None:
    """One line per department: what is unanswered, promised, asked, objected to, overdue, and not yet sent."""
    from assets import orders
    from pipelines.console import emit_table

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        rows = orders.feedback_status(city, day, department=department)
    emit_table([asdict(row) for row in rows], title=f"replies on {day}", as_json=as_json)


@feedback_app.command("send")
def send_notices(
    department: Department = None,
    again: Annotated[bool, typer.Option("--again", help="what failed for good too")] = False,
    as_json: Json = False,
) -> None:
    """Send the notices that wait to the departments' channels; exit 1 when one could not be sent."""
    from assets import sending
    from pipelines.console import emit_table
    from pipelines.settings import Settings

    with in_city(None) as (city, _):
        one_of("--department", department, [*city.catalog.departments, sending.BUREAU])
        done = sending.send(city, Settings().vault(), department=department, again=again)
    emit_table([asdict(one) for one in done], title="sendings", as_json=as_json)
    if any(one.state in ("waiting", "failed") for one in done):
        raise typer.Exit(1)
