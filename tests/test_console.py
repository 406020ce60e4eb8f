"""Tables that people read on the command line."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipelines import console

LONG = "market_regulation.enterprise_registration.registered_capital.required"
ROWS = [{"order": f"20261102-{n:04d}", "rule": LONG, "open": n, "closed_on": None} for n in range(1, 4)]


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, width: int) -> list[str]:
    text = io.StringIO()
    monkeypatch.setattr(
        console, "out", Console(file=text, force_terminal=terminal, width=width, color_system=None, highlight=False)
    )
    console.emit_table(ROWS, title="orders")
    return text.getvalue().splitlines()


def test_a_table_that_fits_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, terminal=True, width=140)
    assert [line.count(LONG) for line in lines if "20261102" in line] == [1, 1, 1]


def test_a_terminal_too_narrow_is_shown_record_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, terminal=True, width=60)
    assert max(map(len, lines)) <= 60
    assert [" ".join(line.split()) for line in lines if line.startswith("order ")] == [
        f"order {row['order']}" for row in ROWS
    ]
    assert sum(LONG[:40] in line for line in lines) == 3
    assert "3 of 3" in "".join(lines)


def test_a_pipe_takes_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, terminal=False, width=80)
    assert [line.count(LONG) for line in lines if "20261102" in line] == [1, 1, 1]
