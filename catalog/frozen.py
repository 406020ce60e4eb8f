"""What every statement of the catalogue is: a value that cannot change after it was read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Sql = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Frozen(BaseModel):
    """A value that rejects unknown keys and cannot change after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
