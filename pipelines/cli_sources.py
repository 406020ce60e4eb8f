"""`shuyuan pull`: what is new at the departments' own places, now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.cli_options import Json

app = typer.Typer()


@app.command()
def pull(
    department: Annotated[
        list[str] | None, typer.Option("--department", help="only this department's; may be repeated")
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", help="only this one, <department>.<resource>; may be repeated")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="everything once more, after a department restored or replaced its data")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring what is new from each resource's source into landing; a run takes it in.

    One source that fails stops no other. Exit 1 when any failed, 0 when all went well, new files or not.
    """
    from assets import pulls
    from catalog import load_catalog
    from pipelines.console import emit_json, emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    catalog = load_catalog(settings.catalog)
    chosen = pulls.named(list(catalog.resources.values()), department or (), resource or ())
    with open_city(settings, catalog) as city:
        done = pulls.pull(city, chosen, settings.vault(), again=again)
    if as_json:
        emit_json([{**asdict(one), "outcome": one.outcome} for one in done])
    else:
        emit_table(
            [
                {"resource": one.resource, "outcome": one.outcome, "files": "\n".join(one.files), "bytes": one.bytes,
                 "still being written": "\n".join(one.waiting), "why": one.failure}
                for one in done
            ],
            title="sources",
        )  # fmt: skip
    if any(one.failure for one in done):
        raise typer.Exit(1)
