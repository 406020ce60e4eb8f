"""`shuyuan identity …`: who is who where records state no number: cases for people, decisions, learning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli_options import Json, one_of

if TYPE_CHECKING:
    from catalog.models import Library
    from resources.city import City

identity_app = typer.Typer(
    no_args_is_help=True, help="Who is who 身份认定: records without a number, merges and splits."
)

By = Annotated[str, typer.Option("--by", help="who decides")]
Reason = Annotated[str, typer.Option("--reason", help="why; it stays on record")]
LibraryName = Annotated[str, typer.Argument(help="e.g. population")]


@contextmanager
def _city() -> Iterator[City]:
    from catalog import load_catalog
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog)) as city:
        yield city


def _library(city: City, name: str) -> Library:
    one_of("LIBRARY", name, city.catalog.libraries)
    return city.catalog.libraries[name]


@contextmanager
def _told() -> Iterator[None]:
    """A decision that cannot be taken is wrong usage."""
    from assets.identity_cases import CaseError

    try:
        yield
    except CaseError as error:
        raise typer.BadParameter(str(error)) from None


@identity_app.command("review")
def review(
    library: Annotated[str | None, typer.Option("--library", help="only this library")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="show keys and numbers unmasked")] = False,
    as_json: Json = False,
) -> None:
    """Open cases, the likeliest first: a record without a number, and an entity that it may belong to."""
    from assets import identity_cases
    from pipelines.console import emit_table

    with _city() as city:
        libraries = [_library(city, library)] if library else list(city.catalog.libraries.values())
        rows = identity_cases.open_cases(city, libraries, clear=clear)
    emit_table([asdict(row) for row in rows], title=f"{len(rows):,} open cases", as_json=as_json)


@identity_app.command("decide")
def decide(
    case: Annotated[str, typer.Argument(help="as in `identity review`")],
    verdict: Annotated[str, typer.Argument(help="same or different")],
    by: By,
    reason: Reason,
) -> None:
    """Say whether the record belongs to the entity; no model overturns it. The next pass acts on it."""
    from assets import identity_cases
    from pipelines.console import err

    one_of("VERDICT", verdict, ("same", "different"))
    with _city() as city, _told():
        identity_cases.decide(city, case, verdict, by=by, reason=reason)  # type: ignore[arg-type]  # checked above
    err.print(f"{case}: {verdict}; the next pass acts on it")


@identity_app.command("merge")
def merge(
    library: LibraryName,
    survivor: Annotated[str, typer.Argument(help="key of the entity that stays")],
    other: Annotated[str, typer.Argument(help="key of the entity that becomes part of it")],
    by: By,
    reason: Reason,
) -> None:
    """Two entities are one: the other's key and id become aliases of the survivor."""
    from assets import identity_cases
    from pipelines.console import err

    with _city() as city, _told():
        identity_cases.merge(city, _library(city, library), survivor, other, by=by, reason=reason)
    err.print("merged; the next pass acts on it")


@identity_app.command("split")
def split(
    library: LibraryName,
    key: Annotated[str, typer.Argument(help="key that was merged and is to stand for itself again")],
    by: By,
    reason: Reason,
) -> None:
    """Undo a merge: the key gets its own entity back, with the id it had."""
    from assets import identity_cases
    from pipelines.console import err

    with _city() as city, _told():
        identity_cases.split(city, _library(city, library), key, by=by, reason=reason)
    err.print("split; the next pass acts on it")


@identity_app.command("relink")
def relink(library: LibraryName, by: By, reason: Reason) -> None:
    """Let the stored model make again what earlier models linked; without this such links stay."""
    from assets import identity_cases
    from pipelines.console import err

    with _city() as city, _told():
        model = identity_cases.relink(city, _library(city, library), by=by, reason=reason)
    err.print(f"links are made anew by model {model} in the next pass")


@identity_app.command("train")
def train(
    library: LibraryName,
    out: Annotated[Path | None, typer.Option("--out", help="write the proposed model to this file")] = None,
    as_json: Json = False,
) -> None:
    """Learn a model from the pools, without labels; show its weights and what it would change. Runs use the stored one.

    To adopt it, put the file into the catalogue as libraries/<library>.model.json.
    """
    from assets import identity_training
    from pipelines.console import emit_json, emit_table, err
    from quality_checks.identity_model import IdentityError

    with _city() as city:
        try:
            made = identity_training.train(city, _library(city, library))
        except IdentityError as error:
            raise typer.BadParameter(str(error)) from None
    if out:
        out.write_text(made.model.as_json(), encoding="utf-8")
    told = {**asdict(made), "model": made.model.id, "weights": made.model.weights()}
    if as_json:
        emit_json(told)
        return
    weights = made.model.weights()
    emit_table(
        [
            {"feature": f, "level": level, "bits": bits}
            for f, levels in weights.items()
            for level, bits in levels.items()
        ],
        title=f"model {made.model.id} (stored: {made.stored or 'none'})",
    )
    err.print(
        f"{made.records:,} records without a number, {made.entities:,} entities\nstored model: {made.before}\n"
        f"proposed:     {made.after}\nrecords whose entity would be another: {made.changed:,}"
        + (f"\nwritten to {out}" if out else "")
    )
