"""`shuyuan orders hold | release | accept | enforce`: what the bureau rules on many orders at once."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli_corrections import By, Reason, in_city, orders_app
from pipelines.cli_options import Day, Json, day_of, number_of, one_of

if TYPE_CHECKING:
    from assets.order_book import OrderMoved

__all__ = ["orders_app"]  # with the commands of this module

Orders = Annotated[
    list[str] | None,
    typer.Argument(parser=number_of, metavar="NUMBER", help="as in `orders list`, e.g. 20261102-0001"),
]
OfResource = Annotated[str | None, typer.Option("--resource", help="instead: all that may, <department>.<resource>")]
OfRule = Annotated[str | None, typer.Option("--rule", help="with --resource: of this rule alone")]
Until = Annotated[str, typer.Option("--until", help="YYYY-MM-DD: on that day it is sent again")]


@orders_app.command("hold")
def hold_orders(
    reason: Reason, orders: Orders = None, resource: OfResource = None, rule: OfRule = None, by: By = None,
    as_of: Day = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Keep orders from being sent until they are released."""
    _rule("hold", reason, orders, resource, rule, by, as_of, as_json)


@orders_app.command("release")
def release_orders(
    reason: Reason, orders: Orders = None, resource: OfResource = None, rule: OfRule = None, by: By = None,
    as_of: Day = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Send orders that were held: notice and clock start on the day."""
    _rule("release", reason, orders, resource, rule, by, as_of, as_json)


@orders_app.command("accept")
def accept_orders(
    reason: Reason, until: Until, orders: Orders = None, resource: OfResource = None, rule: OfRule = None,
    by: By = None, as_of: Day = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Accept a known problem: until that day it is neither sent nor escalated; its items count in all figures."""
    _rule("accept", reason, orders, resource, rule, by, as_of, as_json, day_of(until))


@orders_app.command("enforce")
def enforce_orders(
    reason: Reason, orders: Orders = None, resource: OfResource = None, rule: OfRule = None, by: By = None,
    as_of: Day = None, as_json: Json = False,
) -> None:  # fmt: skip
    """End an acceptance: notice and a full clock start on the day."""
    _rule("enforce", reason, orders, resource, rule, by, as_of, as_json)


def _rule(
    name: str, reason: str, orders: Sequence[str] | None, resource: str | None, rule: str | None, by: str | None,
    as_of: str | None, as_json: bool, *more: Any,
) -> None:  # fmt: skip
    from assets import order_rulings
    from pipelines.console import emit_json, err

    with in_city(as_of) as (city, day):
        known = [*city.catalog.resources, *(f"{t.lead}.{t.topic}__{t.name}" for t in city.catalog.thematic.values())]
        one_of("--resource", resource, known)
        ruling = order_rulings.Ruling(by or getpass.getuser(), reason, day, tuple(orders or ()), resource, rule)
        act: Callable[..., list[OrderMoved]] = getattr(order_rulings, name)
        done = act(city, ruling, *more)
    if as_json:
        emit_json([asdict(one) for one in done])
        return
    for one in done:
        due = f", due on {one.due_on}" if one.state == "notified" else ""
        err.print(f"{one.order_number}: {one.event}, {one.state}{due}")
