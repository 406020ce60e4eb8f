"""Every rule of the catalogue in one place: which are in force on a day, and the book that tells them to people.

What a rule may state is `catalog.models.Rule`; rules on deliveries are the program's own (`quality_checks.punctuality`)
and stand in no catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from catalog.load import Catalog
from catalog.models import Rule
from quality_checks.comparison import agreement_rules
from quality_checks.rules import all_rules


def rule_book(catalog: Catalog) -> dict[str, Rule]:
    """Every rule of the catalogue by id, whenever it is in force."""
    rules = [rule for resource in catalog.resources.values() for rule in all_rules(resource, catalog)]
    rules += [rule for library in catalog.libraries.values() for rule in agreement_rules(library)]
    rules += [rule for table in catalog.thematic.values() for rule in table.rules]
    return {rule.id: rule for rule in rules}


def on_day(rules: Iterable[Rule], as_of: date) -> tuple[Rule, ...]:
    """The rules in force that day, as they are then: a tolerance that has run out is none."""
    return tuple(
        rule.model_copy(update={"tolerance": None}) if rule.tolerance and rule.tolerance.until < as_of else rule
        for rule in rules
        if rule.in_force(as_of)
    )
