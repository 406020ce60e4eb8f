"""How the command line speaks: results on stdout, everything else on stderr, progress only on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.watcher import Watcher

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)
WIDEST = 10_000  # characters of a line in a pipe


def emit_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def emit_table(rows: Sequence[Mapping[str, object]], *, title: str = "", as_json: bool = False) -> None:
    r"""Rows as a table for people or as one JSON array.

    A table wider than the terminal is shown record by record, as `\x auto` of psql does; a pipe takes any width.
    """
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
        table.add_row(*map(_text, row.values()))
    needed = Measurement.get(out, out.options.update(max_width=WIDEST), table).maximum
    if needed <= out.width:
        out.print(table)
    elif not out.is_terminal:
        Console(file=out.file, width=needed, highlight=False).print(table)
    else:
        _emit_records(rows, title)


def _emit_records(rows: Sequence[Mapping[str, object]], title: str) -> None:
    out.print(title)
    for number, row in enumerate(rows, 1):
        out.rule(f"{number} of {len(rows)}", align="left")
        fields = Table.grid(padding=(0, 2))
        for name, value in row.items():
            fields.add_row(name, Text(_text(value), overflow="fold"))
        out.print(fields)


def _text(value: object) -> str:
    return "" if value is None else str(value)


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
