"""What one jurisdiction decides: weights, grades, small samples, clocks of orders, and who is listed for rectification.

The national standard (GB/T 36344-2018) defines indicators and fixes neither weights nor grades; Order 809 fixes ten
working days and no reminder, extension or ladder. Read from `jurisdiction.yaml` at the root of the catalogue; without
that file the values here hold.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from catalog.channels import Channel
from catalog.frozen import Frozen, Text, Title
from catalog.indicators import Dimension, Indicator, known_indicator
from catalog.rules import Severity

Weight = Annotated[int, Field(ge=0, le=1000)]


class Grade(Frozen):
    """A grade begins at this percentage; a score belongs to the first grade of the list that it reaches."""

    title: Title
    from_: float = Field(alias="from", ge=0, le=100)
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Weights(Frozen):
    """A weight scheme: whole numbers relative to one another, 1 for what is not named, 0 leaves it out.

    A dimension's score is the mean of its indicators by `indicators`, the total the mean of dimensions by `dimensions`.
    """

    name: Text = "等权 equal weights"
    dimensions: dict[Dimension, Weight] = Field(default_factory=dict)
    indicators: dict[Indicator, Weight] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Weights:
        for code in self.indicators:
            known_indicator(code)
        return self


# A common local choice, seen in an open project; neither GB/T 36344-2018 nor a city's rule we read states one.
_USUAL = (("优", "excellent", 95), ("良", "good", 80), ("中", "fair", 60), ("差", "poor", 0))


ResourceId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
Days = Annotated[int, Field(ge=1, le=250)]
# Whom an order that is overdue is taken to, in this order; a level may be left out.
LADDER = ("steward", "department_head", "bureau", "supervision_list")


class Rung(Frozen):
    """An order reaches this level so many working days after its last day for the reply."""

    level: Literal["steward", "department_head", "bureau", "supervision_list"]
    after: Days


_LADDER = tuple(Rung(level=level, after=after) for level, after in zip(LADDER, (1, 3, 5, 10), strict=True))


class Clock(Frozen):
    """When a department's answer to a correction order is due, in working days after the day of the notice.

    A resource's own number holds before a severity's, that before `working_days`. `extension` is the most that the one
    extension may add, 0 allows none; `remind` says how many working days before the last one is reminded.
    """

    working_days: Days = 10  # 政务数据共享条例 (Order 809) art. 26
    severities: dict[Severity, Days] = Field(default_factory=dict)
    resources: dict[ResourceId, Days] = Field(default_factory=dict)
    extension: int = Field(default=10, ge=0, le=250)  # as art. 21 allows for an application; art. 26 says nothing of it
    remind: tuple[Days, ...] = (3,)
    escalate: tuple[Rung, ...] = _LADDER
    basis: Text = "政务数据共享条例（国令第809号）第二十六条 Order 809 art. 26"  # stands in notices

    @model_validator(mode="after")
    def _upwards(self) -> Clock:
        places = [LADDER.index(rung.level) for rung in self.escalate]
        waits = [rung.after for rung in self.escalate]
        if places != sorted(set(places)) or waits != sorted(set(waits)):
            raise ValueError(
                f"escalate: each level once, in the order {', '.join(LADDER)}, each later than the one before"
            )
        if len(set(self.remind)) != len(self.remind):
            raise ValueError("remind: each number once")
        return self

    def days(self, resource: str, severity: str) -> int:
        """Working days for an order about `<department>.<resource>` of that severity."""
        return self.resources.get(resource, self.severities.get(Severity(severity), self.working_days))


Percent = Annotated[int, Field(ge=0, le=100)]


class Rectification(Frozen):
    """Who is put on the monthly list for rectification 限期整改, and how many working days they are given.

    An order that is so many working days over its last day; a department that answered a smaller share of what was due
    in time, or whose corrections failed again in a larger share. No share of a small sample puts anybody on the list.
    """

    overdue: Days = 10  # as the last level of the ladder
    in_time: Percent = 80
    relapses: Percent = 10
    within: Days = 10
    basis: Text = "政务数据共享条例（国令第809号）第三十八条、第三十九条 Order 809 art. 38, 39"


Share = Annotated[float, Field(gt=0, le=1)]


class Noise(Frozen):
    """When many findings have one cause, and when the bureau looks before a department is sent them.

    Systematic: at least `systematic_share` of at least `systematic_rows` rows fail one rule; a notice's workbook then
    shows `samples` of them. A storm: one delivery would open more than `storm_items` items in more than `storm_share`
    of its rows. The bureau is reminded of a hold every `hold_days` working days.
    """

    systematic_share: Share = 0.98
    systematic_rows: int = Field(default=100, ge=1)
    samples: int = Field(default=20, ge=1, le=1000)
    storm_items: int = Field(default=5_000, ge=1)
    storm_share: Share = 0.2
    hold_days: Days = 2


class Jurisdiction(Frozen):
    """The decisions of one city, county or province.

    `dispute_days`: working days a dispute has on a level (Order 809 art. 28 states none); a level not named has no end.
    """

    clock: Clock = Clock()
    noise: Noise = Noise()
    dispute_days: dict[Literal["negotiation", "authority", "superior", "government"], Days] = Field(
        default_factory=dict
    )
    channels: tuple[Channel, ...] = ()  # where the bureau's own notices (escalations) go besides its outbox folder

    rectification: Rectification = Rectification()
    small_sample: int = Field(default=30, ge=1)  # fewer counted things than this are marked
    weights: Weights = Weights()
    grades: tuple[Grade, ...] = tuple(Grade(title=Title(zh=zh, en=en), from_=at) for zh, en, at in _USUAL)

    @model_validator(mode="after")
    def _best_first(self) -> Jurisdiction:
        starts = [grade.from_ for grade in self.grades]
        if not starts or starts != sorted(set(starts), reverse=True) or starts[-1] != 0:
            raise ValueError("grades: the best first, each from a lower percentage, the last from 0")
        return self
