"""What every statement of the catalogue is: a value that cannot change after it was read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Sql = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
RuleId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=120)]


class Frozen(BaseModel):
    """A value that rejects unknown keys and cannot change after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Title(Frozen):
    """A name in Chinese, as the department writes it, and in English."""

    zh: Text
    en: Text
