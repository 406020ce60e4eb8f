"""What a monitoring report shows, read from frozen figures alone: lines of figures, comparison, changes, the list.

`assets.supervision_files` writes it; nothing is counted here. A department's report holds its own rows and no other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from assets.report_html import share
from assets.report_words import DIMENSIONS, Word
from assets.supervision import Cause, Change, Version, causes, changes, heads, versions
from catalog.frozen import Title
from catalog.load import Catalog
from quality_checks.supervision import Period
from quality_checks.supervision_figures import BALANCE, CRITERIA, FIGURES, Criterion
from resources.city import City
from resources.ledger import Head

KEY_FIGURES = (
    "orders_issued", "items_issued", "answered_in_time", "answered_late", "unanswered", "corrected_as_suggested",
    "corrected_otherwise", "median_days", "failed_again", "objections_upheld", "orders_overdue", "open_at_end",
)  # fmt: skip
LISTED_ORDERS = 200  # orders to be rectified that a department's page names; all are in list.csv and the workbook
LISTED_RESOURCES = 60  # rows of the city's table of resources on the page; all are in the workbook


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure: the count, of a share its denominator too, and whether that is a small sample."""

    amount: Decimal | None
    whole: int | None
    small: bool = False

    @property
    def count(self) -> str:
        """The count for people; what was not measured is a dash."""
        if self.amount is None:
            return "—"
        return f"{int(self.amount):,}" if self.amount == int(self.amount) else f"{self.amount:,}"

    @property
    def share(self) -> str:
        """The share for people; empty where the figure is none, a dash where there was nothing to count."""
        if self.whole is None:
            return ""
        return share(int(self.amount or 0), self.whole)


Cells = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one scope, under its name in both languages."""

    key: tuple[str, str, str]
    zh: str
    en: str
    cells: Cells
    owner: Title | None = None

    @property
    def idle(self) -> bool:
        """Nothing was issued, due, opened or open: no order, which is no merit either."""
        return not any(
            self.cells[name].amount for name in ("orders_issued", "due", "opened", "open_at_start", "open_at_end")
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure beside that of the period before; `turn` is better, worse or same."""

    figure: str
    before: Cell
    now: Cell
    difference: str
    turn: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A department or order to be rectified."""

    department: str
    order_number: str
    criterion: Criterion
    amount: int
    whole: int | None
    threshold: int
    articles: str
    rectify_by: date
    provisional: bool

    @property
    def measured(self) -> str:
        """How far it is over: working days, or the share with its counts."""
        if self.criterion.unit == "days":
            return f"{self.amount:,}"
        return f"{self.amount:,} / {self.whole:,}（{share(self.amount, self.whole or 0)}）"


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """What one department is to rectify for one reason: so many orders, and the one that is furthest over."""

    worst: Listed
    orders: int


@dataclass(frozen=True)
class Told:
    """A version with what made it and what it changed, for the list of reports."""

    version: Version
    causes: Sequence[Cause]
    changes: Sequence[Change]


@dataclass(frozen=True)
class Report:
    """Everything one report shows. `department`: whose it is; None: the city's."""

    version: Version
    period: Period
    department: str | None
    title: Title
    total: Line
    departments: Sequence[Line]
    resources: Sequence[Line]
    dimensions: Sequence[Line]
    months: Sequence[Line]
    comparisons: Sequence[Comparison]
    listed: Sequence[Listed]
    causes: Sequence[Cause]
    changes: Sequence[Change]
    heads: Sequence[Head]
    names: Mapping[str, str]

    def department_title(self, name: str) -> str:
        """A department's title in Chinese."""
        return self.names.get(name, name)

    @property
    def listed_groups(self) -> Sequence[ListedGroup]:
        """The list by department and reason, for the city's page: orders are named in the department's."""
        groups: dict[tuple[str, str], list[Listed]] = {}
        for one in self.listed:
            groups.setdefault((one.department, one.criterion.en), []).append(one)
        return [
            ListedGroup(max(group, key=lambda one: one.amount), sum(bool(one.order_number) for one in group))
            for group in groups.values()
        ]

    @property
    def shown_orders(self) -> Sequence[Listed]:
        """The orders of a department's list that its page names, those furthest over first."""
        orders = [one for one in self.listed if one.order_number] if self.department else []
        return sorted(orders, key=lambda one: (-one.amount, one.order_number))[:LISTED_ORDERS]

    @property
    def shown_resources(self) -> Sequence[Line]:
        """All of a department, of the city those with the most open cases."""
        if self.department or len(self.resources) <= LISTED_RESOURCES:
            return self.resources
        most = sorted(self.resources, key=lambda line: (-(line.cells["open_at_end"].amount or 0), line.key))
        return most[:LISTED_RESOURCES]

    @property
    def balance(self) -> tuple[str, str]:
        """In both languages, that what was open or opened went one of the ways there are."""
        sides = [(name, self.total.cells[name].count) for side in BALANCE for name in side]
        zh, en = ([f"{getattr(FIGURES[name], language)} {count}" for name, count in sides] for language in ("zh", "en"))
        cut = len(BALANCE[0])
        return " + ".join(zh[:cut]) + " = " + " + ".join(zh[cut:]), " + ".join(en[:cut]) + " = " + " + ".join(en[cut:])


class Frozen:
    """A version's figures, list and words; `report` makes the city's or a department's report of it."""

    def __init__(self, city: City, version: Version) -> None:
        """Read everything that is stored of `version`, and the figures it is compared with."""
        self._city, self.version = city, version
        self.period = Period(version.period, version.first_day, version.last_day)
        self._figures = _figures(city, version)
        before = [one for one in versions(city, self.period.before.name) if one.version == version.compared_version]
        self._before = _figures(city, before[0]) if before else {}
        self._months = _months(city, version) if "-" not in version.period else []
        self._list = _listed(city, version)
        self._causes, self._changes, self._heads = causes(city, version), changes(city, version), heads(city, version)

    @property
    def departments(self) -> list[str]:
        """Departments with figures: those of the catalogue in its order, then others."""
        held = {key[1] for key in self._figures if key[0] == "department"}
        return [
            *(name for name in self._city.catalog.departments if name in held),
            *sorted(held - set(self._city.catalog.departments)),
        ]

    def report(self, department: str | None = None) -> Report:
        """The city's report or that of one department, which holds no other's rows."""
        scope = ("department", department, "", "") if department else ("city", "", "", "")
        title = _department_title(self._city.catalog, department) if department else Title(zh="全市", en="The city")
        mine = [department] if department else self.departments
        return Report(
            self.version, self.period, department, title,
            total=Line(scope[1:], title.zh, title.en, self._figures[scope]),
            departments=[self._line(("department", name, "", "")) for name in mine],
            resources=self._lines("resource", mine),
            dimensions=self._lines("department_dimension" if department else "dimension", [department or ""]),
            months=[Line(("", "", name), name, name, found[scope]) for name, found in self._months if scope in found],
            comparisons=_compared(self._figures[scope], self._before.get(scope)),
            listed=[one for one in self._list if one.department in mine],
            causes=[one for one in self._causes if one.department in mine],
            changes=[one for one in self._changes if one.department == (department or "") or not department],
            heads=[one for one in self._heads if one.department in mine],
            names={name: department.title.zh for name, department in self._city.catalog.departments.items()},
        )  # fmt: skip

    def _lines(self, scope: str, departments: Sequence[str]) -> list[Line]:
        places = {name: place for place, name in enumerate(departments)}
        order = {name: place for place, name in enumerate(DIMENSIONS)}
        found = [key for key in self._figures if key[0] == scope and key[1] in places]
        found.sort(key=lambda key: (places[key[1]], order.get(key[3], 0), key[2]))
        return [self._line(key) for key in found]

    def _line(self, key: tuple[str, str, str, str]) -> Line:
        _, department, resource, dimension = key
        catalog = self._city.catalog
        known = catalog.resources.get(f"{department}.{resource}") if resource else None
        title: Title | Word | None
        if dimension:
            title = DIMENSIONS.get(dimension)
        else:
            title = known.title if known else None if resource else _department_title(catalog, department)
        name = dimension or resource or department
        zh, en = (title.zh, title.en) if title else (name, name)
        return Line(key[1:], zh, en, self._figures[key], _department_title(catalog, department) if department else None)


Figures = dict[tuple[str, str, str, str], dict[str, Cell]]


def _figures(city: City, version: Version) -> Figures:
    found: Figures = {}
    with city.server.session() as cursor:
        cursor.execute(
            "select scope, department, resource, dimension, figure, amount, whole from ledger.supervision_figures"
            " where period = %s and version = %s",
            (version.period, version.version),
        )
        for scope, department, resource, dimension, figure, amount, whole in cursor.fetchall():
            cell = Cell(amount, whole, whole is not None and 0 < whole < version.small_sample)
            found.setdefault((scope, department, resource, dimension), {})[figure] = cell
    unknown = dict.fromkeys(FIGURES, Cell(None, None))  # a figure that was defined later
    return {key: unknown | cells for key, cells in found.items()}


def _months(city: City, version: Version) -> list[tuple[str, Figures]]:
    """The months of a year as they stand by the time the year was frozen."""
    inside: dict[str, Version] = {}
    for one in versions(city):
        of_year = one.period.startswith(f"{version.period}-")
        if of_year and one.recorded_at <= version.recorded_at:
            inside[one.period] = one
    return [(name, _figures(city, one)) for name, one in sorted(inside.items())]


def _listed(city: City, version: Version) -> list[Listed]:
    with city.server.session() as cursor:
        cursor.execute(
            "select department, order_number, criterion, amount, whole, threshold, articles, rectify_by, provisional"
            " from ledger.supervision_list where period = %s and version = %s"
            " order by department, order_number <> '', criterion, amount desc, order_number",
            (version.period, version.version),
        )
        return [Listed(row[0], row[1], CRITERIA[row[2]], *row[3:]) for row in cursor.fetchall()]


def _department_title(catalog: Catalog, name: str) -> Title:
    department = catalog.departments.get(name)
    return department.title if department else Title(zh=name, en=name)


def _compared(now: Cells, before: Cells | None) -> list[Comparison]:
    """The key figures beside those before; of a share the difference is in percentage points."""
    if not before:
        return []
    found = []
    for name in KEY_FIGURES:
        one, other = now[name], before.get(name, Cell(None, None))
        difference, turn = _difference(one, other, bad=FIGURES[name].bad)
        found.append(Comparison(name, other, one, difference, turn))
    return found


def _difference(now: Cell, before: Cell, *, bad: bool) -> tuple[str, str]:
    if now.amount is None or before.amount is None or (now.whole == 0) or (before.whole == 0):
        return "—", "same"
    if now.whole is None or before.whole is None:
        value, text = now.amount - before.amount, f"{now.amount - before.amount:+,.1f}".removesuffix(".0")
    else:
        value = 100 * now.amount / now.whole - 100 * before.amount / before.whole
        text = f"{value:+.1f} 个百分点 pp"
    if not value:
        return "0", "same"
    judged = bad or now.whole is not None
    return text, ("worse" if (value > 0) == bad else "better") if judged else "same"
