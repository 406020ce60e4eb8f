"""How the command line speaks: results on stdout, everything else on stderr, progress only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipelines.watcher import Watcher

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def emit_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def emit_table(rows: Sequence[Mapping[str, object]], *, title: str = "", as_json: bool = False) -> None:
    """Rows as a table for people or as one JSON array."""
    if as_json:
        emit_json(list(rows))
        return
    if not rows:
        err.print(f"{title}: none" if title else "none")
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    out.print(table)


@contextmanager
def watching() -> Iterator[Watcher]:
    """A progress bar on a terminal; a line a day where there is none."""
    if not err.is_terminal:
        yield Watcher(plan=lambda day, _steps: err.print(f"pass to {day}"))
        return
    columns = [
        SpinnerColumn(),
        TextColumn("{task.fields[day]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    ]
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("starting", total=None, day="")

        def plan(day: date, steps: int) -> None:
            progress.reset(task, total=steps, description="", day=str(day))

        def step(name: str) -> None:
            progress.update(task, advance=1, description=name)

        def note(text: str) -> None:
            progress.update(task, description=text)

        yield Watcher(plan, step, note)
