"""Who looks on while a pass is made; kept apart so that the command line can name it without loading Dagster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Watcher:
    """Who looks on: told the plan of each day, then each step as it begins."""

    plan: Callable[[date, int], None] = lambda _day, _steps: None
    step: Callable[[str], None] = lambda _step: None
    note: Callable[[str], None] = lambda _text: None
