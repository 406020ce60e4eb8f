"""The one scan of a suite: every rule judged on every record, once; what breaks a rule is kept whole.

The verdicts are what Great Expectations counts (`quality_checks.runner`) and what findings are made of
(`quality_checks.findings`): a count and its findings cannot differ, and a rule is never evaluated twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import duckdb
from duckdb import DuckDBPyConnection

from catalog.rules import Rule
from quality_checks import macros, telling
from quality_checks.macros import name, quote
from quality_checks.results import redact
from quality_checks.suites import Suite, verdict

VERDICTS = "verdicts"  # temporary table
TIMES = "_times"
_ALWAYS = ("_record_key", "_delivery_id", "_raw")


def judge(con: DuckDBPyConnection, suite: Suite) -> dict[str, str]:
    """Judge the suite's records; the message for each rule that fails at run time, which judges nothing.

    Leaves the temporary table `VERDICTS`: one row per record that breaks a rule, with the columns that telling it
    needs, and one per combination of verdicts of all other records; `TIMES` counts the records. The columns are
    `judgements` of the rules that are not broken.

    Raises duckdb.BinderException or duckdb.CatalogException where the suite's SQL does not bind.
    """
    broken: dict[str, str] = {}
    try:
        con.execute(_judged(suite, suite.rules))
    except (duckdb.BinderException, duckdb.CatalogException):
        raise
    except duckdb.Error:
        broken = dict(_failing(con, suite, suite.rules))
        con.execute(_judged(suite, [rule for rule in suite.rules if rule.id not in broken]))
    return broken


def _failing(con: DuckDBPyConnection, suite: Suite, rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """The rules whose SQL fails on some record, found by halving."""
    try:
        con.execute(_judged(suite, rules))
    except duckdb.Error as error:
        if len(rules) == 1:
            yield rules[0].id, redact(str(error))
        else:
            half = len(rules) // 2
            yield from _failing(con, suite, rules[:half])
            yield from _failing(con, suite, rules[half:])


def _judged(suite: Suite, rules: Sequence[Rule]) -> str:
    asked = judgements(rules)
    relation, said = _shared(suite, list(asked))
    judged = "".join(f", ({sql})::BOOLEAN AS {column}" for sql, column in zip(said, asked.values(), strict=True))
    kept = "".join(f"{column}, " for column in asked.values())
    obeyed = " AND ".join(dict.fromkeys(asked[verdict(rule)] for rule in rules)) or "true"
    needed = ", ".join(map(quote, sorted(_needed(suite))))
    return (
        f"CREATE OR REPLACE TEMP TABLE {VERDICTS} AS"
        f" SELECT {kept}CASE WHEN NOT ({obeyed}) THEN COLUMNS(lambda c: lower(c) IN ({needed})) END,"
        f" count(*) AS {TIMES}"
        f" FROM (SELECT *{judged} FROM {relation}) GROUP BY ALL"
    )


def judgements(rules: Sequence[Rule]) -> dict[str, str]:
    """What is asked of every record, as SQL, and its column in `VERDICTS`: true, false or, where it says nothing, null.

    The verdict of every rule, and whether there is a value where a stock expectation counts those without.
    """
    stated = [_stated(rule) for rule in rules if rule.expect]
    return {sql: f"_verdict_{n}" for n, sql in enumerate(dict.fromkeys([*map(verdict, rules), *stated]))}


def _stated(rule: Rule) -> str:
    return f"({name(rule.column)} IS NOT NULL)"


def count(con: DuckDBPyConnection, rules: Sequence[Rule]) -> tuple[int, list[tuple[int, int, int]]]:
    """Records judged; and for each rule how many it applies to, break it, and have no value in its column.

    One aggregate query over the verdicts `judge` left of these rules.
    """
    asked = judgements(rules)
    kept = [asked[verdict(rule)] for rule in rules]
    stated = [asked.get(_stated(rule), "true") for rule in rules]
    wanted = {condition: n for n, condition in enumerate(
        dict.fromkeys(["true", *(f"{c} IS NOT NULL" for c in kept), *(f"NOT {c}" for c in (*kept, *stated))])
    )}  # fmt: skip
    sums = ", ".join(f"coalesce(sum({TIMES}) FILTER ({condition}), 0)::BIGINT" for condition in wanted)
    [found] = con.execute(f"SELECT {sums} FROM {VERDICTS}").fetchall()
    told = [[found[wanted[said.format(c)]] for c in columns] for said, columns in (
        ("{} IS NOT NULL", kept), ("NOT {}", kept), ("NOT {}", stated)
    )]  # fmt: skip
    return found[0], list(zip(*told, strict=True))


def _needed(suite: Suite) -> set[str]:
    """What the columns that telling of a finding needs may be called: every word of the SQL that tells."""
    said = " ".join(" ".join((rule.column, *telling.parts(rule, verdict(rule), suite.titles))) for rule in suite.rules)
    return {*_ALWAYS, *(word.lower() for word in re.findall(r"\w+", said))}


_TEXT = re.compile(r"('(?:[^']|'')*')")
_OWN_NAMES = re.compile(r"\b(lambda|select|for)\b|->", re.IGNORECASE)


def _shared(suite: Suite, said: Sequence[str]) -> tuple[str, list[str]]:
    """The relation with what several rules ask of one column worked out once a record, and the rules reading that.

    Only of columns of the accused record itself. A rule with names of its own, in a lambda, a list or a query, stays as
    it is: what it calls `id` may be no column.
    """
    source = f"({suite.relation})"
    parts = [_TEXT.split(one) for one in said]  # what is not quoted has the even places
    plain = [" ".join(one[::2]) for one in parts]
    for steps in macros.SHARED:
        call = re.compile(rf'\b({"|".join(step for step, _ in steps)})\(\s*"?(\w+)"?\s*\)')
        every = " ".join(one for one in plain if not _OWN_NAMES.search(one))
        for column in dict.fromkeys(column for _, column in call.findall(every) if column in suite.titles):
            names = {step: name(f"_{step}_{column}") for step, _ in steps}
            for step, sql in steps:
                source = f"(SELECT *, {sql.format(id=name(column), **names)} AS {names[step]} FROM {source})"
            for one, text in zip(parts, plain, strict=True):
                if not _OWN_NAMES.search(text):
                    one[::2] = [_called(call, column, names, piece) for piece in one[::2]]
    return source, ["".join(one) for one in parts]


def _called(call: re.Pattern[str], column: str, names: Mapping[str, str], sql: str) -> str:
    return call.sub(lambda found: names[found[1]] if found[2] == column else found[0], sql)
