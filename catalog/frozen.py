"""What every statement of the catalogue is: a value that cannot change after it was read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that rejects unknown keys and cannot change after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
