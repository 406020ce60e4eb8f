"""Who is expected where: entities that one source of a library speaks of and another one must know too."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from catalog.frozen import Frozen, Sql, Text

ResourceId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=97)]


def _several(stated: object) -> object:
    return [stated] if isinstance(stated, str) else stated


class Coverage(Frozen):
    """Every entity that `of` speaks of and that meets `when` is known to the source `in`, or to one of several.

    `zh` and `en` say so in a sentence that should be true. `when` is SQL over the columns of the library, for instance
    `ended_on is null`: who is dead need not be insured.
    """

    zh: Text
    en: Text
    of: ResourceId
    in_: Annotated[
        tuple[ResourceId, ...],
        Field(alias="in", min_length=1),
        BeforeValidator(_several, json_schema_input_type=ResourceId | tuple[ResourceId, ...]),
    ]
    when: Sql = "true"
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
