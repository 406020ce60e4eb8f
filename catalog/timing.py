"""How old a resource's delivery may be and how much it usually holds, where its cycle's own figures do not fit.

Both are optional statements of a resource; how old what a thematic table is made from may be is one of the table. Who
judges deliveries by them is `quality_checks.punctuality`, tables `quality_checks.contracts`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from catalog.frozen import Frozen

Reason = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class MaxAge(Frozen):
    """How old a delivery may be before the next one is late: `days` and then `working_days` after its as-of date, or
    `minutes` after it arrived.
    """

    days: int = Field(default=0, ge=0, le=800)
    working_days: int = Field(default=0, ge=0, le=250)
    minutes: int = Field(default=0, ge=0, le=1440)

    @model_validator(mode="after")
    def _one_clock(self) -> MaxAge:
        if bool(self.minutes) == bool(self.days or self.working_days):
            raise ValueError("state either minutes, or days and working_days, more than 0")
        return self


class Freshness(Frozen):
    """How old the deliveries behind a thematic table may be: `days` and then `working_days` after the as-of date of
    the oldest. `sources` gives single resources an age of their own, such as a yearly register among daily ones.
    """

    days: int = Field(default=0, ge=0, le=800)
    working_days: int = Field(default=0, ge=0, le=250)
    sources: dict[str, MaxAge] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_days(self) -> Freshness:
        if not (self.days or self.working_days):
            raise ValueError("state days and working_days, more than 0")
        for name, age in self.sources.items():
            if age.minutes:
                raise ValueError(f"sources.{name}: state days and working_days; a table is made once a pass")
        return self

    def of(self, resource: str) -> MaxAge:
        """The age that the newest delivery of a resource, by its id, may have."""
        return self.sources.get(resource) or MaxAge(days=self.days, working_days=self.working_days)


class AcceptedVolume(Frozen):
    """The bureau's word that an unusual volume is right, with its reason.

    Without `to` it changed for good: deliveries as of `from` and later start a new usual volume, what came before does
    not count any more. With `to` the deliveries between are usual for their season, as a closed month is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    from_: date = Field(alias="from")
    to: date | None = None
    reason: Reason

    @model_validator(mode="after")
    def _forwards(self) -> AcceptedVolume:
        if self.to and self.to < self.from_:
            raise ValueError(f"to = {self.to} is before from = {self.from_}")
        return self


class Volume(Frozen):
    """What is usual for a resource: the share by which full deliveries may differ at least, and accepted changes."""

    band: float | None = Field(default=None, gt=0, le=10)
    accepted: tuple[AcceptedVolume, ...] = ()
