"""Plants: for every rule of the catalogue, how a record goes wrong so that this rule finds it.

Generated rules and comparisons of sources are planted alike everywhere, here; written rules each in their own way, in
`written`. Which records are taken is `planting`, what departments do about them `stories`. Rules about deliveries are
planted by `stories` too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from catalog.columns import Column, ColumnType, Identifier
from catalog.load import Catalog
from catalog.models import Library, Resource
from catalog.rules import Rule
from demo.written import WRITTEN, Wrong
from quality_checks.comparison import agreement_rules, doubt_rules
from quality_checks.macros import name as quoted
from quality_checks.macros import quote
from quality_checks.rules import SMALL_LIST, baseline_rules, read_codes, thematic_rules
from quality_checks.suites import verdict
from quality_checks.telling import offer

SWAP_LAST = "left({0}, -1) || CASE right({0}, 1) WHEN '{1}' THEN '{2}' ELSE '{1}' END"


@dataclass(frozen=True)
class Plant:
    """One way to break one rule in one resource.

    `cells` are the columns that change, as SQL over the clean record (all columns text; with a guest, `g.` over that
    row); `where` says which records will do. With `extra` the wrong record comes in addition and the clean one stays.
    `column` is where the finding points; `suggest` is None, "clean" (the true value) or SQL over the typed record.
    `own` rules look at nothing but the record.
    """

    rule_id: str
    resource: Resource
    column: str
    cells: Mapping[str, str]
    where: str = "true"
    guest: str = ""
    extra: bool = False
    suggest: str | None = None
    own: bool = True
    ordered: bool = True  # the finding opens an order; one of severity info does not
    kind: str = ""  # last word of a generated rule's id
    limit: int | None = None

    @property
    def moves(self) -> bool:
        """Whether the wrong record stands under another key than the right one."""
        return self.extra or not self.cells.keys().isdisjoint(self.resource.key)

    @property
    def accuses(self) -> bool:
        """Whether the wrong value could make other registers look wrong."""
        said = {word for text in self.resource.supplies.values() for word in text.replace("'", " ").split()}
        return self.kind not in ("required", "type", "agrees", "doubted") and not self.cells.keys().isdisjoint(said)


def plants_for(resource: Resource, catalog: Catalog) -> list[Plant]:
    """All plants of one resource, those with the narrowest choice of records first."""
    found = [plant for rule in baseline_rules(resource, catalog) for plant in _generated(resource, rule, catalog)]
    found += [_written(resource, rule) for rule in resource.rules if rule.id in WRITTEN]
    for table in catalog.thematic.values():
        for rule in thematic_rules(catalog, table):
            if rule.id in WRITTEN and rule.accuse and rule.accuse.resource == resource.id:
                found.append(_written(resource, rule, wide=True))
    found += _disagreements(resource, catalog)
    found += _doubts(resource, catalog)
    return sorted(found, key=lambda plant: plant.where == "true" and not plant.guest)


def unplanted(catalog: Catalog) -> list[str]:
    """Rules of the catalogue that no plant breaks, although one could."""
    there = {plant.rule_id for resource in catalog.resources.values() for plant in plants_for(resource, catalog)}
    wanted = {
        rule.id
        for resource in catalog.resources.values()
        for rule in (*baseline_rules(resource, catalog), *resource.rules)
    }
    wanted |= {rule.id for table in catalog.thematic.values() for rule in thematic_rules(catalog, table) if rule.accuse}
    for library in catalog.libraries.values():
        wanted |= {rule.id for rule in agreement_rules(library) if len(_tellers(catalog, library, rule.column)) > 1}
    return sorted(wanted - there)


def _tellers(catalog: Catalog, library: Library, attribute: str) -> set[str]:
    """Departments that state the attribute: what one alone says cannot be contradicted."""
    return {r.department for r in catalog.sources_of(library.name) if attribute in r.supplies}


def _written(resource: Resource, rule: Rule, *, wide: bool = False) -> Plant:
    wrong: Wrong = WRITTEN[rule.id]
    words = [*(f"{alias}." for alias in rule.lookup), "(select "]
    looked = any(word in (rule.suggest or "") for word in words) or wide
    offered = "clean" if looked or rule.depends else _offered(rule)
    return Plant(
        rule_id=rule.id,
        resource=resource,
        column=rule.column,
        cells=wrong.cells,
        where=wrong.where,
        guest=wrong.guest,
        extra=wrong.extra,
        suggest=offered if rule.offered and wrong.suggests else None,
        own=not rule.lookup and not rule.of_several and not wide,
        ordered=rule.severity != "info",
    )


def _generated(resource: Resource, rule: Rule, catalog: Catalog) -> Iterator[Plant]:
    kind = rule.id.rpartition(".")[2]
    plain = Plant(rule_id=rule.id, resource=resource, column=rule.column, cells={}, kind=kind)
    if kind == "unique":
        yield replace(plain, extra=True)
        return
    cell, where = _cell(resource, rule.column, resource.columns[rule.column], kind, catalog)
    limit = 1 if kind == "required" and rule.column in resource.key else None
    yield replace(plain, cells={rule.column: cell}, where=where, suggest=_offered(rule), limit=limit)


def _offered(rule: Rule) -> str | None:
    """What the rule offers for a wrong record, as SQL over the record alone."""
    return offer(rule, verdict(rule)) if rule.suggest and not rule.lookup else rule.suggest


def _cell(resource: Resource, name: str, column: Column, kind: str, catalog: Catalog) -> tuple[str, str]:
    """The wrong value and which records can take it."""
    value = quoted(name)
    stated = f"{value} IS NOT NULL"
    if kind == "required":
        return "NULL", stated
    if kind == "type":
        wrong = {
            ColumnType.date: "'2026-02-30'",
            ColumnType.timestamp: "'昨天下午'",
            ColumnType.boolean: "'也许'",
        }.get(column.logical_type, "'约' || coalesce(" + value + ", '3')")
        return wrong, "true"
    if kind == "length":
        most = (column.max_length or 0) + 7
        return f"left(repeat(coalesce({value}, '') || '附', {most}), {most})", "true"
    if kind == "phone":
        return f"left({value}, -3)", f"{value} IS NOT NULL"
    if kind == "code":
        return _wrong_code(value, column, catalog), stated
    if kind == "identifier":
        return _wrong_identifier(resource, name, column)
    raise ValueError(f"generated rule kind {kind} has no plant")


def _wrong_code(value: str, column: Column, catalog: Catalog) -> str:
    """The code's name for short lists, full-width digits for long ones: what people write instead of codes."""
    listed = read_codes(catalog.code_file(column.codes or ""))
    if len(listed) > SMALL_LIST:
        wide = f"translate({value}, '0123456789', '０１２３４５６７８９')"
        return f"CASE WHEN {wide} <> {value} THEN {wide} ELSE {value} || '？' END"
    pairs = ", ".join(f"{quote(code)}: {quote(zh)}" for code, (zh, _) in listed.items() if zh not in listed)
    return f"coalesce(MAP {{{pairs}}}[{value}], {value} || '？')"


def _wrong_identifier(resource: Resource, name: str, column: Column) -> tuple[str, str]:
    value = quoted(name)
    wrong = SWAP_LAST.format(value, "7", "3")
    if column.identifier is Identifier.person_id:
        id_type = resource.id_type_of(name)
        typed = f" AND {quoted(id_type)} IN ('111', '154')" if id_type else ""
        return wrong, f"regexp_full_match({value}, '[1-8].{{17}}'){typed}"
    return wrong, f"{value} IS NOT NULL"


# Another valid value, by library attribute. A comparison that other rules of the record would see is not planted there.
PERSON_OF_1900 = "(left({0}, 6) || '19000101' || right('00' || hash({0}) % 1000, 3))"
OTHERWISE: dict[str, str] = {
    "population.sex": "CASE {0} WHEN '1' THEN '2' ELSE '1' END",
    "population.id_type": "CASE {0} WHEN '113' THEN '111' ELSE '113' END",
    "population.ethnic_group": "CASE {0} WHEN '03' THEN '01' ELSE '03' END",
    "population.marital_status": "CASE {0} WHEN '10' THEN '20' ELSE '10' END",
    "legal_entity.status": "CASE {0} WHEN '1' THEN '6' ELSE '1' END",
    "legal_entity.industry": "CASE {0} WHEN '01' THEN '13' ELSE '01' END",
    "legal_entity.legal_representative_id": f"{PERSON_OF_1900} || id_check_digit({PERSON_OF_1900})",
    "certificate.certificate_type": "'business_licence'",
    "certificate.holder_number": "(SELECT uscc FROM org_pillar WHERE place = 3)",
    "certificate.issuer": "(SELECT min(uscc) FROM organisation WHERE pillar AND prefix = '12')",
    "certificate.status": "'02'",
    "social_credit.tax_credit_grade": "CASE {0} WHEN 'A' THEN 'B' ELSE 'A' END",
}
SEEN_OTHERWISE = ("id_birth_date", "id_sex", "left(uscc, 2)")


def _another(library: str, attribute: str, column: Column, value: str) -> str:
    known = OTHERWISE.get(f"{library}.{attribute}")
    if known:
        return known.format(value)
    if attribute == "division":
        return f"CASE {value} WHEN '341502' THEN '341503' ELSE '341502' END"
    if column.logical_type is ColumnType.date:
        return f"({value}::DATE + 1)::VARCHAR"
    if column.logical_type is ColumnType.decimal:
        return f"({value}::DECIMAL(18, 4) + 1)::VARCHAR"
    return f"{value} || '子'"


def _disagreements(resource: Resource, catalog: Catalog) -> Iterator[Plant]:
    """A department states another valid value than the authority, where the authority speaks of the same entity."""
    if resource.describes is None or resource.describes.by is None:
        return
    library = catalog.libraries[resource.describes.library]
    for rule in agreement_rules(library):
        attribute = rule.column
        said = resource.supplies.get(attribute, "")
        if guest := WRITTEN.get(f"{rule.id}@{resource.id}"):
            yield Plant(
                rule_id=rule.id,
                resource=resource,
                column=said if said in resource.columns else attribute,
                cells=guest.cells,
                where=guest.where,
                guest=guest.guest,
                extra=guest.extra,
                suggest="clean",
                own=False,
                ordered=rule.severity != "info",
                kind="agrees",
            )
            continue
        better = _better(catalog, library, resource, attribute)
        if said not in resource.columns or not better or _noticed(resource, said):
            continue
        among = " UNION ALL ".join(_speakers(one, attribute) for one in better)
        value = quoted(said)
        told = f"{value} IS NOT NULL AND ({resource.describes.by}) IN ({among})"
        where = f"{told} AND NOT {_own_say(library, resource, attribute)}"
        yield _contradicts(resource, library, rule, said, where=where, kind="agrees")


def _doubts(resource: Resource, catalog: Catalog) -> Iterator[Plant]:
    """An authority states another valid value than so many independent departments agree on that it is in doubt."""
    if resource.describes is None or resource.describes.by is None:
        return
    library = catalog.libraries[resource.describes.library]
    for rule in doubt_rules(library):
        attribute = rule.column
        stated = library.attributes[attribute]
        said = resource.supplies.get(attribute, "")
        terms = stated.authority.everyone() if stated.authority else ()
        if said not in resource.columns or _compared_within(resource, said):
            continue
        if not any(term.department == resource.department for term in terms):
            continue
        named = [r for r in catalog.sources_of(library.name) if r.describes and r.describes.by and r.id != resource.id]
        telling = [one for one in named if attribute in one.supplies]
        own = [_speakers(one, attribute) for one in telling if one.department == resource.department]
        others = [one for one in telling if one.department != resource.department and not _received(one, attribute)]
        if len({one.department for one in others}) < stated.doubted_by:
            continue
        told = " UNION ALL ".join(
            f"SELECT key, {quote(one.department)} AS department FROM ({_speakers(one, attribute)}) s(key)"
            for one in others
        )
        among = f"SELECT key FROM ({told}) GROUP BY key HAVING count(DISTINCT department) >= {stated.doubted_by}"
        key, value = f"({resource.describes.by})", quoted(said)
        say = _own_say(library, resource, attribute) if stated.authority and stated.authority.by else "true"
        alone = f" AND {key} NOT IN ({' UNION ALL '.join(own)})" if own else ""
        where = f"{value} IS NOT NULL AND {key} IN ({among}) AND {say}{alone}"
        yield _contradicts(resource, library, rule, said, where=where, kind="doubted")


def _contradicts(resource: Resource, library: Library, rule: Rule, said: str, *, where: str, kind: str) -> Plant:
    """Another valid value in the column `said` than other departments state."""
    return Plant(
        rule_id=rule.id,
        resource=resource,
        column=said,
        cells={said: _another(library.name, rule.column, resource.columns[said], quoted(said))},
        where=where,
        suggest="clean",
        own=False,
        ordered=rule.severity != "info",
        kind=kind,
    )


def _compared_within(resource: Resource, column: str) -> bool:
    """Whether a rule holds the column against others of the record: then the wrong value puts itself in doubt."""
    graver = [set(re.findall(r"\w+", rule.condition)) for rule in resource.rules if rule.severity != "info"]
    return any(column in words and len(words & resource.columns.keys()) > 1 for words in graver)


def _received(resource: Resource, attribute: str) -> bool:
    """Whether another department gave the resource what it says of the attribute."""
    column = resource.columns.get(resource.supplies[attribute])
    return bool(resource.received_from or (column and column.received_from))


def _own_say(library: Library, resource: Resource, attribute: str) -> str:
    """Whether the resource's department has the say on the entity of the record, as SQL over the record."""
    authority = library.attributes[attribute].authority
    if authority is None or not authority.by or resource.describes is None:
        return "false"
    own = [
        quote(kind) for kind, terms in authority.of.items() if any(t.department == resource.department for t in terms)
    ]
    said = f"(SELECT {authority.by} FROM (SELECT {resource.describes.by} AS key))"
    return f"coalesce({said} IN ({', '.join(own)}), false)" if own else "false"


def _speakers(better: Resource, attribute: str) -> str:
    """Query: the entities of whom a resource states the attribute."""
    said = better.supplies[attribute]
    stated = f" WHERE {quoted(said)} IS NOT NULL" if said in better.columns else ""
    named = better.describes.by or "" if better.describes else ""
    return f"SELECT {named} FROM feed.{quoted(better.id)}{stated}"


def _noticed(resource: Resource, column: str) -> bool:
    return any(
        rule.column == column and any(word in rule.condition for word in SEEN_OTHERWISE) for rule in resource.rules
    )


def _better(catalog: Catalog, library: Library, resource: Resource, attribute: str) -> list[Resource]:
    """Resources of departments whose word on the attribute stands above this one's."""
    if attribute not in resource.supplies:
        return []
    stated = library.attributes[attribute]
    present = stated.authorities(date.max)
    by_kind = bool(stated.authority and stated.authority.by)  # then another registrar may have the say on an entity
    if resource.department in present and not by_kind:
        return []
    order = list(stated.substitutes)
    own = order.index(resource.department) if resource.department in order else len(order)
    better = present.union(order[:own]) - {resource.department}
    named = [r for r in catalog.sources_of(library.name) if r.describes and r.describes.by]
    return [r for r in named if attribute in r.supplies and r.department in better]
