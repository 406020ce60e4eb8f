"""The command line: the contract of docs/architecture.md.

Exit codes: 0 it worked, however bad the data; 1 the pipeline failed; 2 wrong usage. Results go to stdout, logs and
progress to stderr. Commands stay thin: what they do belongs to the stages.
"""

from __future__ import annotations

import gc
import logging
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import duckdb
import typer

from catalog import CatalogError, load_catalog
from pipelines.cli_calendar import calendar_app
from pipelines.cli_corrections import feedback_app
from pipelines.cli_deliveries import deliveries_app
from pipelines.cli_disputes import disputes_app, requests_app
from pipelines.cli_history import app as history_app
from pipelines.cli_identity import identity_app
from pipelines.cli_ledger import ledger_app
from pipelines.cli_libraries import libraries_app
from pipelines.cli_noise import orders_app
from pipelines.cli_operations import app as operations_app
from pipelines.cli_options import Day, Json, day_of
from pipelines.cli_rules import rules_app
from pipelines.cli_scores import scores_app
from pipelines.cli_sources import app as sources_app
from pipelines.cli_supervision import supervision_app

if TYPE_CHECKING:
    from pipelines.city_run import RunSummary

YOUNG = 20_000  # new objects between two collections; most are imported and stay, with 700 a tenth of an import is lost
INTERRUPTED = 130  # 128 + SIGINT, as shells count

app = typer.Typer(
    name="shuyuan",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Shuyuan 数源: from the departments' deliveries to correction orders, and back.",
)
catalog_app = typer.Typer(no_args_is_help=True, help="The catalogue: what exists and what good means.")
findings_app = typer.Typer(no_args_is_help=True, help="Every rule violated by every record.")
app.add_typer(catalog_app, name="catalog")
app.add_typer(findings_app, name="findings")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(libraries_app, name="libraries")
app.add_typer(rules_app, name="rules")
app.add_typer(scores_app, name="scores")
app.add_typer(orders_app, name="orders")
app.add_typer(feedback_app, name="feedback")
app.add_typer(requests_app, name="requests")
app.add_typer(disputes_app, name="disputes")
app.add_typer(identity_app, name="identity")
app.add_typer(calendar_app, name="calendar")
app.add_typer(ledger_app, name="ledger")
app.add_typer(supervision_app, name="supervision")
app.add_typer(operations_app)
app.add_typer(sources_app)
app.add_typer(history_app)


@app.command()
def demo(
    people: Annotated[int, typer.Option(min=1000, max=5_000_000, help="citizens of the city")] = 20_000,
    days: Annotated[int, typer.Option(min=1, max=60, help="business days of deliveries")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same city")] = 1,
    defect_rate: Annotated[float, typer.Option(min=0.0, max=0.5, help="share of records with a planted defect")] = 0.01,
    start: Annotated[str, typer.Option(help="first business day, YYYY-MM-DD")] = "2026-11-02",
    as_json: Json = False,
) -> None:
    """Write the deliveries of a fictional city into the landing folder, and planted_defects.csv beside it."""
    from demo import city as demo_city
    from pipelines.console import emit_json, err
    from pipelines.settings import Settings
    from resources.home import Home

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    home = Home(settings.home)
    with err.status("inventing a city"):
        made = demo_city.write(
            catalog,
            home.landing,
            people=people,
            days=days,
            seed=seed,
            defect_rate=defect_rate,
            start=day_of(start) or date.min,
        )
    if as_json:
        emit_json(asdict(made))
        return
    err.print(
        f"{made.files} deliveries, {made.rows:,} rows, {made.defects:,} planted defects in {made.landing}\n"
        "next: shuyuan run"
    )


@app.command()
def run(
    as_of: Day = None,
    department: Annotated[
        list[str] | None, typer.Option("--department", help="only this department's deliveries; may be repeated")
    ] = None,
    no_pull: Annotated[bool, typer.Option("--no-pull", help="take in what lies in landing only")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="build the base libraries from all records, not from what changed alone")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take in every new delivery, check it, rebuild what depends on it, write orders and reports.

    Each business day (as-of date) with new deliveries is one pass, oldest first; a pass that was killed is made again.
    Nothing new: nothing is written. With --as-of the city is taken to that day even if nothing came, so that silence
    shows as lateness. What is due from departments' own places is pulled first. A department whose files cannot be
    loaded keeps its last good state and stops no other; then the exit code is 1.
    """
    from pipelines.city_run import run_city
    from pipelines.console import emit_json, err, watching
    from pipelines.settings import Settings

    settings = Settings()
    with watching() as watcher:
        summary = run_city(
            settings, as_of=day_of(as_of), departments=department or (), pull=not no_pull, full=full, watcher=watcher
        )
    if as_json:
        emit_json(summary.as_json())
    else:
        _tell(summary)
    for path in summary.unreadable:
        err.print(f"left in landing: {path}: permission denied; give this account the right to read it", soft_wrap=True)
    for failure in summary.not_pulled:
        err.print(f"not pulled: {failure}", soft_wrap=True)
    for failure in summary.not_sent:
        err.print(f"notice not sent: {failure}", soft_wrap=True)
    for failure in summary.not_loaded:
        err.print(f"[bold]not loaded[/bold]: {failure}", soft_wrap=True)
    if summary.not_loaded:
        raise typer.Exit(1)


def _tell(summary: RunSummary) -> None:
    from pipelines.console import err, out

    total = summary.totals()
    if not summary.passes:
        err.print("nothing new: no delivery is waiting, nothing was written")
        if summary.rejected:
            err.print(f"{summary.rejected} files in landing were refused: see the report's page of deliveries")
        return
    lines = [
        ("business days", ", ".join(summary.passes)),
        ("deliveries", f"{total.deliveries:,} taken in, {summary.rejected + total.rejected:,} rejected"),
        (
            "rows in",
            f"{total.rows_delivered:,} = {total.rows_pooled:,} pooled + {total.rows_quarantined:,} quarantined"
            + (f" + {total.rows_removed:,} removed" if total.rows_removed else ""),
        ),
        ("findings", f"{total.findings_new:,} new, {total.findings_open:,} open"),
        ("orders", f"{total.orders_opened:,} opened, {total.orders_closed:,} closed, {total.orders_open:,} open"),
        ("overdue", f"{total.orders_overdue:,} orders"),
        *([("held", f"{total.orders_held:,} orders to look at: outbox/city/*/held.*")] if total.orders_held else []),
        ("items", f"{total.items_opened:,} opened, {total.items_closed:,} closed, {total.items_reopened:,} relapsed"),
        ("notices", f"{total.notices:,} files in the departments' outbox"),
        ("products", f"{total.published:,} published, {total.held_back:,} held back"),
        ("report", total.report),
    ]
    for name, text in lines:
        out.print(f"{name:>14}  {text}", soft_wrap=True)
    if total.rule_errors:
        err.print(f"[bold]{total.rule_errors} rules could not run[/bold]: see the report; no pass is implied")
    if total.contracts_broken:
        err.print(
            f"[bold]{total.contracts_broken} thematic tables broke their contract[/bold], keep the last good state"
        )


@catalog_app.command("check")
def catalog_check() -> None:
    """Validate the catalogue; every error names file, field, value and what is allowed."""
    from pipelines.console import err
    from pipelines.settings import Settings
    from quality_checks import suites

    catalog = load_catalog(Settings().catalog)
    problems = suites.check_sql(catalog)
    if problems:
        raise CatalogError(problems)
    rules = sum(len(resource.rules) for resource in catalog.resources.values())
    err.print(
        f"catalogue is sound: {len(catalog.departments)} departments, {len(catalog.resources)} resources, "
        f"{len(catalog.libraries)} libraries, {len(catalog.thematic)} thematic tables, "
        f"{len(catalog.products)} products, {rules} written rules"
    )


@catalog_app.command("schema")
def catalog_schema() -> None:
    """Write the JSON Schemas that editors check the YAML with."""
    from catalog import schema_export
    from pipelines.console import err
    from pipelines.settings import Settings

    folder = Settings().catalog / "schema"
    schema_export.export(folder)
    err.print(f"wrote {folder}")


@findings_app.command("export")
def findings_export(
    path: Annotated[Path, typer.Argument(help="ends in .parquet, .csv or .xlsx")],
    unmasked: Annotated[bool, typer.Option("--unmasked", help="personal and sensitive values as they are")] = False,
) -> None:
    """Write all findings to a file, personal and sensitive values masked; it is readable by its owner alone."""
    from assets.exports import export_findings
    from pipelines.console import err
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog), read_only=True) as city:
        rows = export_findings(city, path, unmasked=unmasked)
    err.print(f"{rows:,} findings in {path}")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help='one SELECT, e.g. "SELECT count(*) FROM base.population"')],
    as_json: Json = False,
) -> None:
    """Ask the lake one SELECT.

    Tables: base.*, history.*, thematic.*, quality.*, <department>.<resource>, shuyuan.ops.*, shuyuan.ledger.*, codes.*.
    A library's past: as_believed.<library>('2026-11-02') as believed at the end of that day; as_of.<library>(day) as
    it was on a day, by today's belief or by that of another day: as_of.<library>(day, believed).
    missing.<library>('<coverage>') names the entities that a declared coverage misses; who came after an entity that
    ended or was replaced: successors.<library>('key').
    """
    from pipelines.console import emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings
    from quality_checks.library_counts import define_missing
    from resources import believed, succession
    from resources import query as asking

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog), read_only=True) as city:
        believed.define(city.con, city.catalog)
        define_missing(city.con, city.catalog)
        succession.define(city.con, city.catalog)
        asking.lock_down(city.con, str(city.home.lake))
        answer = asking.select(city.con, query)
        names = [column[0] for column in answer.description]
        emit_table([dict(zip(names, row, strict=True)) for row in answer.fetchall()], as_json=as_json)


def main() -> None:
    """Entry point: expected failures end in one clear message and their exit code."""
    from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

    from pipelines.failures import RunFailedError
    from resources.failures import PermanentError, TransientError
    from resources.query import QueryRefusedError

    gc.set_threshold(YOUNG)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    set_on_retry_hooks([LoggingOnRetryHook])  # its default, where structlog is installed, writes to stdout
    try:
        app(prog_name="shuyuan")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _end("interrupted: what was committed stays; the same command goes on from there", INTERRUPTED)
        raise
    except (QueryRefusedError, ValueError, LookupError, FileNotFoundError) as wrong:
        _end(wrong, 2)
    except (CatalogError, TransientError, PermanentError, RunFailedError) as failure:
        _end(failure, 1)
    except duckdb.Error as failure:
        _end(str(failure).splitlines()[0], 1)


def _end(said: object, code: int) -> NoReturn:
    typer.echo(str(said), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
