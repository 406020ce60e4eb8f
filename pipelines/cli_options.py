"""Options that several commands share, and how a wrong value is told: name, value, what is allowed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Day = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="business day, YYYY-MM-DD; default the last one made")
]


def number_of(value: str) -> str:
    """A number or id as it is written: without blanks, full-width letters and digits made plain."""
    return "".join(unicodedata.normalize("NFKC", value).split())


def day_of(value: str | None) -> date | None:
    """The date an option states.

    Raises:
        typer.BadParameter: it is none.
    """
    if value is None:
        return None
    try:
        return date.fromisoformat(number_of(value))
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a date; write it as YYYY-MM-DD") from None


def one_of(name: str, value: str | None, allowed: Iterable[str]) -> None:
    """Refuse a value that is not allowed.

    Raises:
        typer.BadParameter: naming option, value and what is allowed.
    """
    if value is not None and value not in (known := list(allowed)):
        raise typer.BadParameter(f"{name} = {value!r}; must be one of: {', '.join(known)}")
