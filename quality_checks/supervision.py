"""How the figures of supervision are counted: DuckDB SQL from the ledger's rows to cases, orders, figures and the list.

`read_sql` makes the rows that are exported, one per case and one per order, as the ledger stood at the end of the
period; figures, and who is to be rectified, are counted from these rows alone, so that whoever has the files can count
them again. What each figure counts is `quality_checks.supervision_figures`. Pure: table names and days in, SQL out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from catalog.jurisdiction import Rectification
from quality_checks.corrections import CORRECTED, STANDING, ItemEvent, ItemState
from quality_checks.macros import quote
from quality_checks.order_states import OrderEvent, OrderState
from quality_checks.supervision_figures import CRITERIA, FIGURES, WINDOW_DAYS, Figure
from quality_checks.working_days import Calendar, add_workdays, calendar_sql

# What a department may say of an item; its first such event in an order is the answer.
ANSWERS = (
    ItemEvent.acknowledged, ItemEvent.will_correct, ItemEvent.corrected, ItemEvent.needs_information,
    ItemEvent.wrong_source, ItemEvent.objection_raised,
)  # fmt: skip
BUREAUS_TURN = STANDING - {ItemState.upheld}  # the bureau must rule or answer: the department waits

# Columns of cases.csv and orders.csv, in this order; `order_id`, `item_id` are told apart or left out by who writes.
CASES = (
    "department", "resource", "rule_id", "dimension", "severity", "order_number", "began_on", "relapse", "transferred",
    "notified_on", "due_on", "due_provisional", "order_state", "clock_stands", "answered_on", "reply", "objected_on",
    "rejected_on", "ended_on", "ended_as", "failed_again_on", "correction_days", "state", "overdue", "age",
)  # fmt: skip
ORDERS = (
    "department", "resource", "rule_id", "dimension", "severity", "order_number", "opened_on", "notified_on", "due_on",
    "due_provisional", "state", "level", "paused_on", "extended_on", "withdrawn_on", "level_1_on", "level_2_on",
    "level_3_on", "level_4_on", "cases", "open", "overdue", "overdue_unanswered", "days_over",
)  # fmt: skip


@dataclass(frozen=True)
class Period:
    """A month or a year: its name as `2026-11` or `2026`, its first and its last day."""

    name: str
    first: date
    last: date

    @classmethod
    def named(cls, name: str) -> Period:
        """The month `YYYY-MM` or the year `YYYY`.

        Raises:
            ValueError: it is neither.
        """
        found = re.fullmatch(r"(2[0-9]{3})(?:-(0[1-9]|1[0-2]))?", name)
        if not found:
            raise ValueError(f"{name!r}: must be a month, YYYY-MM, or a year, YYYY")
        year, month = int(found[1]), found[2]
        return cls.of_month(date(year, int(month), 1)) if month else cls.of_year(year)

    @classmethod
    def of_month(cls, day: date) -> Period:
        """The month that holds `day`."""
        first = day.replace(day=1)
        return cls(f"{day:%Y-%m}", first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))

    @classmethod
    def of_year(cls, year: int) -> Period:
        """The calendar year."""
        return cls(f"{year:04d}", date(year, 1, 1), date(year, 12, 31))

    @property
    def before(self) -> Period:
        """The month or the year before."""
        day = self.first - timedelta(days=1)
        return Period.of_month(day) if "-" in self.name else Period.of_year(day.year)


def periods_over(first: date, as_of: date) -> Iterator[Period]:
    """The months and years from the one that holds `first` on whose last day lies before `as_of`, by their ends."""
    month = Period.of_month(first)
    while month.last < as_of:
        yield month
        if month.last.month == 12:
            yield Period.of_year(month.last.year)
        month = Period.of_month(month.last + timedelta(days=1))


def _listed(values: frozenset[ItemState] | tuple[ItemEvent, ...]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def read_sql(period: Period, earliest: date, calendar: Calendar) -> dict[str, str]:
    """Queries for temporary tables, to be created in this order.

    They read `shuyuan.ledger` up to the period's last day and to `supervision_heads` (`department, batch`).
    `earliest` is a day on or before that of the first event. The last two are `supervision_cases` and
    `supervision_orders`, with the columns `CASES` and `ORDERS`, `order_id` and `item_id` before them; of what ended
    before, only what a figure counts.
    """
    last, window = f"DATE '{period.last}'", f"DATE '{period.first}' - {WINDOW_DAYS}"
    corrected = _listed(CORRECTED)
    return {
        "supervision_states": _order_states_sql(last),
        "supervision_raw": f"""
            SELECT e.order_id, e.item_id, min(e.number) AS first_number, min(e.as_of) AS began_on,
                   arg_min(e.event, e.number) AS began_event,
                   min(e.as_of) FILTER (e.event IN ({_listed(ANSWERS)})) AS replied_on,
                   max(e.as_of) FILTER (e.event = '{ItemEvent.objection_raised}') AS objected_on,
                   min(e.as_of) FILTER (e.closed) AS ended_on,
                   arg_min(e.state, e.number) FILTER (e.closed) AS ended_as,
                   arg_max(e.state, e.number) AS state
            FROM shuyuan.ledger.events e JOIN supervision_states o ON o.order_id = e.order_id
            WHERE e.as_of <= {last} AND e.batch <= o.head
            GROUP BY e.order_id, e.item_id""",
        "supervision_rejected": f"""
            SELECT r.order_id, r.item_id, max(r.as_of) AS rejected_on
            FROM postgres_query('shuyuan', {quote(_rejected_sql(period))}) r
            JOIN supervision_heads h ON h.department = r.department AND r.batch <= h.batch
            GROUP BY ALL""",
        # Items that another department had before; one that comes back has a case before this one.
        "supervision_moved": f"""
            SELECT item_id, '{ItemState.transferred}' AS before
            FROM postgres_query('shuyuan', 'select item_id from ledger.items where transferred_from is not null')""",
        # Items with more than one case: what came before and after each.
        "supervision_chains": f"""
            SELECT order_id, item_id, first_value(began_on) OVER w AS opened_on,
                   lag(ended_as) OVER w AS before, lead(began_on) OVER w AS again_on
            FROM supervision_raw
            WHERE item_id IN (SELECT item_id FROM supervision_raw WHERE began_event = '{ItemEvent.reopened}')
            WINDOW w AS (PARTITION BY item_id ORDER BY first_number)""",
        "supervision_cases": _cases_sql(period, earliest, calendar, corrected, window),
        "supervision_orders": _orders_sql(period, earliest, calendar),
    }


def _order_states_sql(last: str) -> str:
    """One row per order: its last event, and the days of what happened to it; `head` the batch to count up to."""
    days = ", ".join(
        f"min(e.as_of) FILTER (e.event = '{OrderEvent.escalated}' AND e.level = {level}) AS level_{level}_on"
        for level in (1, 2, 3, 4)
    )
    return f"""
        SELECT o.order_id, any_value(h.batch) AS head, any_value(o.department) AS department,
               any_value(o.resource) AS resource, any_value(o.rule_id) AS rule_id,
               any_value(o.dimension) AS dimension, any_value(o.severity) AS severity,
               any_value(o.order_number) AS order_number, any_value(o.opened_on) AS opened_on,
               arg_max(e.due_on, e.number) AS due_on, arg_max(e.due_provisional, e.number) AS due_provisional,
               arg_max(e.state, e.number) AS state, arg_max(e.level, e.number) AS level, max(e.as_of) AS moved_on,
               min(e.as_of) FILTER (e.event = '{OrderEvent.notified}') AS notified_on,
               max(e.as_of) FILTER (e.event = '{OrderEvent.paused}') AS paused_on,
               max(e.as_of) FILTER (e.event = '{OrderEvent.extended}') AS extended_on,
               max(e.as_of) FILTER (e.event = '{OrderEvent.withdrawn}') AS withdrawn_on, {days}
        FROM shuyuan.ledger.orders o
        JOIN supervision_heads h ON h.department = o.department
        JOIN shuyuan.ledger.order_events e ON e.order_id = o.order_id
        WHERE e.as_of <= {last} AND e.batch <= h.batch
        GROUP BY o.order_id"""


def _cases_sql(period: Period, earliest: date, calendar: Calendar, corrected: str, window: str) -> str:
    last = f"DATE '{period.last}'"
    # No figure looks at a case that ended before the window and whose deadline does not lie in the period.
    wanted = f"c.ended_on IS NULL OR c.ended_on >= {window} OR o.due_on BETWEEN DATE '{period.first}' AND {last}"
    return f"""
        WITH days AS MATERIALIZED ({calendar_sql(earliest, period.last, calendar)}),
        known AS (
            SELECT c.order_id, c.item_id, o.department, o.resource, o.rule_id, o.dimension, o.severity, o.order_number,
                   c.began_on, coalesce(x.before IN ({corrected}), false) AS relapse,
                   coalesce(x.before, i.before) IS NOT DISTINCT FROM '{ItemState.transferred}' AS transferred,
                   o.notified_on, o.due_on, o.due_provisional, o.state AS order_state,
                   o.state = '{OrderState.paused}' AND o.paused_on < o.due_on AS clock_stands, c.replied_on,
                   c.objected_on, r.rejected_on, c.ended_on, c.ended_as, c.state,
                   CASE WHEN c.ended_as IN ({corrected}) THEN x.again_on END AS failed_again_on,
                   coalesce(x.opened_on, c.began_on) AS opened_on
            FROM supervision_raw c
            JOIN supervision_states o USING (order_id)
            LEFT JOIN supervision_chains x USING (order_id, item_id)
            LEFT JOIN supervision_rejected r USING (order_id, item_id)
            LEFT JOIN supervision_moved i USING (item_id)
            WHERE {wanted}
        ),
        answered AS (
            SELECT *, least(
                       replied_on, CASE WHEN ended_as IN ({corrected}) AND failed_again_on IS NULL THEN ended_on END
                   ) AS answered_on
            FROM known
        ),
        judged AS (
            SELECT *, CASE WHEN notified_on IS NULL THEN 'not_issued'
                           WHEN answered_on <= due_on THEN 'in_time'
                           WHEN answered_on IS NOT NULL THEN 'late'
                           WHEN ended_as NOT IN ({corrected}) OR failed_again_on <= due_on
                                OR order_state = '{OrderState.withdrawn}' THEN 'nothing_owed'
                           WHEN clock_stands THEN 'clock_stands'
                           WHEN due_on > {last} THEN 'not_yet_due'
                           ELSE 'none' END AS reply
            FROM answered
        )
        SELECT j.* EXCLUDE (replied_on, opened_on),
               CASE WHEN j.ended_as IN ({corrected}) THEN e.workday_number - n.workday_number END AS correction_days,
               CASE WHEN j.ended_on IS NOT NULL THEN NULL
                    WHEN j.state IN ({_listed(BUREAUS_TURN)}) THEN 'bureau'
                    WHEN j.order_state <> '{OrderState.notified}' OR j.due_on > {last} THEN NULL
                    WHEN j.reply = 'none' THEN 'unanswered' ELSE 'uncorrected' END AS overdue,
               CASE WHEN j.ended_on IS NULL THEN t.workday_number - b.workday_number END AS age
        FROM judged j
        LEFT JOIN days e ON e.day = j.ended_on
        LEFT JOIN days n ON n.day = j.notified_on
        LEFT JOIN days b ON b.day = j.opened_on
        JOIN days t ON t.day = {last}"""


def _orders_sql(period: Period, earliest: date, calendar: Calendar) -> str:
    last = f"DATE '{period.last}'"
    accused = "overdue IN ('unanswered', 'uncorrected')"
    return f"""
        WITH days AS MATERIALIZED ({calendar_sql(earliest, period.last, calendar)})
        SELECT o.order_id, o.* EXCLUDE (order_id, head, moved_on), coalesce(c.cases, 0) AS cases,
               coalesce(c.open, 0) AS open, coalesce(c.accused > 0, false) AS overdue,
               coalesce(c.unanswered, 0) AS overdue_unanswered,
               CASE WHEN c.accused > 0 THEN t.workday_number - d.workday_number END AS days_over
        FROM supervision_states o
        LEFT JOIN (
            SELECT order_id, count(*) AS cases, count(*) FILTER (ended_on IS NULL) AS open,
                   count(*) FILTER ({accused}) AS accused, count(*) FILTER (overdue = 'unanswered') AS unanswered
            FROM supervision_cases GROUP BY order_id
        ) c USING (order_id)
        LEFT JOIN days d ON d.day = o.due_on
        JOIN days t ON t.day = {last}
        WHERE c.cases > 0 OR o.moved_on >= DATE '{period.first}'"""


def _rejected_sql(period: Period) -> str:
    """PostgreSQL: `order_id, item_id, department, batch, as_of` of every objection rejected in the period.

    A `rejected` claim that the record is another's has another state before it.
    """
    return f"""
        select e.order_id, e.item_id, e.department, e.batch, e.as_of from ledger.events e cross join lateral (
            select state from ledger.events p where p.serial = e.serial and p.number < e.number
            order by p.number desc limit 1
        ) before
        where e.event = '{ItemEvent.rejected}' and e.as_of between date '{period.first}' and date '{period.last}'
          and before.state = '{ItemState.objection_raised}'"""


def figures_sql(period: Period, departments: Sequence[str]) -> str:
    """Every figure of every scope: `scope, department, resource, dimension, figure, amount, whole`.

    Scopes are the city and `departments`, whether or not there is anything to count, and what there is: other
    departments, resources, the dimensions of rules in the city and in each department. A share's `amount` is its
    numerator, `whole` its denominator.
    """
    counted = "\nUNION ALL BY NAME\n".join(_long(period, rows) for rows in ("cases", "orders"))
    shares = ", ".join(f"('{name}', '{f.share_of}')" for name, f in FIGURES.items() if f.share_of)
    keys = "scope, department, resource, dimension"
    always = " UNION ".join(
        ["SELECT 'city', '', '', ''", *(f"SELECT 'department', {quote(name)}, '', ''" for name in departments)]
    )
    return f"""
        WITH counted AS MATERIALIZED ({counted}),
        scopes AS (SELECT DISTINCT {keys} FROM counted UNION {always}),
        filled AS (
            SELECT {keys}, figure, CASE WHEN median THEN amount ELSE coalesce(amount, 0) END AS amount
            FROM scopes CROSS JOIN (VALUES {_names()}) f(figure, median) LEFT JOIN counted USING ({keys}, figure)
        )
        SELECT f.*, CASE WHEN s.whole IS NOT NULL THEN w.amount::BIGINT END AS whole
        FROM filled f
        LEFT JOIN (VALUES {shares}) s(figure, whole) USING (figure)
        LEFT JOIN filled w ON w.figure = s.whole AND (w.scope, w.department, w.resource, w.dimension)
            = (f.scope, f.department, f.resource, f.dimension)"""


def _names() -> str:
    return ", ".join(f"('{name}', {str(f.median_of is not None).lower()})" for name, f in FIGURES.items())


def _long(period: Period, rows: str) -> str:
    """The figures counted over `rows` of one kind, one row per scope and figure."""
    mine = {name: figure for name, figure in FIGURES.items() if figure.rows == rows}
    columns = ",\n".join(f"({_amount(figure)})::DECIMAL(20, 1) AS {name}" for name, figure in mine.items())
    return f"""
        UNPIVOT (
            SELECT CASE grouping(department, resource, dimension)
                        WHEN 7 THEN 'city' WHEN 3 THEN 'department' WHEN 1 THEN 'resource'
                        WHEN 6 THEN 'dimension' ELSE 'department_dimension' END AS scope,
                   coalesce(department, '') AS department, coalesce(resource, '') AS resource,
                   coalesce(dimension, '') AS dimension, {columns}
            FROM (SELECT *, DATE '{period.first}' AS first, DATE '{period.last}' AS last FROM supervision_{rows})
            GROUP BY GROUPING SETS ((), (department), (department, resource), (dimension), (department, dimension))
        ) ON {", ".join(mine)} INTO NAME figure VALUE amount"""


def _amount(figure: Figure) -> str:
    if figure.median_of:
        return f"median({figure.median_of}) FILTER ({figure.where})"
    return f"count(*) FILTER ({figure.where})"


def listed_sql(rules: Rectification, small_sample: int, period: Period, calendar: Calendar) -> str:
    """Who is to be rectified, from `supervision_orders` and `supervision_figures`, as rows of the list."""
    by, provisional = add_workdays(period.last, rules.within, calendar)
    articles = " ".join(f"WHEN '{name}' THEN '{one.articles}'" for name, one in CRITERIA.items())
    return f"""
        SELECT department, order_number, criterion, amount::BIGINT AS amount, whole::BIGINT AS whole,
               threshold::BIGINT AS threshold, CASE criterion {articles} END AS articles, DATE '{by}' AS rectify_by,
               {str(provisional).lower()} AS provisional
        FROM (
            SELECT department, order_number,
                   CASE WHEN overdue_unanswered > 0 THEN 'order_unanswered' ELSE 'order_uncorrected' END AS criterion,
                   days_over AS amount, NULL AS whole, {rules.overdue} AS threshold
            FROM supervision_orders WHERE overdue AND days_over >= {rules.overdue}
            UNION ALL
            SELECT department, '', 'in_time', amount, whole, {rules.in_time} FROM supervision_figures
            WHERE scope = 'department' AND figure = 'answered_in_time' AND whole >= {small_sample}
              AND 100 * amount < {rules.in_time} * whole
            UNION ALL
            SELECT department, '', 'relapses', amount, whole, {rules.relapses} FROM supervision_figures
            WHERE scope = 'department' AND figure = 'failed_again' AND whole >= {small_sample}
              AND 100 * amount > {rules.relapses} * whole
        )"""
