"""Every rule of the catalogue in one place: which are in force on a day, and the book that tells them to people.

What a rule may state is `catalog.rules.Rule`; rules on deliveries are the program's own (`quality_checks.punctuality`)
and stand in no catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Literal

from catalog.frozen import Title
from catalog.indicators import INDICATORS
from catalog.load import Catalog
from catalog.models import Library
from catalog.rules import METHODS, Rule, Severity
from quality_checks import comparison
from quality_checks.identity_findings import identified_rule
from quality_checks.rules import all_rules, thematic_rules
from quality_checks.suites import Suite, pool_suites, thematic_suites


def rule_book(catalog: Catalog) -> dict[str, Rule]:
    """Every rule of the catalogue by id, whenever it is in force."""
    rules = [rule for resource in catalog.resources.values() for rule in all_rules(resource, catalog)]
    rules += [rule for library in catalog.libraries.values() for rule in rules_of_library(library)]
    rules += [rule for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)]
    return {rule.id: rule for rule in rules}


def rules_of_library(library: Library) -> tuple[Rule, ...]:
    """What the library's sources are told by: comparisons, and whom records without a number were taken for."""
    identified = identified_rule(library)
    return (*comparison.rules(library), *((identified,) if identified else ()))


def on_day(rules: Iterable[Rule], as_of: date) -> tuple[Rule, ...]:
    """The rules in force that day, as they are then: a tolerance that has run out is none."""
    return tuple(
        rule.model_copy(update={"tolerance": None}) if rule.tolerance and rule.tolerance.until < as_of else rule
        for rule in rules
        if rule.in_force(as_of)
    )


def suites(catalog: Catalog) -> list[Suite]:
    """Every suite of the catalogue's pools and thematic tables."""
    found = [s for r in catalog.resources.values() for s in pool_suites(catalog, r, all_rules(r, catalog))]
    themes = [(table, thematic_rules(catalog, table)) for table in catalog.thematic.values()]
    return found + [s for table, rules in themes for s in thematic_suites(catalog, table, rules)]


def suites_by_rule(catalog: Catalog) -> list[Suite]:
    """A suite for each rule of the catalogue's pools and thematic tables alone: no other rule's lookups are in it."""
    found = [
        s for r in catalog.resources.values() for one in all_rules(r, catalog) for s in pool_suites(catalog, r, [one])
    ]
    themes = [(table, rule) for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)]
    return found + [s for table, rule in themes for s in thematic_suites(catalog, table, [rule])]


Language = Literal["zh", "en"]
_SEVERITIES = {
    Severity.block: Title(zh="阻断：记录不进入基础库", en="block: keeps the record out of base libraries"),
    Severity.error: Title(zh="错误", en="error"),
    Severity.warn: Title(zh="警告", en="warning"),
    Severity.info: Title(zh="提示", en="notice"),
}
_WORDS = {
    "book": Title(zh="规则手册", en="Rule book"),
    "compared": Title(zh="多源比对", en="Sources compared"),
    "source": Title(zh="依据", en="source"),
    "severity": Title(zh="等级", en="severity"),
    "column": Title(zh="数据项", en="column"),
    "when": Title(zh="前提", en="applies where"),
    "that": Title(zh="条件", en="holds when"),
    "unique": Title(zh="组合不得重复", en="no two records agree in"),
    "depends": Title(zh="取值由其决定", en="is determined by"),
    "denied": Title(zh="两条记录不得同时", en="no two records stand together where"),
    "failing": Title(zh="违反的记录", en="records that break it"),
    "suggest": Title(zh="建议值", en="suggested value"),
    "method": Title(zh="建议依据", en="found by"),
    "because": Title(zh="原因写明", en="the reason tells"),
    "force": Title(zh="有效期", en="in force"),
    "tolerance": Title(zh="容许比例", en="tolerated"),
    "owner": Title(zh="规则负责人", en="owner"),
    "remedy": Title(zh="如何更正", en="what to do"),
    "version": Title(zh="版本", en="version"),
}


def told(catalog: Catalog, language: Language) -> str:
    """The rule book as Markdown: every rule with its sentence, reason and exact condition, by table."""
    parts = [f"# {_say('book', language)}"]
    chapters = [(resource.title, resource.id, all_rules(resource, catalog)) for resource in catalog.resources.values()]
    chapters += [(table.title, table.id, thematic_rules(catalog, table)) for table in catalog.thematic.values()]
    compared = tuple(rule for library in catalog.libraries.values() for rule in rules_of_library(library))
    chapters.append((_WORDS["compared"], "", compared))
    for title, table, rules in chapters:
        if rules:
            parts.append(f"## {_in(title, language)}" + (f" `{table}`" if table else ""))
            parts += [_article(rule, language) for rule in rules]
    return "\n\n".join(parts) + "\n"


def _in(title: Title, language: Language) -> str:
    return title.zh if language == "zh" else title.en


def _say(word: str, language: Language) -> str:
    return _in(_WORDS[word], language)


def _article(rule: Rule, language: Language) -> str:
    sentence = rule.zh if language == "zh" else rule.en
    colon = "：" if language == "zh" else ": "
    lines = [f"* {_say(word, language)}{colon}{text}" for word, text in _facts(rule, language)]
    return "\n".join([f"### {rule.id}", "", sentence, "", *lines])


def _facts(rule: Rule, language: Language) -> Iterator[tuple[str, str]]:
    indicator, dimension = INDICATORS[rule.indicator]
    severity = _in(_SEVERITIES[rule.severity], language)
    force = f"{rule.valid_from or '…'} – {rule.valid_to or '…'}"
    known = rule.tolerance
    tolerated = f"{known.share:.2%}, {known.reason} ({known.until})" if known else ""
    facts = {
        "column": f"`{rule.column}`",
        "severity": f"{severity} · GB/T 36344 {rule.indicator} {indicator} ({dimension})",
        "source": rule.source + (f" · {rule.standard}" if rule.standard else ""),
        **_conditions(rule),
        "method": _in(METHODS[rule.method], language) if rule.method else "",
        "because": rule.because or "",
        "version": str(rule.version),
        "force": force if rule.valid_from or rule.valid_to else "",
        "tolerance": tolerated,
        "owner": rule.owner or "",
        "remedy": _in(rule.remedy, language) if rule.remedy else "",
    }
    yield from ((word, text) for word, text in facts.items() if text)


def _conditions(rule: Rule) -> dict[str, str]:
    denied = ""
    if rule.denied:
        denied = " and ".join([*(f"a.{column} = b.{column}" for column in rule.denied.same), rule.denied.never])
    code = {
        "when": "" if rule.when == "true" else rule.when,
        "that": rule.that,
        "unique": ", ".join(rule.unique),
        "depends": ", ".join(rule.depends),
        "denied": denied,
        "failing": rule.failing,
        "suggest": rule.suggest,
    }
    return {word: f"`{text}`" for word, text in code.items() if text}
