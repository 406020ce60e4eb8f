"""Stock expectations of Great Expectations that a rule may state, each with its predicate as SQL.

Great Expectations counts the records that break one, our own pass collects them: both by the predicate here. What is
about a table and not about its records (row count, columns, aggregates) accuses nobody and is no rule: deliveries are
judged for it. `docs/expectation_cases.md` tells how each agrees with Great Expectations' own cases.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from itertools import combinations
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, StrictBool, StrictInt, StrictStr, model_validator

from catalog.frozen import Frozen

EXACT = 2**53  # Great Expectations holds a bound as a double: whole numbers beyond are not what was written

Value = StrictStr | StrictInt | Decimal
Values = Annotated[tuple[Value, ...], Field(min_length=1)]
Bound = StrictInt | Decimal | date | datetime
Length = Annotated[int, Field(ge=0)]
Pattern = Annotated[str, Field(min_length=1)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1)]
Columns = Annotated[tuple[str, ...], Field(min_length=2)]


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _literal(value: object) -> str:
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value}'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    return str(value) if isinstance(value, int | float | Decimal) else "'" + str(value).replace("'", "''") + "'"


def _found(column: str, regex: str) -> str:
    return f"regexp_matches({_name(column)}, {_literal(regex)})"


def _either(match_on: str, matched: list[str]) -> str:
    return (" OR " if match_on == "any" else " AND ").join(matched)


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(_literal, values))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


class _Expectation(Frozen):
    """What all have: GX's own name for the arguments beside `column`, which is the rule's."""

    def arguments(self) -> dict[str, object]:
        """The arguments as Great Expectations takes them."""
        told = self.model_dump(exclude={"type"}, exclude_none=True)
        return {key: _plain(value) for key, value in told.items()}

    def predicate(self, column: str) -> str | None:
        """SQL over a record: true, false, or null where it says nothing; None where other records decide."""
        raise NotImplementedError

    def unique_in(self, column: str) -> tuple[str, ...]:  # noqa: ARG002
        """The columns in which no two records may agree."""
        return ()

    def columns_read(self) -> tuple[str, ...]:
        """The columns it names."""
        return ()


class Stated(_Expectation):
    """Whether there is a value at all."""

    type: Literal["expect_column_values_to_not_be_null", "expect_column_values_to_be_null"]

    def predicate(self, column: str) -> str:
        """Never null: a blank is what it judges."""
        return f"{_name(column)} IS {'NOT ' if 'not' in self.type else ''}NULL"


class Listed(_Expectation):
    """One of these values, or none of them."""

    type: Literal["expect_column_values_to_be_in_set", "expect_column_values_to_not_be_in_set"]
    value_set: Values

    def predicate(self, column: str) -> str:
        """A list of values."""
        return f"{_name(column)} {'NOT ' if 'not' in self.type else ''}IN ({_listed(self.value_set)})"


class _Range(_Expectation):
    strict_min: StrictBool = False
    strict_max: StrictBool = False

    def _within(self, value: str, least: object, most: object) -> str:
        lower = f"{value} {'>' if self.strict_min else '>='} {_literal(least)}" if least is not None else ""
        upper = f"{value} {'<' if self.strict_max else '<='} {_literal(most)}" if most is not None else ""
        return " AND ".join(filter(None, (lower, upper)))

    @model_validator(mode="after")
    def _bounds(self) -> _Range:
        bounds: list[Any] = [getattr(self, name, None) for name in ("min_value", "max_value")]
        least, most = bounds
        if least is None and most is None:
            raise ValueError("state min_value, max_value or both")
        try:
            crossed = least is not None and most is not None and least > most
        except TypeError:
            raise ValueError("min_value and max_value must be of one kind: numbers, dates or times") from None
        if crossed:
            raise ValueError(f"min_value = {least} is above max_value = {most}")
        if any(isinstance(bound, int | Decimal) and not -EXACT <= bound <= EXACT for bound in bounds):
            raise ValueError(f"a bound beyond {EXACT} is not exact in Great Expectations: state it as `that`")
        return self


class Between(_Range):
    """A number, date or time from `min_value` to `max_value`, both included unless strict."""

    type: Literal["expect_column_values_to_be_between"]
    min_value: Bound | None = None
    max_value: Bound | None = None

    def predicate(self, column: str) -> str:
        """A text column does not bind."""
        return self._within(_name(column), self.min_value, self.max_value)


class Lengths(_Range):
    """A text of so many characters."""

    type: Literal["expect_column_value_lengths_to_be_between"]
    min_value: Length | None = None
    max_value: Length | None = None

    def predicate(self, column: str) -> str:
        """Characters are Unicode code points."""
        return self._within(f"length({_name(column)})", self.min_value, self.max_value)


class LengthIs(_Expectation):
    """A text of exactly so many characters."""

    type: Literal["expect_column_value_lengths_to_equal"]
    value: Length

    def predicate(self, column: str) -> str:
        """Characters are Unicode code points."""
        return f"length({_name(column)}) = {self.value}"


class Regex(_Expectation):
    """A text in which the regular expression (RE2) is found somewhere, or nowhere."""

    type: Literal["expect_column_values_to_match_regex", "expect_column_values_to_not_match_regex"]
    regex: Pattern

    def predicate(self, column: str) -> str:
        """Found anywhere: `^` and `$` for the whole text."""
        return f"{'NOT ' if 'not' in self.type else ''}{_found(column, self.regex)}"


class RegexList(_Expectation):
    """A text in which any, or all, of the regular expressions (RE2) are found."""

    type: Literal["expect_column_values_to_match_regex_list"]
    regex_list: Patterns
    match_on: Literal["any", "all"] = "any"

    def predicate(self, column: str) -> str:
        """Found anywhere."""
        return _either(self.match_on, [_found(column, one) for one in self.regex_list])


class NoRegex(_Expectation):
    """A text in which none of the regular expressions (RE2) is found."""

    type: Literal["expect_column_values_to_not_match_regex_list"]
    regex_list: Patterns

    def predicate(self, column: str) -> str:
        """Found nowhere."""
        return " AND ".join(f"NOT {_found(column, one)}" for one in self.regex_list)


class Like(_Expectation):
    """A text that is, or is not, of the SQL pattern: % for any text, _ for one character; case counts."""

    type: Literal["expect_column_values_to_match_like_pattern", "expect_column_values_to_not_match_like_pattern"]
    like_pattern: Pattern

    def predicate(self, column: str) -> str:
        """Without an escape character."""
        return f"{_name(column)} {'NOT ' if 'not' in self.type else ''}LIKE {_literal(self.like_pattern)}"


class LikeList(_Expectation):
    """A text that is of any, or all, of the SQL patterns."""

    type: Literal["expect_column_values_to_match_like_pattern_list"]
    like_pattern_list: Patterns
    match_on: Literal["any", "all"] = "any"

    def predicate(self, column: str) -> str:
        """Without an escape character."""
        return _either(self.match_on, [f"{_name(column)} LIKE {_literal(one)}" for one in self.like_pattern_list])


class NoLike(_Expectation):
    """A text that is of none of the SQL patterns."""

    type: Literal["expect_column_values_to_not_match_like_pattern_list"]
    like_pattern_list: Patterns

    def predicate(self, column: str) -> str:
        """Without an escape character."""
        return " AND ".join(f"{_name(column)} NOT LIKE {_literal(one)}" for one in self.like_pattern_list)


class Unique(_Expectation):
    """No two records have one value."""

    type: Literal["expect_column_values_to_be_unique"]

    def predicate(self, column: str) -> None:
        """Other records decide."""

    def unique_in(self, column: str) -> tuple[str, ...]:
        """The rule's column."""
        return (column,)


class _Pair(_Expectation):
    column_A: str  # noqa: N815  # as Great Expectations spells it
    column_B: str  # noqa: N815
    ignore_row_if: Literal["either_value_is_missing"]  # what goes unsaid means otherwise in Great Expectations

    def columns_read(self) -> tuple[str, ...]:
        """Both."""
        return (self.column_A, self.column_B)


class PairEqual(_Pair):
    """Two columns of one record are equal, where both are stated."""

    type: Literal["expect_column_pair_values_to_be_equal"]

    def predicate(self, column: str) -> str:  # noqa: ARG002
        """A blank is the business of `required`."""
        return " = ".join(map(_name, self.columns_read()))


class PairGreater(_Pair):
    """The first of two columns is greater than the second, where both are stated."""

    type: Literal["expect_column_pair_values_a_to_be_greater_than_b"]
    or_equal: StrictBool = False

    def predicate(self, column: str) -> str:  # noqa: ARG002
        """A blank is the business of `required`."""
        return (" >= " if self.or_equal else " > ").join(map(_name, self.columns_read()))


class PairListed(_Pair):
    """The values of two columns are one of these pairs, where both are stated."""

    type: Literal["expect_column_pair_values_to_be_in_set"]
    value_pairs_set: Annotated[tuple[tuple[Value, Value], ...], Field(min_length=1)]

    def predicate(self, column: str) -> str:  # noqa: ARG002
        """A blank is the business of `required`."""
        first, second = map(_name, self.columns_read())
        pairs = " OR ".join(f"({first} = {_literal(a)} AND {second} = {_literal(b)})" for a, b in self.value_pairs_set)
        return f"CASE WHEN {first} IS NOT NULL AND {second} IS NOT NULL THEN {pairs} END"


class _Columns(_Expectation):
    column_list: Columns
    ignore_row_if: Literal["any_value_is_missing"]  # what goes unsaid means otherwise in Great Expectations

    def columns_read(self) -> tuple[str, ...]:
        """All of them."""
        return self.column_list


class UniqueTogether(_Columns):
    """No two records have the same values in all of these columns, where all are stated."""

    type: Literal["expect_compound_columns_to_be_unique"]

    def predicate(self, column: str) -> None:
        """Other records decide."""

    def unique_in(self, column: str) -> tuple[str, ...]:  # noqa: ARG002
        """All of them."""
        return self.column_list


class DifferWithin(_Columns):
    """No two of these columns of one record have the same value, where all are stated."""

    type: Literal["expect_select_column_values_to_be_unique_within_record"]

    def predicate(self, column: str) -> str:  # noqa: ARG002
        """A blank is the business of `required`."""
        differ = " AND ".join(f"{_name(a)} <> {_name(b)}" for a, b in combinations(self.column_list, 2))
        known = " AND ".join(f"{_name(one)} IS NOT NULL" for one in self.column_list)
        return f"CASE WHEN {known} THEN {differ} END"


class Total(_Columns):
    """These columns of one record add up to a number, where all are stated."""

    type: Literal["expect_multicolumn_sum_to_equal"]
    sum_total: StrictInt | Decimal

    def predicate(self, column: str) -> str:  # noqa: ARG002
        """A blank is the business of `required`."""
        return f"{' + '.join(map(_name, self.column_list))} = {_literal(self.sum_total)}"


_Any = (
    Stated | Listed | Between | Lengths | LengthIs | Regex | RegexList | NoRegex | Like | LikeList | NoLike | Unique
    | UniqueTogether | PairEqual | PairGreater | PairListed | DifferWithin | Total
)  # fmt: skip
Expect = Annotated[_Any, Discriminator("type")]
KINDS: dict[str, type[_Expectation]] = {
    name: kind for kind in get_args(_Any) for name in get_args(kind.model_fields["type"].annotation)
}
