"""What becomes of each row of a reply: taken, or refused with the reason in Chinese and English.

One query judges all rows. `OUTCOMES` is the list of everything that can be said of a row; add one there and in the
query. Reading the file is `assets.feedback_files`; what is taken is appended by `assets.feedback`.
"""

from __future__ import annotations

import json
from datetime import date

from duckdb import DuckDBPyConnection

from assets.feedback_files import FIELDS, Replies
from assets.notice_files import REPLIES
from assets.sheet_rows import CELL
from quality_checks.corrections import ItemEvent, transitions_sql
from quality_checks.order_states import OrderEvent, OrderState
from quality_checks.working_days import Calendar, calendar_sql
from resources.city import City
from resources.lake import literal
from resources.ledger_states import read_order_states, read_states

EVENTS = {
    "acknowledged": ItemEvent.acknowledged,
    "will_correct": ItemEvent.will_correct,
    "corrected": ItemEvent.corrected,
    "objection": ItemEvent.objection_raised,
    "wrong_source": ItemEvent.wrong_source,
    "needs_information": ItemEvent.needs_information,
}
# What can become of a row: in Chinese, in English. {detail} is what the query says of this row.
OUTCOMES = {
    "taken": ("已接收", "taken"),
    "taken_late": ("已接收,逾期{detail}个工作日", "taken, {detail} working days late"),
    "unknown_item": ("本部门无此条目", "no such item of this department"),
    "no_reply_code": ("缺少回复代码", "the reply code is missing"),
    "unknown_reply": (
        "回复代码无效:{detail};可用:" + "、".join(REPLIES),
        "reply {detail}: must be one of: " + ", ".join(REPLIES),
    ),
    "told_changed": (
        "{detail}列被改动:只能填写回复列,请在源头更正",
        "column {detail} was changed: only the columns for the reply are filled in, values are corrected at the source",
    ),
    "needs_explanation": ("须写明理由", "{detail} needs an explanation"),
    "needs_date": ("须写明预计完成日期", "will_correct needs by_date"),
    "bad_date": ("日期无效:{detail};写作 2026-11-12", "by_date {detail}: must be a date, YYYY-MM-DD"),
    "past_date": ("预计完成日期已过:{detail}", "by_date {detail}: must not lie before the reply"),
    "unknown_department": (
        "应归部门无效:{detail};须为代码表所列其他部门的代码或名称",
        "right_department {detail}: must be another department, by name or title as in the notice's sheet of codes",
    ),
    "closed": ("条目已办结:{detail}", "the item is closed: {detail}"),
    "not_possible": ("条目当前状态不能如此回复:{detail}", "not possible while the item is {detail}"),
    "answered_above": ("同一文件前面已回复该条目", "the item is answered further up"),
    "said_before": ("此前已作相同回复", "said before: nothing changed"),
}
# How people write a day, a spreadsheet's midnight behind it or not.
DAYS = "['%Y-%m-%d', '%Y/%m/%d', '%Y.%m.%d', '%Y%m%d', '%Y年%m月%d日', '%Y-%m-%d%H:%M:%S', '%Y/%m/%d%H:%M']"
RIGHT_DEPARTMENT = "应归部门 right department: "  # stands before its name in the evidence of `wrong_source`


def judge(city: City, replies: Replies, department: str, as_of: date) -> None:
    """`feedback_judged`: one row per answered row of the file, with what becomes of it.

    Columns: `number, place, item_id, outcome` (a key of OUTCOMES), `zh, en, event, reason, evidence, by_date,
    order_id`.
    """
    con, catalog = city.con, city.catalog
    _take_in(con, replies)
    _spread(con, department)
    read_states(con, city.home, "feedback_items", "feedback_replies")
    orders = con.execute("SELECT DISTINCT order_id FROM feedback_items").fetchall()
    read_order_states(con, "feedback_orders", [row[0] for row in orders])
    _read_told(con)
    codes = ", ".join(f"({literal(reply)}, {literal(event)})" for reply, event in EVENTS.items())
    others = ", ".join(literal(name) for name in catalog.departments if name != department)
    names = {one.title.zh: name for name, one in catalog.departments.items()} | {
        one: one for one in catalog.departments
    }
    named = ", ".join(f"({literal(said.lower())}, {literal(name)})" for said, name in names.items())
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE feedback_judged AS
        WITH said AS (
            SELECT r.number, r.place, r.item_id, r.reply, nullif(r.explanation, '') AS reason,
                   nullif(r.by_date, '') AS said_date,
                   try_strptime(r.by_date, {DAYS})::DATE AS by_date,
                   coalesce(d.name, nullif(r.right_department, '')) AS whose,
                   nullif(concat_ws('; ', {literal(RIGHT_DEPARTMENT)} || whose, nullif(r.evidence, '')), '')
                       AS evidence,
                   {_changed_sql()} AS changed
            FROM feedback_replies r LEFT JOIN feedback_told t USING (item_id)
            LEFT JOIN (VALUES {named}) d(said, name) ON d.said = r.right_department
        ),
        judged AS (
            SELECT s.*, c.event, i.order_id, i.state, i.closed, o.due_on,
                   coalesce(o.state = '{OrderState.notified}' AND o.due_on < $day, false) AS late,
                   CASE WHEN i.item_id IS NULL THEN 'unknown_item'
                        WHEN coalesce(s.reply, '') = '' THEN 'no_reply_code'
                        WHEN c.event IS NULL THEN 'unknown_reply'
                        WHEN s.changed IS NOT NULL THEN 'told_changed'
                        WHEN s.reply IN ('objection', 'needs_information') AND s.reason IS NULL THEN 'needs_explanation'
                        WHEN s.said_date IS NOT NULL AND s.by_date IS NULL THEN 'bad_date'
                        WHEN s.reply = 'will_correct' AND s.by_date IS NULL THEN 'needs_date'
                        WHEN s.reply = 'will_correct' AND s.by_date < $day THEN 'past_date'
                        WHEN s.reply = 'wrong_source' AND s.whose NOT IN ({others or "''"})
                            THEN 'unknown_department'
                        WHEN i.closed THEN 'closed'
                        WHEN t.event IS NULL THEN 'not_possible'
                        WHEN i.event = c.event AND i.actor = $department
                             AND i.reason IS NOT DISTINCT FROM s.reason AND i.evidence IS NOT DISTINCT FROM s.evidence
                             AND i.by_date IS NOT DISTINCT FROM s.by_date
                            THEN 'said_before'
                   END AS wrong
            FROM said s
            LEFT JOIN (SELECT * FROM feedback_items WHERE department = $department) i USING (item_id)
            LEFT JOIN feedback_orders o USING (order_id)
            LEFT JOIN (VALUES {codes}) c(reply, event) ON c.reply = s.reply
            LEFT JOIN {transitions_sql()} t ON t.state = i.state AND t.event = c.event
        ),
        numbered AS (
            SELECT *, row_number() OVER (PARTITION BY item_id, wrong IS NULL ORDER BY number) > 1 AS again FROM judged
        )
        SELECT number, place, item_id, event, reason, evidence, by_date, order_id, due_on,
               coalesce(wrong, CASE WHEN again THEN 'answered_above' WHEN late THEN 'taken_late' ELSE 'taken' END)
                   AS outcome,
               CASE outcome WHEN 'unknown_reply' THEN reply WHEN 'told_changed' THEN changed
                            WHEN 'needs_explanation' THEN CASE reply WHEN 'objection' THEN 'an objection' ELSE reply END
                            WHEN 'bad_date' THEN said_date WHEN 'past_date' THEN said_date
                            WHEN 'unknown_department' THEN whose WHEN 'closed' THEN state
                            WHEN 'not_possible' THEN state ELSE '' END AS detail
        FROM numbered
        """,
        {"department": department, "day": as_of},
    )
    _word(con, Calendar.with_table(catalog.holidays), as_of)


def _take_in(con: DuckDBPyConnection, replies: Replies) -> None:
    """`feedback_replies`: the rows as they were read, numbered.

    As one JSON text: of a list for each column DuckDB asks every single value what it is, which takes twice as long.
    """
    columns = replies.columns()
    shape = {name: ["VARCHAR"] for name in ("place", *FIELDS)}
    listed = ", ".join(f'unnest(told."{name}") AS "{name}"' for name in shape)
    typed = ", ".join(f"lower({_narrow_sql(name)}) AS {name}" for name in TYPED)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE feedback_replies AS
        SELECT * REPLACE ({typed}) FROM (
            SELECT {listed}, generate_subscripts(told.place, 1) AS number
            FROM (SELECT from_json($told::JSON, {literal(json.dumps(shape))}) AS told)
        )
        """,
        {"told": json.dumps(columns, ensure_ascii=False)},
    )


TYPED = ("item_id", "reply", "by_date", "right_department")


def _narrow_sql(value: str) -> str:
    """What a person typed as it is written in a number, code or date: no blanks, no full-width letters and digits."""
    return rf"regexp_replace(to_half_width({value}), '[\s\p{{Z}}]+', '', 'g')"


def _spread(con: DuckDBPyConnection, department: str) -> None:
    """In `feedback_replies`, a reply to an order with one cause becomes one to each of its open items that has none."""
    numbers = con.execute(
        "SELECT DISTINCT item_id FROM feedback_replies WHERE regexp_full_match(item_id, '[0-9]{8}-[0-9]{4,}')"
    ).fetchall()
    if not numbers:
        return
    listed = ", ".join(literal(row[0]) for row in numbers)
    query = f"""
        select o.order_number, e.item_id from ledger.orders o
        cross join lateral (select item_id, closed from ledger.order_items e where e.order_id = o.order_id offset 0) e
        where o.order_number = any(array[{listed}]) and o.department = {literal(department)} and not e.closed
          and exists (select from ledger.order_events s where s.order_id = o.order_id
                      and s.event = '{OrderEvent.systematic}')"""
    con.execute(f"CREATE OR REPLACE TEMP TABLE feedback_whole AS FROM postgres_query('shuyuan', {literal(query)})")
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE feedback_replies AS
        FROM feedback_replies WHERE item_id IS NULL OR item_id NOT IN (SELECT order_number FROM feedback_whole)
        UNION ALL BY NAME
        SELECT r.* REPLACE (w.item_id AS item_id, NULL AS record_key, NULL AS "column", NULL AS observed,
                            NULL AS suggested)
        FROM feedback_replies r JOIN feedback_whole w ON w.order_number = r.item_id
        WHERE w.item_id NOT IN (SELECT item_id FROM feedback_replies WHERE item_id IS NOT NULL)
        """
    )


def _read_told(con: DuckDBPyConnection) -> None:
    """`feedback_told`: what the notice said of each item that is answered."""
    asked = con.execute("SELECT DISTINCT serial FROM feedback_items").fetchall()
    listed = ", ".join(str(row[0]) for row in asked)
    query = f"""
        select distinct on (serial) item_id, observed, suggested from ledger.events
        where serial = any(array[{listed}]::bigint[]) and event in ('{ItemEvent.opened}', '{ItemEvent.reopened}')
        order by serial, number desc
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE feedback_told AS
        SELECT i.item_id, i.record_key, i.column_name AS "column", o.observed, o.suggested
        FROM feedback_items i JOIN postgres_query('shuyuan', {literal(query)}) o USING (item_id)
        """
    )


def _changed_sql() -> str:
    """The first column of a row that no longer says what the notice said, NULL when none; absent columns are not asked.

    A spreadsheet that opens a CSV rewrites dates and long numbers by itself: 3.415E+17, 1990/1/2, no leading zeros.
    """
    forms = "['%Y-%m-%d', '%Y/%m/%d', '%Y.%m.%d']"

    def plain(text: str) -> str:  # without what a spreadsheet drops or adds; XLSX cuts what no cell can hold
        return rf"regexp_replace(ltrim(left({text}, {CELL - 1}), ''''), '[\s\p{{Z}}\p{{C}}]+', '', 'g')"

    cases = []
    for name in ("record_key", "column", "observed", "suggested"):
        came, told = plain(f'r."{name}"'), plain(f"""coalesce(t."{name}", '')""")
        number, wanted = f"try_cast({came} AS DOUBLE)", f"try_cast({told} AS DOUBLE)"
        tolerance = f"CASE WHEN contains(upper({came}), 'E+') THEN 1e-3 * abs({wanted}) ELSE 0 END"
        same = (
            f"{came} = {told} OR abs({number} - {wanted}) <= {tolerance}"
            f" OR try_strptime({came}, {forms})::DATE = try_strptime({told}, {forms})::DATE"
        )
        cases.append(f"""WHEN r."{name}" IS NOT NULL AND NOT coalesce({same}, false) THEN '{name}'""")
    return f"CASE WHEN t.item_id IS NULL THEN NULL {' '.join(cases)} END"


def _word(con: DuckDBPyConnection, calendar: Calendar, as_of: date) -> None:
    """Put the sentences of OUTCOMES to the rows; how late a row is, is counted in working days."""
    earliest = con.execute("SELECT min(due_on) FROM feedback_judged").fetchone()
    first = min(earliest[0] if earliest and earliest[0] else as_of, as_of)
    words = ", ".join(f"({literal(code)}, {literal(zh)}, {literal(en)})" for code, (zh, en) in OUTCOMES.items())
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE feedback_judged AS
        WITH days AS ({calendar_sql(first, as_of, calendar)}),
        worded AS (
            SELECT j.* REPLACE (
                CASE outcome WHEN 'taken_late'
                     THEN ((SELECT max(workday_number) FROM days) - d.workday_number)::VARCHAR ELSE detail END AS detail
            )
            FROM feedback_judged j LEFT JOIN days d ON d.day = j.due_on
        )
        SELECT w.* EXCLUDE (detail, due_on), replace(o.zh, '{{detail}}', detail) AS zh,
               replace(o.en, '{{detail}}', detail) AS en
        FROM worded w JOIN (VALUES {words}) o(outcome, zh, en) USING (outcome)
        """
    )
