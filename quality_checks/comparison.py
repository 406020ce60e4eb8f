"""Sources of one library compared with its arbitrated values (starter rules P08, L03; indicator 0401).

Two rules per attribute. `<library>.<attribute>.agrees`: a record's value, in the attribute's normal form and tolerance,
equals the value that stands; one that differs is a violation of its own department, with that value suggested. False
accusations cost more than missed ones, so a record is compared only when the value that stands is a listed department's
(authority or substitute), another department's, of a better rank than the record's own, and not in doubt.
`<library>.<attribute>.doubted`: so many independent sources as the YAML says agree with each other on another value
than the authority's. That is told to the authority, with their value suggested, and no other source is accused, since
nobody knows who is wrong.

Violations are one per record. What the rules were applied to is counted from the library itself: `<attribute>_said`
tells for each entity and source whether it was compared, so an increment need not look at the pools again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from catalog.models import Library
from catalog.rules import Method, Rule, Severity
from quality_checks import disputes
from quality_checks.disputes import CELLS, DOUBTS, WINNERS
from quality_checks.findings import FIELDS
from quality_checks.macros import name, quote
from quality_checks.matrix import departments
from quality_checks.results import RuleResult
from quality_checks.sources import (
    Source,
    agreement_rule_id,
    authority_ranks,
    by_index,
    doubt_rule_id,
    normal_macro,
    sources,
    standing_as_of,
    standing_index,
    standing_rank,
    standing_text,
    suppliers,
)

MANY = 0.1  # of the entities in dispute: to look at an attribute apart costs less than to write the rest for them
VIOLATIONS = "temp.library_violations"
SAID = "temp.library_said"  # one row per attribute, `source`, `outcome` and `said`: `entities` of which they are true
SHIFTED = "temp.library_shifted"  # as `SAID`: what a write of the library's touched entities added, or took away


def agreement_rules(library: Library) -> tuple[Rule, ...]:
    """The library's comparisons with what stands, as rules for rule books and reports; `results` alone counts them."""
    return tuple(_agreement_rule(library, attribute) for attribute in _compared(library))


def doubt_rules(library: Library) -> tuple[Rule, ...]:
    """The library's doubts about its authorities, as rules."""
    return tuple(_doubt_rule(library, a) for a in _compared(library) if library.attributes[a].authority)


def rules(library: Library) -> tuple[Rule, ...]:
    """All that the library's sources are told by."""
    return (*agreement_rules(library), *doubt_rules(library))


def rules_for(source: Source) -> list[Rule]:
    """Those of its library that a source is told by."""
    agreements = [rule for rule in agreement_rules(source.library) if rule.column in source.resource.supplies]
    doubts = [rule for rule in doubt_rules(source.library) if rule.column in source.resource.supplies]
    return agreements + [rule for rule in doubts if source.may_be_authority(rule.column)]


def _agreement_rule(library: Library, attribute: str) -> Rule:
    return _rule(
        library,
        attribute,
        agreement_rule_id(library, attribute),
        than="authority",
        zh=f"{library.attributes[attribute].title}应与{library.title.zh}数源部门的记载一致",
        en=f"{attribute} agrees with the authority of {library.title.en}",
        source="一数一源, Order 809 art. 19",
    )


def _doubt_rule(library: Library, attribute: str) -> Rule:
    stated = library.attributes[attribute]
    return _rule(
        library,
        attribute,
        doubt_rule_id(library, attribute),
        than="others",
        zh=f"{library.title.zh}数源部门的{stated.title}不应与{stated.doubted_by}个以上独立来源一致的记载相悖",
        en=f"No {stated.doubted_by} independent sources agree on another {attribute} than the authority's",
        source="多源比对, Order 809 art. 21",
    )


def _rule(library: Library, attribute: str, rule_id: str, *, than: str, zh: str, en: str, source: str) -> Rule:
    """That the attribute's normal form equals what `than` says."""
    stated = library.attributes[attribute]
    return Rule(
        id=rule_id,
        that=f"{normal_macro(library, attribute)}({name(attribute)}) = {than}.{name(attribute)}",
        column=attribute,
        zh=zh,
        en=en,
        indicator="0401",
        severity=stated.compare or Severity.info,
        source=source,
        standard=stated.standard,
    )


def _compared(library: Library) -> list[str]:
    return [attribute for attribute, stated in library.attributes.items() if stated.compare is not None]


def compare(
    con: DuckDBPyConnection,
    catalog: Catalog,
    witnesses: Sequence[Source],
    disputed: Mapping[str, float],
    *,
    entities: str,
    said: str | None = None,
) -> None:
    """Settle what sources say differently of the `entities`, and write to `VIOLATIONS` whom that accuses.

    `disputed` are the attributes in dispute (`disputes.disputed_in`); each gets a table `disputes.settled`. `said` are
    the statements, looked at as often as it takes; without it `disputes.gather` has looked at them for all of these.
    """
    columns = ", ".join(
        f"NULL::{'DOUBLE' if field == 'suggestion_confidence' else 'VARCHAR'} AS {name(field)}" for field in FIELDS
    )
    disputes.create(con, VIOLATIONS, f"SELECT {columns} WHERE false")
    titles = [catalog.departments[witness.resource.department].title.zh for witness in witnesses]
    for group in _looks(disputed) if said else [list(disputed)]:
        if said:
            disputes.gather(con, group, entities, said)
        for attribute in group:
            disputes.settle(con, witnesses, attribute, titles)
            _tell(con, witnesses, attribute, titles)
    disputes.forget(con)


def _looks(disputed: Mapping[str, float]) -> list[list[str]]:
    """Attributes to be gathered together: one on which many entities' sources differ apart, so that what is said of
    them is not written for all the others too.
    """
    apart = [attribute for attribute, share in disputed.items() if share > MANY]
    return [[attribute] for attribute in apart] + [[attribute for attribute in disputed if attribute not in apart]]


def _tell(con: DuckDBPyConnection, witnesses: Sequence[Source], attribute: str, titles: Sequence[str]) -> None:
    """Add to the violations who differs on the attribute that `disputes.settle` has just settled.

    `titles` are those of the sources' departments, by index.
    """
    library = witnesses[0].library
    if library.attributes[attribute].compare is None:
        return
    con.execute(f"INSERT INTO {VIOLATIONS} {_disagreements_sql(witnesses, attribute, titles)}")
    if library.attributes[attribute].authority:
        con.execute(f"INSERT INTO {VIOLATIONS} {_doubts_sql(witnesses, attribute)}")


def _disagreements_sql(witnesses: Sequence[Source], attribute: str, titles: Sequence[str]) -> str:
    """One row per record that differs from the value it is compared with."""
    rule = _agreement_rule(witnesses[0].library, attribute)
    stated = witnesses[0].library.attributes[attribute]
    who = f"CASE WHEN {standing_rank('wk')} < {authority_ranks(stated)} THEN '数源部门' ELSE '候补来源部门' END"
    reason = (
        f"{quote(stated.title + '与')} || {who} || {standing_text('wk', titles)} || '（' ||"
        f" strftime({standing_as_of('wk')}, '%Y-%m-%d') || '）的记载不一致：本记录为' || told(v)"
        f" || '，' || {who} || '为' || told(wv)"
    )
    told = _told(
        witnesses, rule, "src", observed="v", suggested="wv", method=Method.authority, share="NULL", reason=reason
    )
    return f"SELECT {told} FROM {CELLS} ANTI JOIN {DOUBTS} USING (id) WHERE ranked AND differs"


def _doubts_sql(witnesses: Sequence[Source], attribute: str) -> str:
    """One row per entity whose authority is in doubt: the record its value comes from."""
    rule = _doubt_rule(witnesses[0].library, attribute)
    title = witnesses[0].library.attributes[attribute].title
    reason = (
        f"{quote(title + '：')} || d.votes || '个独立来源（' || d.titles || '）一致记载为' || told(d.best.v)"
        " || '，与本部门的' || told(w.v) || '不一致，孰误未知，请核实'"
    )
    told = _told(
        witnesses, rule, standing_index("w.k"), observed="w.v", suggested="d.best.v", method=Method.majority,
        share="round(d.votes / (d.votes + 1), 2)", reason=reason,
    )  # fmt: skip
    return f"SELECT {told} FROM {DOUBTS} d JOIN {WINNERS} w USING (id)"


def _told(
    witnesses: Sequence[Source], rule: Rule, source: str, *, observed: str, suggested: str, method: Method, share: str,
    reason: str,
) -> str:  # fmt: skip
    """The columns of a violation; `source` is SQL for the index of the accused one."""
    columns = [w.column(rule.column) if rule.column in w.resource.supplies else "" for w in witnesses]
    resources = [w.resource.name for w in witnesses]
    fields = {
        "rule_id": quote(rule.id),
        "standard": quote(rule.standard) if rule.standard else "NULL",
        "dimension": quote(rule.dimension),
        "indicator": quote(rule.indicator),
        "severity": quote(rule.severity.value),
        "department": f"({by_index(departments(witnesses))})[{source} + 1]",
        "resource": f"({by_index(resources)})[{source} + 1]",
        "record_key": "_record_key",
        "column": f"({by_index(columns)})[{source} + 1]",
        "observed_value": f"CAST({observed} AS VARCHAR)",
        "suggested_value": f"CAST({suggested} AS VARCHAR)",
        "suggestion_method": quote(method),
        "suggestion_confidence": share,
        "reason": reason,
        "delivery_id": "_delivery_id",
    }
    return ", ".join(fields[field] for field in FIELDS)


def shift(con: DuckDBPyConnection, library: Library, came: str, gone: str) -> None:
    """Write `SHIFTED`: by how much the rows of the query `came` in the place of those of `gone` change `SAID`."""
    less = "attribute, source, outcome, said, -entities"
    both = f"{_said_sql(library, came)} UNION ALL SELECT {less} FROM ({_said_sql(library, gone)})"
    disputes.create(con, SHIFTED, _summed(both))


def results(
    con: DuckDBPyConnection, catalog: Catalog, library: Library, table: str, *, shifted: bool = False
) -> list[RuleResult]:
    """What the comparisons came to, counted from the library's `table`: cells of entity and source; writes `SAID`.

    `shifted`: by `base._said` of the last build, if it holds the library, and by `SHIFTED` since then.

    One result per resource, attribute and rule, also when nothing could be compared (applicable 0), so that findings
    which no longer stand are closed.
    """
    witnesses = sources(catalog, library)
    last = f"FROM base._said WHERE library = {quote(library.name)}"
    if shifted and con.execute(f"SELECT 1 {last} LIMIT 1").fetchone():
        columns = "attribute, source, outcome, said, entities"
        disputes.create(con, SAID, _summed(f"SELECT {columns} {last} UNION ALL SELECT {columns} FROM {SHIFTED}"))
    else:
        disputes.create(con, SAID, _said_sql(library, f"FROM {table}"))
    compared, authorities = _compared_cells(con, len(witnesses)), _authority_cells(con, library, witnesses)
    found = [
        _result(source, rule, *compared.get((str(rule.column), place), (0, 0)))
        for rule in agreement_rules(library)
        for place, source in enumerate(suppliers(witnesses, rule.column))
    ]
    return found + [
        _result(source, rule, *authorities.get((str(rule.column), place), (0, 0)))
        for rule in doubt_rules(library)
        for place, source in enumerate(suppliers(witnesses, rule.column))
        if source.may_be_authority(rule.column)
    ]


def _said_sql(library: Library, rows: str) -> str:
    """One row per attribute, department, outcome and string of letters: few, however many `rows`, a query, are."""
    return " UNION ALL ".join(
        f"SELECT {quote(a)} AS attribute, {name(a + '_source')} AS source, {name(a + '_outcome')} AS outcome,"
        f" {name(a + '_said')} AS said, count(*) AS entities FROM ({rows}) GROUP BY ALL"
        for a in library.attributes
    )


def _summed(said: str) -> str:
    return (
        f"SELECT attribute, source, outcome, said, sum(entities)::BIGINT AS entities FROM ({said})"
        " GROUP BY ALL HAVING sum(entities) <> 0"
    )


Cells = dict[tuple[str, int], tuple[int, int]]  # attribute and place of the source among its suppliers: cells, failed


def _compared_cells(con: DuckDBPyConnection, places: int) -> Cells:
    """Cells compared and cells that differ."""
    return _cells(
        con,
        "SELECT attribute, place, sum(entities), coalesce(sum(entities) FILTER (letter = 'D'), 0)"
        f" FROM (SELECT *, substr(said, place + 1, 1) AS letter FROM {SAID}, range({places}) p(place))"
        " WHERE letter IN ('A', 'D') GROUP BY ALL",
    )


def _authority_cells(con: DuckDBPyConnection, library: Library, witnesses: Sequence[Source]) -> Cells:
    """Values of an authority that others spoke of too, and those of them in doubt.

    The value is that of the first of the department's sources with authority that agrees with what stands; where none
    does throughout, because records of one source differ, that of the first that speaks.
    """
    places = len(witnesses)
    stating = ", ".join(
        f"({quote(attribute)}, {place}, {quote(source.resource.department)})"
        for attribute in library.attributes
        for place, source in enumerate(suppliers(witnesses, attribute))
        if source.may_be_authority(attribute)
    )
    cells = (
        f"SELECT s.*, s.rowid AS cell, place, substr(said, place + 1, 1) AS letter FROM {SAID} s"
        f" JOIN (VALUES {stating or '(NULL, 0, NULL)'}) t(attribute, place, source) USING (attribute, source)"
        " WHERE outcome IN ('agreed', 'authority_prevails', 'authority_doubted')"
    )
    agreeing = (
        f"SELECT attribute, min(CASE letter WHEN 'a' THEN place ELSE place + {places} END) % {places} AS place,"
        f" entities, outcome FROM ({cells}) WHERE letter IN ('a', 'd') GROUP BY attribute, cell, entities, outcome"
    )
    return _cells(
        con,
        "SELECT attribute, place, sum(entities), coalesce(sum(entities) FILTER (outcome = 'authority_doubted'), 0)"
        f" FROM ({agreeing}) GROUP BY ALL",
    )


def _cells(con: DuckDBPyConnection, query: str) -> Cells:
    return {(attribute, place): (int(n), int(failed)) for attribute, place, n, failed in con.execute(query).fetchall()}


def _result(source: Source, rule: Rule, applicable: int, failed: int) -> RuleResult:
    return RuleResult(
        department=source.resource.department,
        resource=source.resource.name,
        rule_id=rule.id,
        dimension=rule.dimension,
        indicator=rule.indicator,
        severity=rule.severity.value,
        applicable=applicable,
        failed=failed,
    )
