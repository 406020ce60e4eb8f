"""Which figure stands on which page: from all figures to the values each template names, in plain selections.

Add here when a page shows a figure it did not show before. Reading figures is `assets.report_figures` and
`assets.report_ledger`; files are `assets.reports`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from markupsafe import Markup

from assets.report_figures import (
    HISTORY,
    Delivery,
    DeliveryDay,
    Figures,
    FindingCount,
    Movement,
    Quarantined,
    RuleFigure,
)
from assets.report_html import both
from assets.report_ledger import DUE_SOON_DAYS, ItemChange, Ledger, Order, OrderCount
from assets.report_libraries import OUTCOMES
from assets.report_rules import RuleBook, Sentence
from assets.report_scores import Precision, Ratio, Scorecard
from assets.report_words import BASELINE, DIMENSIONS, FEEDS, SEVERITIES, STATES, WITH_BUREAU, Word, word
from catalog.frozen import Title
from catalog.load import Catalog
from catalog.models import Department, Resource
from catalog.rules import Rule
from quality_checks.corrections import SETTLED
from quality_checks.order_states import OrderState

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)
Page = dict[str, Any]
RUNNING = frozenset({OrderState.open, OrderState.notified})  # of an order: its deadline can pass

WORST_RULES = 15
LISTED_FEEDS = 20
LISTED_ERRORS = 20
OVERVIEW_PROBLEMS = 10
LISTED_PROBLEMS = 1_000
LISTED_DELIVERIES = 5_000  # rows of the delivery page, in whole days


@dataclass(frozen=True, slots=True)
class FindingTotal:
    """Findings added up."""

    open: int
    new: int
    closed: int


@dataclass(frozen=True, slots=True)
class DepartmentLine:
    """One department on the overview."""

    name: str
    orders: OrderCount
    findings: FindingTotal
    blocking: int
    feeds: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order on its department's page; `clock` is overdue, soon or empty, also where it does not run."""

    order: Order
    sentence: Sentence
    clock: str
    days_left: int


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule with its last result; `ratio` is null when it was never evaluated."""

    department: str
    resource: str
    rule_id: str
    sentence: Sentence
    severity: str
    dimension: str
    ratio: Ratio | None
    error: bool
    open: int
    as_of: date | None


@dataclass(frozen=True, slots=True)
class ResourceLine:
    """One resource on its department's page."""

    resource: Resource
    newest: Delivery | None
    card: Scorecard
    open: int


@dataclass(frozen=True, slots=True)
class PrecisionLine:
    """One rule that somebody objected to."""

    sentence: Sentence
    rule: Precision


@dataclass(frozen=True, slots=True)
class StateLine:
    """Items in one state of the whole city."""

    word: Word
    whose: str
    items: int


_NO_CARD = Scorecard(None, None, "", small_sample=False, checks=0, dimensions={}, indicators={}, months=())


class Site:
    """All figures, grouped once so that a page only looks up its own."""

    def __init__(self, catalog: Catalog, figures: Figures, ledger: Ledger) -> None:
        self.catalog = catalog
        self.figures = figures
        self.ledger = ledger
        self.rules = RuleBook(catalog)
        self._deliveries = grouped(figures.deliveries, lambda d: (d.department, d.resource))
        self._findings = grouped(figures.findings, lambda f: (f.department, f.resource))
        self._department_findings = grouped(figures.findings, lambda f: f.department)
        self._feeds = grouped(figures.feeds, lambda f: f.department)
        self._results = grouped(figures.results, lambda r: (r.department, r.resource))
        self._passes = grouped(figures.resource_passes, lambda p: (p.department, p.resource))
        self._movements = grouped(figures.movements, lambda m: m.department)
        ever = [count for count in figures.quarantine if count.delivery_id is None]
        self._quarantine = grouped(ever, lambda q: (q.department, q.resource))
        self._quarantine_of = grouped(figures.quarantine, lambda q: q.delivery_id)
        self._orders = grouped(ledger.orders, lambda o: o.department)
        self._doubts = grouped(ledger.doubts, lambda d: d.department)
        self._counts = {count.department: count for count in ledger.counts}
        self._changes = {change.department: change for change in ledger.changes}

    def resource(self, department: str, resource: str) -> Resource | None:
        """The catalogue's entry; null for what it does not know."""
        return self.catalog.resources.get(f"{department}.{resource}")

    def resource_title(self, department: str, resource: str) -> Title | None:
        found = self.resource(department, resource)
        return found.title if found else None

    def department_title(self, department: str) -> Title | None:
        found = self.catalog.departments.get(department)
        return found.title if found else None

    def quarantined(self, delivery: Delivery) -> list[Quarantined]:
        """What of one recent delivery is in quarantine, by reason."""
        return self._quarantine_of.get(delivery.delivery_id, [])

    def overview(self) -> Page:
        """The city at one glance."""
        figures, ledger = self.figures, self.ledger
        today = day_total([day for day in figures.days if day.as_of == figures.as_of])
        late = [feed for feed in figures.feeds if feed.kind == "late"]
        late.sort(key=lambda feed: (feed.first_seen, feed.department, feed.resource))
        errors = [result for result in figures.results if result.state == "error"]
        return {
            "today": today,
            "ever": day_total(figures.days),
            "findings": finding_total(figures.findings),
            "severities": by_severity(figures.findings),
            "blocking": sum(count.open for count in figures.findings if count.severity == "block"),
            "orders": order_total(ledger.counts),
            "changes": change_total(ledger.changes),
            "items_open": sum(count.items for count in ledger.items if count.state not in SETTLED),
            "departments": self._department_lines(),
            "city_card": self._card("city", "city"),
            "score_lines": [(name, self._card("department", name)) for name in self.catalog.departments],
            "library_lines": [(one.title, self._card("library", name)) for name, one in self.catalog.libraries.items()],
            "days": figures.passes,
            "movements": self._movement(None),
            "worst": self._worst(),
            "errors": [self._rule_line(result, 0) for result in errors[:LISTED_ERRORS]],
            "error_count": len(errors),
            "delivering": self._delivering(),
            "late": late[:LISTED_FEEDS],
            "late_count": len(late),
            "problems": [delivery for delivery in figures.deliveries if not delivery.is_clean][:OVERVIEW_PROBLEMS],
            "states": self._states(),
            "severity_words": SEVERITIES,
            "dimension_words": DIMENSIONS,
        }

    def department(self, department: Department) -> Page:
        """One department: what it owes, by when, and how its resources stand."""
        name = department.name
        findings = self._department_findings.get(name, [])
        feeds = self._feeds.get(name, [])
        return {
            "department": department,
            "resources": [self._resource_line(resource) for resource in self.catalog.of_department(name)],
            "findings": finding_total(findings),
            "severities": by_severity(findings),
            "counts": self._order_count(name),
            "doubts": self._doubts.get(name, []),
            "changes": self._changes.get(name, ItemChange(name, 0, 0, 0)),
            "orders": [self._order_line(order) for order in self._orders.get(name, [])],
            "card": self._card("department", name),
            **self._precision(name),
            "feeds": feeds,
            "late": sum(feed.kind == "late" for feed in feeds),
            "days": self.figures.passes,
            "movements": self._movement(name),
        }

    def resource_page(self, resource: Resource) -> Page:
        """One resource: what arrived, and what every rule found in it."""
        place = (resource.department, resource.name)
        findings = self._findings.get(place, [])
        failed = {entry.as_of: entry.failed for entry in self._passes.get(place, [])}
        return {
            "resource": resource,
            "department": self.catalog.departments[resource.department],
            "findings": finding_total(findings),
            "severities": by_severity(findings),
            "feeds": [feed for feed in self._feeds.get(resource.department, []) if feed.resource == resource.name],
            "card": self._card("resource", resource.id),
            "rules": self._rule_lines(resource, findings),
            "days": self.figures.passes,
            "failed": [failed.get(day, 0) for day in self.figures.passes],
            "quarantine": self._quarantine.get(place, []),
            "deliveries": self._deliveries.get(place, []),
            "history": HISTORY,
        }

    def deliveries(self) -> Page:
        """Every file that arrived, in whole days until the page is long enough; problems first."""
        listed: dict[date | None, list[Delivery]] = {}
        rows = 0
        for day, deliveries in grouped(self.figures.deliveries, lambda d: d.as_of).items():
            if listed and rows + len(deliveries) > LISTED_DELIVERIES:
                break
            listed[day] = deliveries
            rows += len(deliveries)
        problems = [delivery for delivery in self.figures.deliveries if not delivery.is_clean]
        return {
            "problems": problems[:LISTED_PROBLEMS],
            "problem_count": len(problems),
            "due": (due := [one for one in self.figures.due if one.state != "expected"])[:LISTED_PROBLEMS],
            "due_count": len(due),
            "days_table": self.figures.days,
            "listed": listed,
            "complete": rows == sum(day.deliveries for day in self.figures.days),
        }

    def libraries(self) -> Page:
        """Every library, and the attributes on which nobody has the say."""
        figures = list(self.figures.libraries.values())
        return {
            "libraries": figures,
            "without": [(one, attribute) for one in figures for attribute in one.without_authority],
        }

    def library(self, name: str) -> Page:
        """One library: registry, outcomes, agreement of its sources, coverage and independence."""
        one = self.figures.libraries[name]
        said = {(s.department, s.resource, s.attribute): s for a in one.attributes for s in a.said}
        places = sorted({place[:2] for place in said})
        return {
            "one": one,
            "outcomes": OUTCOMES,
            "sources": [(*place, [said.get((*place, a.name)) for a in one.attributes]) for place in places],
            "grouped": [pair for pair in one.pairs if pair.together],
            "speaker": self._speaker,
        }

    def _speaker(self, origin: str) -> Markup:
        """A department, or one resource of it, as an authority or substitute is named."""
        department, _, resource = origin.partition(".")
        owner = self.department_title(department) or Title(zh=department, en=department)
        titled = self.resource_title(department, resource) if resource else None
        return both(f"{owner.zh}{titled.zh}", f"{owner.en}: {titled.en}") if titled else both(owner.zh, owner.en)

    def rule_book(self) -> Page:
        """Every rule's sentence."""
        return {
            "chapters": self.rules.chapters(),
            "baseline": self.rules.generated(BASELINE.items()),
            "feed_words": list(FEEDS.values()),
        }

    def themes(self) -> Page:
        """Every thematic table's contract and how it is kept."""
        return {"themes": self.figures.themes}

    def _delivering(self) -> int:
        as_of = self.figures.as_of
        known = self.catalog.departments
        return len({d.department for d in self.figures.deliveries if d.as_of == as_of and d.department in known})

    def _department_lines(self) -> list[DepartmentLine]:
        lines = []
        for name in self.catalog.departments:
            findings = self._department_findings.get(name, [])
            blocking = sum(f.open for f in findings if f.severity == "block")
            feeds = len(self._feeds.get(name, []))
            lines.append(DepartmentLine(name, self._order_count(name), finding_total(findings), blocking, feeds))
        return sorted(lines, key=lambda line: (-line.orders.overdue, -line.orders.open, -line.findings.open, line.name))

    def _worst(self) -> list[RuleLine]:
        failing = [result for result in self.figures.results if result.state == "ok" and result.failed]
        failing.sort(key=lambda r: (-r.failed, r.department, r.resource, r.rule_id))
        return [self._rule_line(result, 0) for result in failing[:WORST_RULES]]

    def _rule_lines(self, resource: Resource, findings: Sequence[FindingCount]) -> list[RuleLine]:
        """The catalogue's rules and any other that was evaluated on the resource, most failures first."""
        place = (resource.department, resource.name)
        found = {count.rule_id: count.open for count in findings}
        results = self._results.get(place, [])
        lines = [self._rule_line(result, found.get(result.rule_id, 0)) for result in results]
        evaluated = {result.rule_id for result in results}
        lines += [
            _never_evaluated(resource, rule)
            for rule_id, rule in self.rules.of(resource).items()
            if rule_id not in evaluated
        ]
        return sorted(lines, key=lambda line: (not line.error, -(line.ratio.failed if line.ratio else 0), -line.open))

    def _rule_line(self, result: RuleFigure, opened: int) -> RuleLine:
        error = result.state == "error"
        return RuleLine(
            department=result.department,
            resource=result.resource,
            rule_id=result.rule_id,
            sentence=self.rules.sentence(result.department, result.resource, result.rule_id),
            severity=result.severity,
            dimension=result.dimension,
            ratio=None if error else Ratio(result.applicable, result.failed),
            error=error,
            open=opened,
            as_of=result.as_of,
        )

    def _resource_line(self, resource: Resource) -> ResourceLine:
        place = (resource.department, resource.name)
        newest = next(iter(self._deliveries.get(place, [])), None)
        opened = sum(count.open for count in self._findings.get(place, []))
        return ResourceLine(resource, newest, self._card("resource", resource.id), opened)

    def _order_line(self, order: Order) -> OrderLine:
        sentence = self.rules.sentence(order.department, order.resource, order.rule_id)
        left = (order.due_on - self.figures.as_of).days
        return OrderLine(order, sentence, clock(left) if order.state in RUNNING else "", left)

    def _order_count(self, department: str) -> OrderCount:
        return self._counts.get(department, OrderCount(department, 0, 0, 0, 0))

    def _card(self, scope: str, name: str) -> Scorecard:
        return self.figures.scores.cards.get((scope, name), _NO_CARD)

    def _precision(self, department: str) -> Page:
        """The rules somebody objected to, each with its sentence, and how many rules nobody objected to."""
        rules = self.figures.scores.precision.get(department, ())
        disputed = [PrecisionLine(self.rules.told(department, one.rule_id), one) for one in rules if one.objections]
        return {"disputed": disputed, "undisputed": len(rules) - len(disputed)}

    def _movement(self, department: str | None) -> list[Movement]:
        known = {movement.as_of: movement for movement in self._movements.get(department, [])}
        return [known.get(day, Movement(department, day, 0, 0, 0)) for day in self.figures.passes]

    def _states(self) -> list[StateLine]:
        """Every state in the order of the words, also those no item is in; a state without a word comes last."""
        counts: dict[str, int] = defaultdict(int)
        for count in self.ledger.items:
            counts[count.state] += count.items
        names = [*map(str, STATES), *(name for name in counts if name not in STATES)]
        return [StateLine(word(STATES, name), whose_turn(name), counts[name]) for name in names]


def clock(days_left: int) -> str:
    """How urgent a due date is, as the style sheet calls it."""
    if days_left < 0:
        return "overdue"
    return "soon" if days_left <= DUE_SOON_DAYS else ""


def whose_turn(state: str) -> str:
    """Who has to act on an item: department, bureau, or closed; empty for a state this version does not know."""
    if state not in STATES:
        return ""
    if state in SETTLED:
        return "closed"
    return "bureau" if state in WITH_BUREAU else "department"


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Rows by key, in the order they came."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def day_total(days: Sequence[DeliveryDay]) -> DeliveryDay:
    """Several days of deliveries as one."""
    return DeliveryDay(
        as_of=None,
        deliveries=sum(day.deliveries for day in days),
        rejected=sum(day.rejected for day in days),
        rows_delivered=sum(day.rows_delivered for day in days),
        rows_pooled=sum(day.rows_pooled for day in days),
        rows_quarantined=sum(day.rows_quarantined for day in days),
    )


def finding_total(counts: Iterable[FindingCount]) -> FindingTotal:
    """Findings of several rules added up."""
    listed = list(counts)
    return FindingTotal(sum(c.open for c in listed), sum(c.new for c in listed), sum(c.closed for c in listed))


def by_severity(counts: Iterable[FindingCount]) -> list[tuple[str, int]]:
    """Open findings of each severity, the gravest first, also where there are none."""
    opened: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for count in counts:
        opened[count.severity] = opened.get(count.severity, 0) + count.open
    return list(opened.items())


def order_total(counts: Sequence[OrderCount]) -> OrderCount:
    """Orders of several departments added up."""
    return OrderCount(
        department="",
        open=sum(count.open for count in counts),
        due_soon=sum(count.due_soon for count in counts),
        overdue=sum(count.overdue for count in counts),
        closed=sum(count.closed for count in counts),
        held=sum(count.held for count in counts),
        accepted=sum(count.accepted for count in counts),
    )


def change_total(changes: Sequence[ItemChange]) -> ItemChange:
    """What the pass changed in several departments, added up."""
    return ItemChange(
        department="",
        new=sum(change.new for change in changes),
        verified=sum(change.verified for change in changes),
        relapsed=sum(change.relapsed for change in changes),
    )


def _never_evaluated(resource: Resource, rule: Rule) -> RuleLine:
    return RuleLine(
        department=resource.department,
        resource=resource.name,
        rule_id=rule.id,
        sentence=Sentence(rule.zh, rule.en),
        severity=rule.severity.value,
        dimension=rule.dimension,
        ratio=None,
        error=False,
        open=0,
        as_of=None,
    )
