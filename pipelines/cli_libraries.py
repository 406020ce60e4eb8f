"""`shuyuan libraries …`: who has the say on what, how values came to stand, who agrees, who is missing, who copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli_options import Json, one_of

if TYPE_CHECKING:
    from assets.report_libraries import AttributeFigure, LibraryFigure
    from quality_checks.independence import Pair

libraries_app = typer.Typer(
    no_args_is_help=True, help="Base libraries 基础库: what the city believes, and on whose word (一数一源)."
)

Name = Annotated[str, typer.Argument(metavar="LIBRARY", help="name of a base library, e.g. population")]


@libraries_app.command("list")
def list_(as_json: Json = False) -> None:
    """Every library: entities, sources, attributes without authority (Order 809 art. 41), values in doubt."""
    from assets.report_libraries import collect_libraries
    from catalog import load_catalog
    from pipelines.console import emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    with open_city(settings, catalog, read_only=True) as city:
        figures = collect_libraries(city.con, catalog)
    rows = [
        {
            "library": name,
            "title": one.library.title.zh,
            "built": one.as_of,
            "entities": one.entities,
            "sources": one.sources,
            "attributes": len(one.attributes),
            "without_authority": ", ".join(attribute.name for attribute in one.without_authority),
            "authority_doubted": one.outcome("authority_doubted"),
            "undecided": one.outcome("undecided"),
            "measured": one.measured_on,
        }
        for name, one in figures.items()
    ]
    emit_table(rows, as_json=as_json)


@libraries_app.command("show")
def show(library: Name, as_json: Json = False) -> None:
    """One library: its registry and outcomes, who agrees with it, coverage, and sources that share errors."""
    from assets.report_libraries import collect_library
    from catalog import load_catalog
    from pipelines.console import emit_json, emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    one_of("LIBRARY", library, catalog.libraries)
    with open_city(settings, catalog, read_only=True) as city:
        figure = collect_library(city.con, catalog, catalog.libraries[library])
    tables = {
        "attributes": [_registry(one) for one in figure.attributes],
        "agreement": _agreement(figure),
        "coverage": _coverage(figure),
        "sharing_errors": [_pair(pair) for pair in figure.pairs if pair.shared],
    }
    if as_json:
        emit_json({"library": library, "as_of": figure.as_of, "entities": figure.entities, **tables})
        return
    titles = {
        "attributes": f"{library}: {figure.entities:,} entities as of {figure.as_of}; who has the say, and outcomes",
        "agreement": "what each source says: agrees, differs, says nothing",
        "coverage": "coverage: entities of one source that another must know",
        "sharing_errors": f"pairs of sources that share errors, measured {figure.measured_on or 'never'}",
    }
    for name, rows in tables.items():
        emit_table(rows, title=titles[name])


@libraries_app.command("measure")
def measure(library: Name, as_json: Json = False) -> None:
    """Measure which sources share errors; from the next build on a group of them has one vote.

    What sources share because both are right tells nothing. Errors are values that at least three other independent
    sources, and several times as many as state them, contradict. Few of them: nothing is said.
    """
    from assets import independence, passes
    from catalog import load_catalog
    from pipelines.console import emit_json, emit_table, err
    from pipelines.installation import RUN_LOCK, open_city
    from pipelines.settings import Settings
    from quality_checks.independence import members

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    one_of("LIBRARY", library, catalog.libraries)
    with open_city(settings, catalog) as city, city.server.lock(RUN_LOCK):
        day = passes.last_finished(city)
        if day is None:
            raise ValueError("no pass was finished yet: there is nothing to measure; run: shuyuan run")
        pairs = independence.measure(city, catalog.libraries[library], day, author="libraries measure")
    groups = members(pairs)
    if as_json:
        emit_json({"library": library, "measured_on": day, "groups": groups, "pairs": [_pair(pair) for pair in pairs]})
        return
    emit_table([_pair(pair) for pair in pairs if pair.shared], title="pairs of sources that share errors")
    told = "; ".join(" = ".join(group) for group in groups) or "none"
    err.print(f"{len(pairs)} pairs of sources measured; one vote each, from the next run on: {told}", soft_wrap=True)


def _registry(one: AttributeFigure) -> dict[str, object]:
    from assets.report_libraries import OUTCOMES

    stated = one.stated
    return {
        "attribute": one.name,
        "title": stated.title,
        "authority": ", ".join(map(str, one.says)) or None,
        "substitutes": ", ".join(stated.substitutes) or None,
        "otherwise": stated.otherwise,
        "doubted_by": stated.doubted_by,
        **{outcome: one.outcomes.get(outcome, 0) for outcome in OUTCOMES},
        "no_value": one.outcomes.get(None, 0),
    }


def _agreement(figure: LibraryFigure) -> list[dict[str, object]]:
    return [
        {
            "attribute": said.attribute,
            "source": f"{said.department}.{said.resource}",
            "agrees": said.agrees,
            "differs": said.differs,
            "silent": said.silent,
            "compared": said.compared,
            "compared_differs": said.compared_differs,
        }
        for one in figure.attributes
        for said in one.said
    ]


def _coverage(figure: LibraryFigure) -> list[dict[str, object]]:
    return [
        {
            "coverage": one.pair,
            "should_be_true": figure.library.coverage[one.pair].zh,
            "of": one.source,
            "in": ", ".join(one.expected_in),
            "known": one.numerator,
            "expected": one.denominator,
            "missing": one.denominator - one.numerator,
        }
        for one in figure.covered
    ]


def _pair(pair: Pair) -> dict[str, object]:
    return {
        "one": pair.one,
        "other": pair.other,
        "attributes": ", ".join(pair.attributes),
        "both_state": pair.cells,
        "errors_of_one": pair.errors,
        "repeated_by_other": pair.shared,
        "by_chance": pair.expected,
        "weight": pair.weight,
        "one_vote": pair.together,
    }
