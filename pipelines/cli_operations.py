"""`shuyuan status | doctor | verify | serve`: what an operator asks beside the daily pass."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.cli_options import Json

app = typer.Typer()


@app.command()
def status(as_json: Json = False) -> None:
    """What is running, waiting, late and overdue."""
    from catalog import load_catalog
    from pipelines import operations
    from pipelines.console import emit_json, emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog)) as city:
        found = operations.status(city)
    if as_json:
        emit_json(found)
        return
    shown = {name: "\n".join(value) if isinstance(value, list) else value for name, value in found.items()}
    emit_table([{"what": name, "now": value} for name, value in shown.items()])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Versions, disk, clock, calendar, permissions, PostgreSQL's roles, leftovers; exit 1 when something is wrong."""
    from catalog import load_catalog
    from pipelines import operations
    from pipelines.console import emit_json, emit_table
    from pipelines.settings import Settings

    settings = Settings()
    checks = list(operations.doctor(settings, load_catalog(settings.catalog)))
    if as_json:
        emit_json([asdict(check) for check in checks])
    else:
        emit_table(
            [
                {
                    "check": check.what,
                    "found": check.found,
                    "": "ok" if check.good else "LOOK",
                    "remedy": "" if check.good else check.remedy,
                }
                for check in checks
            ]
        )
    if not all(check.good for check in checks):
        raise typer.Exit(1)


@app.command()
def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="rebuild what is damaged from the archived deliveries")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="read every value and hash every archived file")] = False,
    as_json: Json = False,
) -> None:
    """Compare lake files, catalogs, register and ledger; name what is damaged (exit 1), or rebuild it.

    Lost files that only earlier versions of a table need are named too, but change no exit code: what stands is whole.
    """
    from pipelines.console import emit_json, emit_table, err
    from pipelines.repair import told, verify_city
    from pipelines.settings import Settings

    damages, rebuilt = verify_city(Settings(), repair=repair, deep=deep)
    if as_json:
        emit_json({"damages": [asdict(damage) for damage in damages], "rebuilt": rebuilt})
    elif damages:
        emit_table([asdict(damage) for damage in damages], title="damaged")
        err.print("\n".join(map(told, rebuilt)) or "nothing was changed; --repair rebuilds")
    else:
        err.print("sound: lake files, catalogs, register and ledger agree")
    if not repair and any(damage.kind != "missing_history" for damage in damages):
        raise typer.Exit(1)


@app.command()
def serve(port: Annotated[int, typer.Option(min=1, max=65535, help="of the Dagster UI")] = 3000) -> None:
    """Run the Dagster UI, its daemon (schedules, landing sensor) and PostgreSQL until Ctrl-C, on this machine only."""
    from pipelines import operations
    from pipelines.console import err
    from pipelines.settings import Settings

    settings = Settings()
    err.print(f"Dagster UI: http://127.0.0.1:{port}   reports: {settings.home / 'reports' / 'index.html'}")
    raise typer.Exit(operations.serve(settings, port))
