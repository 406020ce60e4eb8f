"""What is told of a failing record: the value offered, how it was found and how sure it is, and what was observed.

SQL over a suite's relation, computed for failing records alone. A value that a reason quotes stands in 「」, so that
`quality_checks.masking` can take it out where the reason goes to others than the record's own department.

What a confidence means, by method: `normalised` 1, nothing but the spelling changes and the rule holds then;
`successor` 1, the code list itself names it; `repaired` the measured share of wrong numbers with one possible repair
for which that is the true number (`benchmarks/repairs.py`); `majority` the share of the group that has the value. Of
all others nothing is measured: they have none unless the rule states one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from catalog.rules import MOST, OTHER, USUAL, WHOLE, Method, Rule
from quality_checks.macros import name, quote

SURE = frozenset({Method.normalised, Method.successor})
# Nothing but normal forms of the column, one within another, alone or as what a CASE gives.
_NORMAL_FORM = (
    r"(?:case\s+when\s.*?\sthen\s+)?"
    r"(?:(?:text_normal|half_width|to_half_width|person_id_normal|uscc_normal|trim|upper|lower)\s*\(\s*)+"
    r'"?{column}"?[\s)]+(?:\s*end)?'
)
_PLACE = re.compile(r"\{([^{}]+)\}")
_QUERY = re.compile(r"\bselect\b", re.IGNORECASE)


def parts(rule: Rule, verdict: str, titles: Mapping[str, str]) -> tuple[str, str, str, str]:
    """SQL texts of one failing record: the value offered, its normal form, its confidence where that depends on the
    record, and what the reason adds to the rule's sentence.
    """
    normal = f"({rule.normal})::VARCHAR" if rule.normal else "NULL::VARCHAR"
    by_majority = rule.offered == USUAL and rule.confidence is None
    share = f"round({MOST} / {WHOLE}, 4)" if by_majority else "NULL::DOUBLE"
    return offer(rule, verdict), normal, share, observed_sql(rule, titles)


def offer(rule: Rule, verdict: str) -> str:
    """SQL: the value offered as text; null where there is none and where the rule would fail with it too.

    Not tried are a swapped pair, which changes another column too, and what a lambda cannot judge: a rule about several
    records, one whose SQL holds a query, and one that looks up another record by the column. Their SQL must offer
    nothing wrong by itself.
    """
    if not rule.offered:
        return "NULL::VARCHAR"
    looked_up = any(rule.column in words(lookup.by) for lookup in rule.lookup.values())
    if rule.of_several or looked_up or rule.method is Method.swapped or _QUERY.search(verdict):
        return f"({rule.offered})::VARCHAR"
    column = name(rule.column)  # inside the lambda it is the value offered
    kept = f"CASE WHEN coalesce({verdict}, true) THEN {column}::VARCHAR END"
    return f"list_transform([({rule.offered})], lambda {column}: {kept})[1]"


def method(rule: Rule, columns: Collection[str]) -> Method | None:
    """How the rule finds what it offers, told from its SQL where the rule does not say; None: it offers nothing."""
    if rule.method or not rule.offered:
        return rule.method
    if not rule.suggest:
        return Method.majority
    named = words(rule.suggest)
    for alias, lookup in rule.lookup.items():
        if alias in named:
            return Method.authority if lookup.to.startswith("base.") else _of_list(rule.suggest)
    if named & set(columns) - {rule.column}:
        return Method.derived
    normal = re.fullmatch(_NORMAL_FORM.format(column=re.escape(rule.column)), rule.suggest.strip(), re.IGNORECASE)
    return Method.normalised if normal else Method.other


def confidence(rule: Rule, found: Method | None) -> float | None:
    """How sure every value is that the rule offers, None where that depends on the record or nothing is measured."""
    return rule.confidence or (1.0 if found in SURE else None)


def _of_list(suggest: str) -> Method:
    return Method.successor if "successor" in words(suggest) else Method.derived


def words(sql: str) -> set[str]:
    """What an SQL text names, in lower case; what stands in quotes is left out."""
    return set(re.findall(r"\w+", re.sub(r"'[^']*'", "", sql).lower()))


def observed_sql(rule: Rule, titles: Mapping[str, str]) -> str:
    """SQL: what was observed, with the record's values in it; `because` of the rule, or the columns it reads."""
    pieces = _PLACE.split(rule.because or _usual_reason(rule, titles))
    said = [f"told({piece})" if place % 2 else quote(piece) for place, piece in enumerate(pieces) if piece]
    return " || ".join(said)


def observed_value(column: str) -> str:
    """SQL: the department's own text of a column."""
    return f"coalesce(_raw[{quote(column)}], {name(column)}::VARCHAR)"


def _usual_reason(rule: Rule, titles: Mapping[str, str]) -> str:
    if rule.unique:
        return f"{_listed(rule.unique, titles)}，这样的记录共{{{WHOLE}}}条"
    if rule.depends:
        same = _listed(rule.depends, titles)
        return f"{same}的{{{WHOLE}}}条记录中，{{{MOST}}}条为{{{USUAL}}}，本条为{{{observed_value(rule.column)}}}"
    if rule.denied:
        return f"{_listed(rule.denied.same, titles)}，与记录{{{OTHER}}}不能并存"
    read = [column for column in titles if column in words(rule.that or "") and column != rule.column]
    if not read:
        return f"实际为{{{observed_value(rule.column)}}}"
    return _listed((rule.column, *read), titles)


def _listed(columns: Collection[str], titles: Mapping[str, str]) -> str:
    return "，".join(f"{titles.get(column, column)}为{{{observed_value(column)}}}" for column in columns)
