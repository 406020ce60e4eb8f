"""One pass of the city to one business day: what every stage is handed, and what the pass came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from resources.city import City


@dataclass
class Figures:
    """What a pass did, in counts a person asks for first. All zero when nothing was new."""

    deliveries: int = 0
    rejected: int = 0
    rows_delivered: int = 0
    rows_pooled: int = 0
    rows_quarantined: int = 0
    rows_removed: int = 0
    rule_errors: int = 0
    contracts_broken: int = 0
    findings_open: int = 0
    findings_new: int = 0
    orders_opened: int = 0
    orders_closed: int = 0
    orders_open: int = 0
    orders_held: int = 0
    orders_overdue: int = 0
    items_opened: int = 0
    items_closed: int = 0
    items_reopened: int = 0
    notices: int = 0
    published: int = 0
    held_back: int = 0
    report: str = ""


def _silent(_step: str) -> None:
    """Nobody watches."""


@dataclass
class Pass:
    """A pass in progress: the opened city, its business day, the run that writes, who watches."""

    city: City
    as_of: date
    author: str
    progress: Callable[[str], None] = _silent
    figures: Figures = field(default_factory=Figures)
    failures: list[str] = field(default_factory=list)  # departments that could not be loaded, and why
    full: bool = False  # whether libraries are built from all records, whatever changed
    whole: bool = True  # whether the libraries and what follows are part of it
    reopen: Callable[[], None] | None = None  # opens the city anew, after PostgreSQL died
