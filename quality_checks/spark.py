"""A rule's SQL for Spark: rendered by sqlglot from DuckDB's dialect, our macros written out.

What the two spell differently and sqlglot does not know stands here, once. A province runs the same rules on Spark;
`benchmarks/spark_rules.py` runs them there and compares what they find.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from catalog.rules import Rule
from quality_checks import macros
from quality_checks.suites import Suite, verdict

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_SUM = " + ".join(f"{weight} * (ascii(substr(id, {n}, 1)) - 48)" for n, weight in enumerate(_ID_WEIGHTS, 1))
# Macros by what Spark has: its whole numbers are signed, so the fast sum of an ID number is not for it.
_INSTEAD = {"id_sum": f"({_ID_SUM}) % 11"}
_TIMES = {"'%Y%m%d'": "yyyyMMdd"}


class NotInSparkError(ValueError):
    """Why something cannot be said in Spark's dialect."""


def failing(suite: Suite, rule: Rule) -> str:
    """Query in Spark's dialect: the `_record_key` of every record that breaks the rule.

    Raises:
        NotInSparkError: something in it has no counterpart in Spark.
    """
    return rendered(f"SELECT _record_key FROM ({suite.relation}) AS t WHERE NOT ({verdict(rule)})")


def rendered(sql: str) -> str:
    """The query or expression in Spark's dialect.

    Raises:
        NotInSparkError: something in it has no counterpart in Spark.
    """
    try:
        tree = _each(_each(sqlglot.parse_one(sql, read="duckdb"), _said_otherwise), partial(_written_out, _macros()))
        told = tree.sql("spark", copy=False, unsupported_level=ErrorLevel.RAISE)
        again = sqlglot.parse_one(told, read="spark")
    except SqlglotError as error:
        raise NotInSparkError(str(error).split("\n", 1)[0]) from error
    unknown = sorted({one.name.lower() for one in again.find_all(exp.Anonymous)} - _SPARKS)
    if unknown:
        raise NotInSparkError(f"no counterpart of {', '.join(unknown)}")
    return told


@cache
def _macros() -> dict[str, tuple[tuple[str, ...], exp.Expr]]:
    """Parameters and body of every macro, the macros it calls written out: each stands before those that call it."""
    found: dict[str, tuple[tuple[str, ...], exp.Expr]] = {}
    for statement in sqlglot.parse(macros.SQL, read="duckdb"):
        if isinstance(statement, exp.Create):
            called, body = statement.this.this.name, statement.expression
            if called in _INSTEAD:
                body = sqlglot.parse_one(_INSTEAD[called], read="duckdb")
            parameters = tuple(one.name for one in statement.this.expressions)
            found[called] = parameters, _each(_each(body, partial(_written_out, found)), _said_otherwise)
    return found


def _each(tree: exp.Expr, change: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """The tree with every node changed, those below before those above."""
    for node in reversed(list(tree.walk())):
        changed = change(node)
        if changed is not node:
            if node is tree:
                return changed
            node.replace(changed)
    return tree


def _written_out(known: dict[str, tuple[tuple[str, ...], exp.Expr]], node: exp.Expr) -> exp.Expr:
    """The macro's body for a call of one, the arguments in place."""
    if not isinstance(node, exp.Anonymous) or node.name.lower() not in known:
        return node
    parameters, body = known[node.name.lower()]
    given = dict(zip(parameters, node.expressions, strict=True))

    def put(one: exp.Expr) -> exp.Expr:
        if not isinstance(one, exp.Column) or one.table or one.name not in given:
            return one
        argument = given[one.name].copy()
        return argument if isinstance(argument, exp.Column | exp.Literal) else exp.paren(argument)

    return exp.paren(_each(body.copy(), put))


def _full_match(node: exp.RegexpFullMatch) -> exp.Expr:
    return exp.RegexpLike(this=node.this, expression=exp.Literal.string(rf"\A(?:{_java(node)})\z"))


def _pattern(node: exp.Expr) -> exp.Expr:
    node.set("expression", exp.Literal.string(_java(node)))
    return node


def _java(node: exp.Expr) -> str:
    """The pattern of a call as Java reads it: a script needs its prefix there, and its blanks are one more."""
    written = node.expression
    parts = written.expressions if isinstance(written, exp.Concat) else [written]
    if not all(isinstance(part, exp.Literal) and part.is_string for part in parts):
        raise NotInSparkError(f"no counterpart of a pattern that is no plain text: {written.sql('duckdb')}")
    options = node.args.get("flag") or node.args.get("options") or node.args.get("parameters")
    modifiers = node.args.get("modifiers")
    if options or (isinstance(node, exp.RegexpReplace) and (modifiers is None or modifiers.name != "g")):
        raise NotInSparkError(f"no counterpart of the options of {node.sql('duckdb')}")
    pattern = re.sub(r"\\p\{Han\}", r"\\p{IsHan}", "".join(part.name for part in parts))
    return re.sub(r"(\[(?:\\.|[^\]\\])*\])|\\s", _blanks, pattern)


def _blanks(found: re.Match[str]) -> str:
    """Blanks as RE2 has them, in a class of characters or alone."""
    blanks = r"\t\n\f\r "
    return found[1].replace(r"\s", blanks) if found[1] else f"[{blanks}]"


def _split(node: exp.Split) -> exp.Expr:
    characters = exp.Literal.string(r"(?!\A|\z)")  # between any two
    return exp.RegexpSplit(this=node.this, expression=characters) if node.expression.name == "" else node


def _all_of(list_of: exp.Expr) -> exp.Expr:
    return exp.func("forall", list_of.this, list_of.expression) if isinstance(list_of, exp.Transform) else list_of


def _time(text: exp.Expr, format_: exp.Expr) -> exp.Expr:
    known = _TIMES.get(format_.sql("duckdb"))
    if known is None:
        raise NotInSparkError(f"no counterpart of the time format {format_}")
    return exp.func("try_to_timestamp", text, exp.Literal.string(known))


_BY_KIND: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.RegexpFullMatch: _full_match,
    exp.RegexpLike: _pattern,
    exp.RegexpReplace: _pattern,
    exp.RegexpExtract: _pattern,
    exp.Split: _split,
}
_BY_NAME: dict[str, Callable[..., exp.Expr]] = {
    "strlen": lambda text: exp.func("octet_length", text),
    "list_reduce": lambda items, merge, first: exp.func("aggregate", items, first, merge),
    "list_bool_and": _all_of,
    "try_strptime": _time,
}
_SPARKS = {"octet_length", "aggregate", "forall", "try_to_timestamp"}


def _said_otherwise(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Anonymous) and node.name.lower() in _BY_NAME:
        return _BY_NAME[node.name.lower()](*node.expressions)
    change = _BY_KIND.get(type(node))
    return change(node) if change else node
