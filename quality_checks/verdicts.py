"""The one scan of a suite: every rule judged on every record, once; what breaks a rule is kept whole.

The verdicts are what Great Expectations counts (`quality_checks.runner`) and what findings are made of
(`quality_checks.findings`): a count and its findings cannot differ, and a rule is never evaluated twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import duckdb
from duckdb import DuckDBPyConnection

from catalog.models import Rule
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
    relation, said = _shared(suite.relation, list(asked))
    judged = "".join(f", ({sql})::BOOLEAN AS {column}" for sql, column in zip(said, asked.values(), strict=True))
    kept = "".join(f"{column}, " for column in asked.values())
    obeyed = " AND ".join({asked[verdict(rule)] for rule in rules}) or "true"
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
    stated = [f"({name(rule.column)} IS NOT NULL)" for rule in rules if rule.expect]
    return {sql: f"_verdict_{n}" for n, sql in enumerate(dict.fromkeys([*map(verdict, rules), *stated]))}


def _needed(suite: Suite) -> set[str]:
    """What the columns that telling of a finding needs may be called: every word of the SQL that tells."""
    said = " ".join(" ".join((rule.column, *telling.parts(rule, verdict(rule), suite.titles))) for rule in suite.rules)
    return {*_ALWAYS, *(word.lower() for word in re.findall(r"\w+", said))}


def _shared(relation: str, said: Sequence[str]) -> tuple[str, list[str]]:
    """The relation with what several rules ask of one column worked out once a record, and the rules reading that.

    A rule with names of its own, in a lambda or a query, stays as it is: what it calls `id` may be no column.
    """
    own_names = re.compile(r"\b(lambda|select)\b", re.IGNORECASE)
    every = " ".join(one for one in said if not own_names.search(one))
    source = f"({relation})"
    written = list(said)
    for steps in macros.SHARED:
        asked = "|".join(step for step, _ in steps)
        for column in dict.fromkeys(re.findall(rf'\b(?:{asked})\(\s*"?(\w+)"?\s*\)', every)):
            parts = {step: name(f"_{step}_{column}") for step, _ in steps}
            for step, sql in steps:
                source = f"(SELECT *, {sql.format(id=name(column), **parts)} AS {parts[step]} FROM {source})"
                call = re.compile(rf'\b{step}\(\s*"?{column}"?\s*\)')
                written = [one if own_names.search(one) else call.sub(parts[step], one) for one in written]
    return source, written
