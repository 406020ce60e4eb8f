"""`shuyuan explain` and `shuyuan recall`: why a library says what it says, and who was told otherwise."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.cli_options import Json, day_of

app = typer.Typer()


@app.command()
def explain(
    library: Annotated[str, typer.Argument(help="e.g. population")],
    key: Annotated[str, typer.Argument(help="the entity's key in any of its spellings, or its entity_id")],
    attribute: Annotated[str | None, typer.Argument(help="the whole story of this one")] = None,
    masked: Annotated[
        bool, typer.Option("--masked", help="personal and sensitive values as other departments may see them")
    ] = False,
    as_json: Json = False,
) -> None:
    """Why does the library say this? Each value with its department, file and row, and what all others say.

    Values are shown as they are, as `shuyuan sql` does: this is for officers of the bureau that keeps the lake.
    """
    from assets.explain import explain as explained
    from assets.explain_text import told
    from catalog import load_catalog
    from pipelines.console import emit_json
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog), read_only=True) as city:
        found = explained(city, library, key, attribute, masked=masked)
        if as_json:
            emit_json(asdict(found))
        else:
            typer.echo(told(city.catalog, found, whole=attribute is not None))


@app.command()
def recall(
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="versions readers could see on that day or later")
    ] = None,
    as_json: Json = False,
) -> None:
    """Published versions of products that carried a value which was corrected later, with both values, masked."""
    from assets.recall import recalls
    from catalog import load_catalog
    from pipelines.console import emit_table
    from pipelines.installation import open_city
    from pipelines.settings import Settings

    settings = Settings()
    with open_city(settings, load_catalog(settings.catalog), read_only=True) as city:
        found = recalls(city, day_of(since))
    emit_table(found, title="published values that were corrected later", as_json=as_json)
