"""Rules a table suggests: what nearly all of its records keep, for a steward to accept as a rule or to throw away.

A new kind of suggestion is a function from `_Sample` to unmeasured suggestions, listed in `_KINDS`. Candidates are
learned from a sample; what holds and what is flagged is counted over the whole relation. No value of a personal or
sensitive column stands in a suggestion. Nothing here is applied: rules come from the catalogue, and who evaluates them
is `quality_checks.runner`.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations, islice
from typing import Any, Literal

import yaml
from duckdb import DuckDBPyConnection

from catalog.columns import Column, ColumnType
from quality_checks.macros import name, quote

SAMPLE = 100_000  # records the candidates are learned from; about so many when the table is larger
FEWEST = 50  # records with a value below which a column says nothing
MOST_FLAGGED = 0.05  # share of the records a rule applies to: what more of them break is another fact, not a rule
MOST_SECOND = 1 / 3  # share of values that may be numbers in a second notation: with one ending, such as %
RARE = 10  # what is left out of a list or a pattern is so many times rarer than what stands in it
NEAR = 0.25  # edits per character up to which a rare text is taken for a misspelling of a frequent one
SHORTEST_NEAR = 4  # characters: shorter texts are all near each other
MOST_CODES = 50
MOST_NUMBERS = 10  # codes of a list that look like numbers
USES = 20  # records per code that make a column a list of codes
MOST_VALUES = 2_000  # distinct values up to which a column is looked at as a list of codes
MOST_SHAPES = 5
FIXED = 4  # digits from which numbers of one length are taken for codes
FENCE = 3.0  # Tukey's outer fences: so many times the interquartile range beyond the quartiles
MOST_BEYOND = 0.01  # share of values beyond the fences: more are a heavy tail
MOST_REPEATED = 0.01  # share of records that repeat a key
NUMBERED = 0.95  # distinct share of whole numbers from which they are taken for numbering
GROUP = 3  # records per value of the left side, on average
SUPPORT = 0.5  # share of records whose left side is there more than once
GAIN = 0.9  # of the errors of always saying the commonest value, what a dependency must spare (lambda)
MAJORITY = 0.5  # share of a group that must be exceeded by its commonest value before others are flagged
PAIR_GAIN = 0.5  # what a second column on the left must spare of the errors of either column alone
LEFT_SIDES = 2  # suggested for one column
MOST_PAIRS = 100  # left sides of two columns tried

NO_VALUE = ("", "-", "--", "/", "n/a", "na", "nan", "nil", "none", "null", "无", "未知", "不详", "不明", "暂无", "空")

Kind = Literal["required", "type", "range", "codes", "pattern", "unique", "depends"]
_INDICATORS: dict[Kind, str] = {
    "required": "0201", "type": "0302", "range": "0301", "codes": "0301", "pattern": "0302", "unique": "0304",
    "depends": "0402",
}  # fmt: skip
_WHOLE = "[+-]{0,1}(0|[1-9][0-9]{0,17})"
_NUMBER = rf"{_WHOLE}(\.[0-9]+){{0,1}}"
_NUMERIC = re.compile("(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE)$")
_DAY_0 = date(1970, 1, 1)

# Signs of a shape, each with the characters it stands for; what is none of them stands for itself.
_WORDS = {"α": r"[^\x00-\x7F\p{Han}\p{P}\p{S}\p{Z}]", "汉": r"\p{Han}"}
_APART = {**_WORDS, "9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}
_MIXED = {**_WORDS, "X": "[0-9A-Z]", "a": "[a-z]"}
_COUNTED = "9AX"  # signs whose number may matter; words have any length


@dataclass(frozen=True)
class Suggestion:
    """One rule and what speaks for it. Counts are records of the relation.

    `that` and `when` are SQL as in a rule. `unique` and `depends` have none: no two records are equal in all of `by`,
    or those that are have one `column`. `flagged` records break it today. `suggest` is SQL for the value instead.
    """

    kind: Kind
    column: str
    zh: str
    en: str
    that: str = ""
    when: str = "true"
    by: tuple[str, ...] = ()
    suggest: str | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    flagged: int = 0

    @property
    def indicator(self) -> str:
        return _INDICATORS[self.kind]


def suggest(con: DuckDBPyConnection, relation: str, columns: Mapping[str, Column]) -> list[Suggestion]:
    """What the relation, a query or a table, suggests for these of its columns, by column and kind.

    What a column's declaration says already is not suggested again.
    """
    kinds = _types(con, relation)
    columns = {column: stated for column, stated in columns.items() if column in kinds}
    if not columns:
        return []
    sample = _Sample(con, relation, columns, kinds)
    try:
        found = [one for kind in _KINDS for one in kind(sample)]
    finally:
        con.execute("DROP TABLE IF EXISTS temp.suggestion_sample")
    places = {column: place for place, column in enumerate(columns)}
    measured = [one for one in measure(con, relation, found) if _holds(one)]
    return sorted(measured, key=lambda one: (places[one.column], list(_INDICATORS).index(one.kind)))


def dependency(column: str, by: Sequence[str], columns: Mapping[str, Column] | None = None) -> Suggestion:
    """That records equal in all of `by` have one `column`; titles come from `columns`."""
    titles = {named: columns[named].title if columns else named for named in (column, *by)}
    partition = ", ".join(map(name, by))
    return Suggestion(
        kind="depends",
        column=column,
        zh=f"{'、'.join(titles[left] for left in by)}相同的记录，{titles[column]}应相同",
        en=f"records with one {' and one '.join(map(_words, by))} have one {_words(column)}",
        by=tuple(by),
        suggest=f"mode({name(column)}) OVER (PARTITION BY {partition})",
    )


def flagged(con: DuckDBPyConnection, relation: str, suggestion: Suggestion, *, majority: float = MAJORITY) -> str:
    """Query of the cells a suggestion flags: `row_key`, `column_name`.

    The row key is `_record_key` where the relation has it, else the number of the row, from 1. A dependency flags the
    records without the commonest value of their group, if more than `majority` of the group have that value, else
    nobody; 0 asks for the commonest value alone. A repeated key flags its first column in every record that has it.
    """
    kinds = _types(con, relation)
    key = name("_record_key") if "_record_key" in kinds else "row_number() OVER ()"
    records = f"(SELECT {key} AS _row_key, * FROM {_source(relation)})"
    cell = f"_row_key AS row_key, {quote(suggestion.column)} AS column_name"
    by = ", ".join(map(name, suggestion.by))
    there = " AND ".join(f"{name(column)} IS NOT NULL" for column in suggestion.by)
    if suggestion.kind == "unique":
        return f"SELECT {cell} FROM {records} WHERE {there} QUALIFY count(*) OVER (PARTITION BY {by}) > 1"
    if suggestion.kind == "depends":
        value = name(suggestion.column)
        group = f"OVER (PARTITION BY {by})"
        counted = (
            f"SELECT {by}, {value}, count(*) AS _n, max(count(*)) {group} AS _most, sum(count(*)) {group} AS _whole"
            f" FROM {_source(relation)} WHERE {there} AND {value} IS NOT NULL GROUP BY {by}, {value}"
        )
        rare = f"(SELECT {by}, {value} FROM ({counted}) WHERE _n < _most AND _most > {majority} * _whole)"
        return f"SELECT {cell} FROM {records} JOIN {rare} USING ({by}, {value})"
    return f"SELECT {cell} FROM {records} WHERE ({suggestion.when}) AND NOT ({suggestion.that})"


def measure(con: DuckDBPyConnection, relation: str, suggestions: Iterable[Suggestion]) -> list[Suggestion]:
    """The suggestions with their counts over the whole relation: `rows`, `applies` to, `hold`, `share` that holds."""
    waiting = list(suggestions)
    counts = ["count(*)"]
    for one in waiting:
        needed = [*dict.fromkeys((*one.by, *([one.column] if one.kind == "depends" else [])))]
        when = (
            " AND ".join(f"{name(column)} IS NOT NULL" for column in needed)
            or f"({one.when}) AND ({one.that}) IN (true, false)"
        )
        counts.append(f"count_if({when})")
        counts.append(f"count_if(({one.when}) AND NOT ({one.that}))" if one.that else "NULL")
    rows, *figures = _row(con, f"SELECT {', '.join(counts)} FROM {_source(relation)}")
    found = []
    for one, applies, counted in zip(waiting, figures[::2], figures[1::2], strict=True):
        (broken,) = (counted,) if one.that else _row(con, f"SELECT count(*) FROM ({flagged(con, relation, one)})")
        share = round(1 - broken / applies, 4) if applies else 1.0
        told = {"rows": rows, "applies": applies, "hold": applies - broken, "share": share}
        found.append(replace(one, evidence={**told, **one.evidence}, flagged=broken))
    return found


def to_yaml(suggestions: Iterable[Suggestion], resource_id: str) -> str:
    """The suggestions as entries to paste under `rules:` of the resource, each below a comment with its evidence."""
    text = ""
    ids = Counter[str]()
    for one in suggestions:
        stem = f"{resource_id}.{one.column}.suggested_{one.kind}"
        ids[stem] += 1
        rule = {
            "id": stem if ids[stem] == 1 else f"{stem}_{ids[stem]}",
            **_statement(one),
            "column": one.column,
            "zh": one.zh,
            "en": one.en,
            "indicator": one.indicator,
            "severity": "warn",
            "source": "suggested by the profile of the data",
        }
        evidence = ", ".join(f"{what} {count:,}" for what, count in one.evidence.items())
        written = yaml.safe_dump([rule], allow_unicode=True, sort_keys=False, width=116)
        text += textwrap.indent(f"# flags {one.flagged:,} records today; {evidence}\n{written}", "  ")
    return text


def _statement(one: Suggestion) -> dict[str, str | list[str]]:
    if not one.that:
        return {one.kind: list(one.by)}
    when = {} if one.when == "true" else {"when": one.when}
    return {"that": one.that, **when, **({"suggest": one.suggest} if one.suggest else {})}


def is_blank(column: str) -> str:
    """SQL: whether a text column holds no value, or a word that says so."""
    return f"({name(column)} IS NULL OR {_said(column)} IN ({', '.join(map(quote, NO_VALUE))}))"


def _said(column: str) -> str:
    return f"lower(trim({name(column)}))"


def _words(column: str) -> str:
    return column.replace("_", " ")


def _source(relation: str) -> str:
    """What may stand after FROM."""
    return f"({relation})" if re.match(r"(?i)\s*((select|from|with)\b|\()", relation) else relation


def _types(con: DuckDBPyConnection, relation: str) -> dict[str, str]:
    described = con.execute(f"DESCRIBE SELECT * FROM {_source(relation)}").fetchall()
    return {column: kind for column, kind, *_ in described}


def _row(con: DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The one row of an aggregate."""
    row = con.execute(query).fetchone()
    assert row is not None  # noqa: S101
    return row


def _holds(one: Suggestion) -> bool:
    """Whether what the sample suggested is a rule on the whole relation too."""
    most = {"range": MOST_BEYOND, "unique": MOST_REPEATED}.get(one.kind, MOST_FLAGGED)
    if "second_notation" in one.evidence:
        most = MOST_SECOND
    return one.flagged <= most * one.evidence["applies"]


@dataclass(frozen=True)
class _Figures:
    """One column of the sample: SQL type, records with a value, distinct values, records with the commonest one."""

    kind: str
    stated: int
    distinct: int
    top: int
    no_value: tuple[str, ...]  # spellings of "no value" that occur

    @property
    def text(self) -> bool:
        return self.kind == "VARCHAR"


class _Sample:
    """The records candidates are learned from, as the temporary table `suggestion_sample`, and their figures.

    A record is in the sample by a hash of its values, so that the order of the records does not matter.
    """

    table = "temp.suggestion_sample"

    def __init__(
        self, con: DuckDBPyConnection, relation: str, columns: Mapping[str, Column], kinds: Mapping[str, str]
    ) -> None:
        self.con, self.relation, self.columns = con, relation, columns
        picked = ", ".join(map(name, self.columns))
        (rows,) = _row(con, f"SELECT count(*) FROM {_source(relation)}")
        step = max(1, rows // SAMPLE)
        some = f" WHERE hash({picked}) % {step} = 0" if step > 1 else ""
        con.execute(f"CREATE OR REPLACE TEMP TABLE suggestion_sample AS SELECT {picked} FROM {_source(relation)}{some}")
        (self.rows,) = self.row("count(*)")
        self.figures = {column: self._figures(column, kinds[column]) for column in self.columns}
        self.typed: dict[str, ColumnType] = {}  # text columns whose type was suggested
        self.coded: set[str] = set()  # text columns whose list was suggested

    def row(self, figures: str, condition: str = "true") -> tuple[Any, ...]:
        return _row(self.con, f"SELECT {figures} FROM {self.table} WHERE {condition}")

    def _figures(self, column: str, kind: str) -> _Figures:
        value = name(column)
        words: tuple[str, ...] = ()
        if kind == "VARCHAR":
            listed = f"list_sort(list(DISTINCT {_said(column)}))"
            words = tuple(self.row(listed, f"{value} IS NOT NULL AND {is_blank(column)}")[0] or ())
        there = f"{value} IS NOT NULL" if not words else f"NOT {is_blank(column)}"
        counted = f"SELECT count(*) AS _n FROM {self.table} WHERE {there} GROUP BY {value}"
        figures = "coalesce(sum(_n), 0)::BIGINT, count(*), coalesce(max(_n), 0)"
        stated, distinct, top = _row(self.con, f"SELECT {figures} FROM ({counted})")
        return _Figures(kind, stated, distinct, top, words)

    def told(self, column: str) -> str:
        """SQL: whether a record has a value of the column, for a condition that answers null for null."""
        words = self.figures[column].no_value
        return f"{_said(column)} NOT IN ({', '.join(map(quote, words))})" if words else "true"

    def chosen(self, *, text: bool, undeclared: bool = False, open_: bool = False) -> Iterator[tuple[str, Column]]:
        """Columns with enough values: texts or others, those not declared codes, those whose values may be told."""
        for column, stated in self.columns.items():
            figures = self.figures[column]
            fits = figures.stated >= FEWEST and figures.text == text
            fits &= not undeclared or not (stated.codes or stated.identifier)
            if fits and (not open_ or stated.is_open):
                yield column, stated


def _required(sample: _Sample) -> Iterator[Suggestion]:
    """Columns nearly every record fills."""
    for column, stated in sample.columns.items():
        figures = sample.figures[column]
        blanks = sample.rows - figures.stated
        if stated.required or sample.rows < FEWEST or blanks > MOST_FLAGGED * sample.rows:
            continue
        words = ", ".join(map(quote, dict.fromkeys(("", *figures.no_value))))
        that = f"{name(column)} IS NOT NULL"
        if figures.text:
            that += f" AND {_said(column)} NOT IN ({words})"
        yield Suggestion("required", column, f"{stated.title}不得为空", f"{_words(column)} is stated", that)


def _codes(sample: _Sample) -> Iterator[Suggestion]:
    """Text columns with few values: the list without what is far rarer than the rest, or a misspelling of it."""
    for column, stated in sample.chosen(text=True, undeclared=True, open_=True):
        figures = sample.figures[column]
        if figures.distinct > MOST_VALUES or figures.top < USES:
            continue
        counted = (  # in the whole relation: a code the sample lacks is no wrong one
            f"SELECT {name(column)} AS _value, count(*) AS _n FROM {_source(sample.relation)}"
            f" WHERE NOT {is_blank(column)} GROUP BY {name(column)}"
        )
        counts = sample.con.execute(f"{counted} ORDER BY _n DESC, _value LIMIT {MOST_VALUES + 1}").fetchall()
        if len(counts) > MOST_VALUES:
            continue
        meant = dict(sample.con.execute(_MISSPELT.format(counted)).fetchall())
        listed = [value for value, _ in _frequent([one for one in counts if one[0] not in meant])]
        alone = len(listed) == 1 and (not meant or len(meant) + 1 < len(counts))
        most = MOST_NUMBERS if _look_like_numbers(listed) else MOST_CODES
        if not listed or alone or len(listed) > most or sum(n for _, n in counts) < USES * len(listed):
            continue
        sample.coded.add(column)
        repairs = ", ".join(f"{quote(said)}: {quote(right)}" for said, right in sorted(meant.items())[:MOST_CODES])
        yield Suggestion(
            kind="codes",
            column=column,
            zh=f"{stated.title}应取自所列{len(listed)}个值",
            en=f"{_words(column)} is one of {len(listed)} values",
            that=f"{name(column)} IN ({', '.join(map(quote, sorted(listed)))})",
            when=sample.told(column),
            suggest=f"MAP {{{repairs}}}[{name(column)}]" if repairs else None,
            evidence={"values": len(listed), "other_values": len(counts) - len(listed)},
        )


def _look_like_numbers(values: Sequence[str]) -> bool:
    """Whether all are digits, and not of one length as codes are."""
    lengths = {len(value) for value in values}
    return all(value.isdigit() for value in values) and (len(lengths) > 1 or max(lengths, default=0) < FIXED)


# Rare texts with the frequent text each is near. Digits and Chinese characters are no spelling: one of them changed is
# another code, another word.
_MISSPELT = rf"""
WITH counted AS ({{}})
SELECT rare._value, arg_min(usual._value, (levenshtein(rare._value, usual._value), -usual._n, usual._value))
FROM counted rare JOIN counted usual ON usual._n >= {RARE} * rare._n
WHERE length(usual._value) >= {SHORTEST_NEAR}
  AND levenshtein(rare._value, usual._value) <= {NEAR} * length(usual._value)
  AND regexp_replace(rare._value, '[0-9]', '9', 'g') <> regexp_replace(usual._value, '[0-9]', '9', 'g')
  AND NOT regexp_matches(rare._value || usual._value, '\p{{{{Han}}}}')
GROUP BY ALL"""


def _frequent(counts: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    """What stands before the last gap in frequency, given the commonest first.

    A gap is where the next one is RARE times rarer; after the last comes one that is there once.
    """
    following = [n for _, n in counts[1:]] + [1]
    gaps = [place for place, (_, n) in enumerate(counts) if n >= RARE * following[place]]
    return counts[: gaps[-1] + 1] if gaps else []


_PARSES = "CASE WHEN ? IS NOT NULL THEN {} IS NOT NULL END"

# In Chinese, in English, and as SQL over the value `?`.
_TYPES: dict[ColumnType, tuple[str, str, str]] = {
    ColumnType.integer: ("整数", "a whole number", f"regexp_full_match(trim(?), '{_WHOLE}')"),
    ColumnType.decimal: ("数字", "a number", f"regexp_full_match(trim(?), '{_NUMBER}')"),
    ColumnType.date: ("有效日期", "a real date", _PARSES.format("length(?) <= 10 AND try_cast(? AS DATE)")),
    ColumnType.timestamp: ("有效日期时间", "a real date and time", _PARSES.format("try_cast(? AS TIMESTAMP)")),
}


def _type(sample: _Sample) -> Iterator[Suggestion]:
    """Text columns whose values are numbers or days; numbers of one length are taken for codes."""
    for column, stated in sample.chosen(text=True, undeclared=True):
        if column in sample.coded:
            continue
        value, figures = name(column), sample.figures[column]
        tests = {kind: test.replace("?", value) for kind, (_, _, test) in _TYPES.items()}
        counts = ", ".join(f"count_if({test})" for test in tests.values())
        held = dict(zip(tests, sample.row(counts, f"NOT {is_blank(column)}"), strict=True))
        kind = max(held, key=lambda one: held[one])  # the first of equals is the narrowest
        evidence = {}
        if figures.stated - held[kind] > MOST_FLAGGED * figures.stated:
            if kind is not ColumnType.decimal or not _second_notation(sample, column, held[kind]):
                continue
            evidence = {"second_notation": figures.stated - held[kind]}
        elif kind is ColumnType.integer and _one_length(sample, column, tests[kind]):
            continue
        zh, en, _ = _TYPES[kind]
        sample.typed[column] = kind
        yield Suggestion(
            kind="type",
            column=column,
            zh=f"{stated.title}应为{zh}",
            en=f"{_words(column)} is {en}",
            that=tests[kind],
            when=sample.told(column),
            evidence=evidence,
        )


def _second_notation(sample: _Sample, column: str, numbers: int) -> bool:
    """Whether all that are no plain numbers are numbers with one and the same ending, and the fewer."""
    value, stated = f"trim({name(column)})", sample.figures[column].stated
    if stated - numbers > MOST_SECOND * stated:
        return False
    ended = rf"^{_NUMBER}(\s*[^0-9]+)$"
    endings, count = sample.row(
        f"count(DISTINCT regexp_extract({value}, '{ended}', 3)), count_if(regexp_matches({value}, '{ended}'))",
        f"NOT {is_blank(column)} AND NOT regexp_full_match({value}, '{_NUMBER}')",
    )
    return bool(endings == 1 and count == stated - numbers)


def _one_length(sample: _Sample, column: str, test: str) -> bool:
    shortest, longest = sample.row(f"min(length(trim({name(column)}))), max(length(trim({name(column)})))", test)
    return bool(shortest == longest and shortest >= FIXED)


def _range(sample: _Sample) -> Iterator[Suggestion]:
    """Numbers and days whose values lie within the outer fences, but for very few."""
    for column, stated in (*sample.chosen(text=False, open_=True), *sample.chosen(text=True, open_=True)):
        value, figures = name(column), sample.figures[column]
        numeric = _NUMERIC.match(figures.kind) or sample.typed.get(column) in {ColumnType.integer, ColumnType.decimal}
        whole = "INT" in figures.kind or sample.typed.get(column) is ColumnType.integer
        dated = figures.kind == "DATE" or sample.typed.get(column) is ColumnType.date
        if not (numeric or dated) or (whole and figures.distinct >= NUMBERED * figures.stated):
            continue
        kind = "DATE" if dated else "DOUBLE"
        measured = f"try_cast({value} AS {kind})" if figures.text else value
        number = f"{measured} - DATE '{_DAY_0}'" if dated else f"{measured}::DOUBLE"
        low, high, least = sample.row(
            f"quantile_cont({number}, 0.25), quantile_cont({number}, 0.75), min({number})", f"isfinite({measured})"
        )
        if low is None or not high > low:
            continue
        bounds = _fences(low, high, least)
        shown = [_day(bound) if dated else _round(bound) for bound in bounds]
        if None in shown:
            continue
        first, last = (quote(str(bound)) if dated else str(bound) for bound in shown)
        literal = "DATE " if dated else ""
        yield Suggestion(
            kind="range",
            column=column,
            zh=f"{stated.title}应在{shown[0]}至{shown[1]}之间",
            en=f"{_words(column)} is between {shown[0]} and {shown[1]}",
            that=f"{measured} BETWEEN {literal}{first} AND {literal}{last}",
        )


def _fences(low: float, high: float, least: float) -> tuple[float, float]:
    """Tukey's outer fences; the lower one is 0 where nothing is negative."""
    below, above = low - FENCE * (high - low), high + FENCE * (high - low)
    return (0.0 if below < 0 <= least else below), above


def _round(number: float) -> str:
    """Four significant digits, written out."""
    return format(Decimal(f"{number:.4g}"), "f")


def _day(days: float) -> date | None:
    try:
        return _DAY_0 + timedelta(days=round(days))
    except OverflowError:
        return None


def _pattern(sample: _Sample) -> Iterator[Suggestion]:
    """Text columns with few shapes, told by classes of characters: letters and digits of no value stand in them."""
    for column, stated in sample.chosen(text=True, undeclared=True):
        if column in sample.typed or column in sample.coded or sample.figures[column].distinct <= MOST_SHAPES:
            continue
        pattern, evidence = _shapes(sample, column)
        if pattern:
            yield Suggestion(
                kind="pattern",
                column=column,
                zh=f"{stated.title}应符合格式{pattern}",
                en=f"{_words(column)} is written as {pattern}",
                that=f"regexp_full_match({name(column)}, {quote(pattern)})",
                when=sample.told(column),
                evidence=evidence,
            )


def _shapes(sample: _Sample, column: str) -> tuple[str, dict[str, float]]:
    """The column's pattern, empty if it has none: with numbers of digits and capitals where those hardly vary."""
    for classes, counted in ((_APART, _COUNTED), (_MIXED, _COUNTED), (_APART, "")):
        counts = sample.con.execute(
            f"SELECT {_shape(name(column), classes, counted)}, count(*) FROM {sample.table}"
            f" WHERE NOT {is_blank(column)} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_VALUES}"
        ).fetchall()
        usual = dict(_frequent(counts))
        missed = sample.figures[column].stated - sum(usual.values())
        varying = len({re.sub(r"(.)\1+", r"\1", shape) for shape in usual}) < len(usual)
        if 0 < len(usual) <= MOST_SHAPES and missed <= MOST_FLAGGED * sample.figures[column].stated and not varying:
            return "|".join(sorted(_regex(shape, classes, counted) for shape in usual)), {"shapes": len(usual)}
    return "", {}


def _shape(value: str, classes: Mapping[str, str], counted: str) -> str:
    """SQL: the text with each character of a `counted` sign, each run of another one, as the sign of its class."""
    shape = value
    for sign, characters in classes.items():
        run = "" if sign in counted else "+"
        shape = f"regexp_replace({shape}, {quote(characters + run)}, '{sign}', 'g')"
    return shape


def _regex(shape: str, classes: Mapping[str, str], counted: str) -> str:
    """The regular expression of a shape."""
    found = ""
    for run in re.finditer(r"(.)\1*", shape, re.DOTALL):
        sign, times = run[1], len(run[0])
        found += classes.get(sign) or re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", sign)
        found += "+" if sign in classes and sign not in counted else "" if times == 1 else f"{{{times}}}"
    return found


def _unique(sample: _Sample) -> Iterator[Suggestion]:
    """Columns that hardly repeat; pairs of columns where no column does."""
    counted = {
        column: figures
        for column, figures in sample.figures.items()
        if figures.stated >= FEWEST and re.match("VARCHAR|.*INT", figures.kind)
    }
    keys = [(column,) for column in counted if _repeated(sample, (column,))]
    pairs: list[tuple[str, ...]] = []
    if not keys:
        halves = [column for column, figures in counted.items() if 2 <= figures.distinct <= figures.stated / 2]
        large = (
            pair
            for pair in combinations(halves, 2)
            if counted[pair[0]].distinct * counted[pair[1]].distinct >= sample.rows
        )
        pairs = [pair for pair in islice(large, MOST_PAIRS) if _repeated(sample, pair)]
    for key in (*keys, *pairs):
        yield Suggestion(
            kind="unique",
            column=key[0],
            zh=f"{'、'.join(sample.columns[column].title for column in key)}不得重复",
            en=f"no two records have one {' and one '.join(map(_words, key))}",
            by=key,
        )


def _repeated(sample: _Sample, key: Sequence[str]) -> bool:
    """Whether records that share the key are few, and records with one are most."""
    by = ", ".join(map(name, key))
    there = " AND ".join(f"{name(column)} IS NOT NULL" for column in key)
    grouped = f"SELECT count(*) AS _n FROM {sample.table} WHERE {there} GROUP BY {by}"
    stated, repeated = _row(
        sample.con, f"SELECT coalesce(sum(_n), 0), coalesce(sum(_n) FILTER (_n > 1), 0) FROM ({grouped})"
    )
    return bool(stated > (1 - MOST_FLAGGED) * sample.rows and repeated <= MOST_REPEATED * stated)


def _depends(sample: _Sample) -> Iterator[Suggestion]:
    """Approximate dependencies (g3) of one column on one or two others, the best left sides of each column.

    Left out: what is nearly a key on the left, and a right side so uniform that its commonest value says as much.
    """
    right = [column for column, figures in sample.figures.items() if figures.stated >= FEWEST and figures.distinct > 1]
    left = [column for column in right if sample.figures[column].distinct * GROUP <= sample.figures[column].stated]
    errors: dict[tuple[str, ...], dict[str, _Error]] = {}
    for column in left:
        errors[column,] = _errors(sample, (column,), [one for one in right if one != column])
    found = {
        column: [(error[column], by) for by, error in errors.items() if column in error and error[column].small]
        for column in right
    }
    missing = [column for column in right if not found[column]]
    pairs = (
        pair
        for pair in combinations(left, 2)
        if not any(error and error.small for error in (errors[pair[0],].get(pair[1]), errors[pair[1],].get(pair[0])))
    )
    for pair in islice(pairs, MOST_PAIRS if missing else 0):
        for column, error in _errors(sample, pair, [one for one in missing if one not in pair]).items():
            alone = min((errors[one,][column].g3 for one in pair if column in errors[one,]), default=1.0)
            if error.small and error.g3 <= PAIR_GAIN * alone:
                found[column].append((error, pair))
    for column, sides in found.items():
        for error, by in sorted(sides, key=lambda side: (side[0].g3, -side[0].support, side[1]))[:LEFT_SIDES]:
            evidence = {"g3": round(error.g3, 4), "groups": error.groups, "in_groups": error.support}
            yield replace(dependency(column, by, sample.columns), evidence=evidence)


@dataclass(frozen=True)
class _Error:
    """How far a dependency fails on the sample: of `support` records in `groups` of two and more, the share `g3` would
    have to go for it to hold; `uniform` is that share when every record is to have the commonest value.
    """

    groups: int
    support: int
    g3: float
    uniform: float
    rows: int

    @property
    def small(self) -> bool:
        enough = self.support >= SUPPORT * self.rows and self.support >= GROUP * self.groups
        return enough and self.g3 <= MOST_FLAGGED and self.g3 <= (1 - GAIN) * self.uniform


def _errors(sample: _Sample, by: tuple[str, ...], right: Sequence[str]) -> dict[str, _Error]:
    """The errors of one left side, for the right sides it can determine: a group adds one value, an error another."""
    left = ", ".join(map(name, by))
    there = " AND ".join(f"{name(column)} IS NOT NULL" for column in by)
    rows = sample.rows
    (sides,) = _row(sample.con, f"SELECT count(*) FROM (SELECT DISTINCT {left} FROM {sample.table} WHERE {there})")
    if sides * GROUP > rows:
        return {}
    found = {}
    for column in right:
        figures = sample.figures[column]
        if figures.distinct > sides + MOST_FLAGGED * rows:
            continue
        counted = (
            f"SELECT {left}, count(*) AS _n FROM {sample.table} WHERE {there} AND {name(column)} IS NOT NULL"
            f" GROUP BY {left}, {name(column)}"
        )
        grouped = f"SELECT sum(_n) AS _whole, max(_n) AS _most FROM ({counted}) GROUP BY {left} HAVING sum(_n) > 1"
        groups, support, kept = _row(
            sample.con, f"SELECT count(*), sum(_whole)::BIGINT, sum(_most)::BIGINT FROM ({grouped})"
        )
        if groups:
            uniform = 1 - figures.top / figures.stated
            found[column] = _Error(groups, support, 1 - kept / support, uniform, rows)
    return found


_KINDS: tuple[Callable[[_Sample], Iterable[Suggestion]], ...] = (
    _required, _codes, _type, _range, _pattern, _unique, _depends,
)  # fmt: skip
