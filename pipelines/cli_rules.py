"""`shuyuan rules …`: the book of all rules, and rules tried before they are saved."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli_options import Day, Json, day_of, one_of

if TYPE_CHECKING:
    from catalog import Catalog

rules_app = typer.Typer(no_args_is_help=True, help="Rules 规则: what is asserted of each record, and why.")

Resource = Annotated[str, typer.Argument(help="<department>.<resource>, as in the catalogue")]


@rules_app.command("doc")
def doc(
    path: Annotated[Path | None, typer.Argument(help="Markdown file; default: stdout")] = None,
    language: Annotated[str, typer.Option("--language", help="zh or en")] = "zh",
) -> None:
    """Write the rule book: every rule's sentence, reason, source and exact condition."""
    from catalog import load_catalog
    from pipelines.console import err
    from pipelines.settings import Settings
    from quality_checks import rule_book

    one_of("--language", language, ("zh", "en"))
    text = rule_book.told(load_catalog(Settings().catalog), "zh" if language == "zh" else "en")
    if path is None:
        typer.echo(text, nl=False)
        return
    path.write_text(text, encoding="utf-8")
    err.print(f"wrote {path}")


@rules_app.command("try")
def try_(
    file: Annotated[Path, typer.Argument(help="YAML file with `rules:`, as in a resource's file", exists=True)],
    resource: Annotated[str, typer.Option("--resource", help="whose pool: <department>.<resource>")],
    samples: Annotated[int, typer.Option(min=0, max=100, help="records shown of each rule")] = 3,
    as_json: Json = False,
) -> None:
    """Run rules that are not saved on a pool as it stands: counts, and masked samples of what each would accuse."""
    from catalog.load import load_catalog, load_rules
    from pipelines.console import emit_json, emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings
    from quality_checks import trial

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    one_of("--resource", resource, catalog.resources)
    checked = catalog.resources[resource]
    rules = load_rules(catalog, checked, file)
    with open_city(settings, catalog) as city:
        records = trial.records(city.con, checked)
        tried = trial.try_rules(city.con, catalog, checked, rules, samples=samples)
    if as_json:
        emit_json([{**asdict(one), "rule": one.rule.id, "records": records} for one in tried])
        return
    counts = [
        {
            "rule": one.rule.id,
            "records": records,
            "applicable": one.applicable,
            "failed": one.failed,
            "state": one.state,
            "sentence": one.message or one.rule.zh,
        }
        for one in tried
    ]
    emit_table(counts, title=f"rules on {resource}")
    for one in tried:
        if one.samples:
            emit_table([asdict(sample) for sample in one.samples], title=f"{one.rule.id}: {one.rule.column}")


@rules_app.command("suggest")
def suggest(resource: Resource) -> None:
    """Profile a pool and propose rules as YAML for the resource's file, each with its evidence and what it flags today.

    Nothing is saved. Values of personal and sensitive columns stand in no proposal.
    """
    from catalog import load_catalog
    from pipelines.installation import open_city
    from pipelines.settings import Settings
    from quality_checks import suggestions
    from quality_checks.macros import name

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    one_of("resource", resource, catalog.resources)
    profiled = catalog.resources[resource]
    pool = f"{name(profiled.department)}.{name(profiled.name)}"
    with open_city(settings, catalog) as city:
        found = suggestions.suggest(city.con, pool, profiled.columns)
    typer.echo("rules:\n" + suggestions.to_yaml(found, resource), nl=False)


@rules_app.command("export")
def export(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, help="gets one JSON file per suite, or one SQL file per rule")
    ],
    dialect: Annotated[str, typer.Option("--dialect", help="gx: suites; spark: a query of the failing records")] = "gx",
) -> None:
    """Write every table's rules for other engines: as suites of Great Expectations, or as Spark's SQL.

    Rules that cannot be said in Spark's dialect are named with the reason.
    """
    from catalog import load_catalog
    from pipelines.console import err
    from pipelines.settings import Settings

    one_of("--dialect", dialect, ("gx", "spark"))
    catalog = load_catalog(Settings().catalog)
    folder.mkdir(parents=True, exist_ok=True)
    if dialect == "gx":
        err.print(f"wrote {_suites(catalog, folder)} suites into {folder}")
    else:
        err.print(f"wrote {_queries(catalog, folder)} rules into {folder}")


def _suites(catalog: Catalog, folder: Path) -> int:
    import json

    from quality_checks import rule_book, runner

    suites = rule_book.suites(catalog)
    for suite in suites:
        text = json.dumps(runner.exported(suite), ensure_ascii=False, indent=1)
        (folder / f"{suite.title}.json").write_text(text, encoding="utf-8")
    return len(suites)


def _queries(catalog: Catalog, folder: Path) -> int:
    from pipelines.console import err
    from quality_checks import rule_book, spark

    written = 0
    for suite in rule_book.suites_by_rule(catalog):
        [rule] = suite.rules
        try:
            query = spark.failing(suite, rule)
        except spark.NotInSparkError as why:
            err.print(f"{rule.id}: {why}")
            continue
        (folder / f"{rule.id}.sql").write_text(
            f"-- {_line(rule.zh)}\n-- {_line(rule.en)}\n{query};\n", encoding="utf-8"
        )
        written += 1
    return written


def _line(text: str) -> str:
    return " ".join(text.split())


@rules_app.command("docs")
def docs(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="gets the site; open its index.html")],
    as_of: Day = None,
) -> None:
    """Write the results of a day as Data Docs of Great Expectations, an extra beside the quality report.

    Its style sheets and scripts come from the internet: without it the pages are plain text. They hold no value of a
    record.
    """
    from pipelines.console import err
    from pipelines.settings import Settings
    from quality_checks import data_docs
    from resources.home import Home

    validations = Home(Settings().home).validations
    days = data_docs.days(validations) if validations.is_dir() else []
    if not days:
        raise typer.BadParameter(f"no results are stored in {validations}; shuyuan run makes them")
    day = day_of(as_of) or days[-1]
    one_of("--as-of", str(day), map(str, days))
    if folder.resolve().is_relative_to(validations.parent.resolve()):
        raise typer.BadParameter(f"{folder} lies in the home, which holds other things")
    try:
        count = data_docs.build(validations, day, folder)
    except FileExistsError as error:
        raise typer.BadParameter(str(error)) from error
    err.print(f"wrote {count} results of {day} into {folder}")
