"""What one jurisdiction decides about scores: weights, grades, and how few counted things make a small sample.

The national standard (GB/T 36344-2018) defines indicators and fixes neither weights nor grades. Read from
`jurisdiction.yaml` at the root of the catalogue; without that file the values here hold.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from catalog.frozen import Frozen, Text
from catalog.models import Dimension, Indicator, Title, known_indicator

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


class Jurisdiction(Frozen):
    """The decisions of one city, county or province."""

    small_sample: int = Field(default=30, ge=1)  # fewer counted things than this are marked
    weights: Weights = Weights()
    grades: tuple[Grade, ...] = tuple(Grade(title=Title(zh=zh, en=en), from_=at) for zh, en, at in _USUAL)

    @model_validator(mode="after")
    def _best_first(self) -> Jurisdiction:
        starts = [grade.from_ for grade in self.grades]
        if not starts or starts != sorted(set(starts), reverse=True) or starts[-1] != 0:
            raise ValueError("grades: the best first, each from a lower percentage, the last from 0")
        return self
