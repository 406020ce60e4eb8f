"""The rules as the report site tells them: each rule's sentence, found by department, resource and rule id.

Add here when a new kind of rule gets an id of its own. What rules exist is the catalogue's and `quality_checks`'
business; nothing here evaluates one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from assets.report_words import FEEDS, Word
from catalog.frozen import Title
from catalog.load import Catalog
from catalog.models import Resource
from catalog.rules import Rule
from quality_checks.requests import SENTENCE, SUFFIX
from quality_checks.rule_book import rules_of_library
from quality_checks.rules import all_rules, baseline_rules, thematic_rules


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a rule asserts, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A kind of generated rule and how many there are."""

    word: Word
    count: int


class RuleBook:
    """Every rule of a catalogue, by id."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        shared = [rule for table in catalog.thematic.values() for rule in thematic_rules(catalog, table)]
        self._agreements = [rule for library in catalog.libraries.values() for rule in rules_of_library(library)]
        self._shared = {rule.id: rule for rule in [*shared, *self._agreements]}
        # Pages come department by department: the last few resources are asked for again and again.
        self._own = lru_cache(maxsize=256)(self._read_own)

    def of(self, resource: Resource) -> dict[str, Rule]:
        """Generated and written rules of one resource by id, in the catalogue's order."""
        return self._own(resource.id)

    def sentence(self, department: str, resource: str, rule_id: str) -> Sentence:
        """What the rule says; a rule the catalogue no longer has is told by its id."""
        rule = self._own(f"{department}.{resource}").get(rule_id) or self._shared.get(rule_id)
        if rule or rule_id.endswith(SUFFIX):
            told = rule or SENTENCE
            return Sentence(told.zh, told.en)
        return _feed_sentence(rule_id) or Sentence(rule_id, rule_id)

    def told(self, department: str, rule_id: str) -> Sentence:
        """What a rule of any of the department's resources says; generated rules begin with their resource's id."""
        for resource in self._catalog.of_department(department):
            if rule_id.startswith(f"{resource.id}.") or any(rule.id == rule_id for rule in resource.rules):
                return self.sentence(department, resource.name, rule_id)
        return self.sentence(department, "", rule_id)

    def chapters(self) -> list[tuple[Title, list[Rule]]]:
        """Written rules by department, thematic rules by table, then comparisons of sources; none without a rule."""
        catalog = self._catalog
        chapters = [
            (department.title, [rule for resource in catalog.of_department(name) for rule in resource.rules])
            for name, department in catalog.departments.items()
        ]
        chapters += [(table.title, list(thematic_rules(catalog, table))) for table in catalog.thematic.values()]
        chapters.append((Title(zh="多源比对", en="Sources compared"), list(self._agreements)))
        return [(title, rules) for title, rules in chapters if rules]

    def generated(self, words: Iterable[tuple[str, Word]]) -> list[Counted]:
        """How many baseline rules there are of each kind, the kind being the last part of the id."""
        kinds = Counter(
            rule.id.rpartition(".")[2]
            for resource in self._catalog.resources.values()
            for rule in baseline_rules(resource, self._catalog)
        )
        return [Counted(word, kinds[kind]) for kind, word in words]

    def _read_own(self, resource_id: str) -> dict[str, Rule]:
        resource = self._catalog.resources.get(resource_id)
        return {rule.id: rule for rule in all_rules(resource, self._catalog)} if resource else {}


def _feed_sentence(rule_id: str) -> Sentence | None:
    """Delivery rules end in `.delivery.<kind>`."""
    before, _, kind = rule_id.rpartition(".")
    said = FEEDS.get(kind) if before.endswith(".delivery") else None
    return Sentence(f"批次检查：{said.zh_note}", f"Delivery check: {said.en_note}") if said else None
