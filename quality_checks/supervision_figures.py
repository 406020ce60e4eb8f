"""The figures of the monitoring report 监测报告, each with what it counts in words and as SQL over exported rows.

A **case** is one item in one order: an item that fails again is a case of its own in the order that took it up again.
`where` is a condition over the columns of `cases.csv` or `orders.csv` (`quality_checks.supervision`) and the first and
last day of the period; what a share is a share of is another figure. Add a figure here: it is then stored, exported,
shown where a table names it, and counted again by the test's oracle only once that knows it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AGES = (10, 20, 60)  # working days since the item was first opened, upper bounds; the first is the term of art. 26
WINDOW_DAYS = 90  # calendar days before the period whose corrections may be seen to fail again in it


@dataclass(frozen=True)
class Figure:
    """One figure: its name in both languages, what is counted, over which rows, and of which figure it is a share."""

    zh: str
    en: str
    zh_counts: str
    en_counts: str
    rows: Literal["cases", "orders"]
    where: str
    share_of: str | None = None
    median_of: str | None = None  # the median of this column instead of a count
    bad: bool = False  # more is worse


def _in(day: str) -> str:
    return f"{day} BETWEEN first AND last"


_CORRECTED = "ended_as IN ('verified_as_suggested', 'verified_otherwise')"
_STANDS = "failed_again_on IS NULL"
_OPEN = "ended_on IS NULL"
_LEVELS = (
    ("经办人", "steward"),
    ("部门负责人", "department head"),
    ("数据主管部门", "bureau"),
    ("督查清单", "supervision list"),
)


def _age(number: int) -> Figure:
    low = AGES[number - 1] + 1 if number else 0
    high = AGES[number] if number < len(AGES) else None
    zh, en = (f"{low}–{high}", f"{low}–{high}") if high else (f"超过 {low - 1}", f"over {low - 1}")
    bounds = f"age >= {low}" + (f" AND age <= {high}" if high else "")
    return Figure(
        f"{zh} 个工作日",
        f"{en} working days",
        f"期末未办结且自首次发现起已{zh}个工作日的条目",
        f"cases open at the end, {en} working days after the item was first opened",
        "cases",
        f"{_OPEN} AND {bounds}",
        bad=number > 0,
    )


FIGURES: Mapping[str, Figure] = {
    "orders_issued": Figure(
        "下发工单",
        "Orders issued",
        "本期发出通知的工单",
        "orders whose notice went out in the period",
        "orders",
        _in("notified_on"),
    ),
    "items_issued": Figure(
        "下发条目",
        "Items issued",
        "上述工单中的条目",
        "cases of these orders",
        "cases",
        _in("notified_on"),
    ),
    "due": Figure(
        "到期应答",
        "Due",
        "答复截止日在本期内的条目；时限中止的、无需答复的除外",
        "cases whose last day for the reply lay in the period; not while the clock stands, nor where nothing was owed",
        "cases",
        f"{_in('due_on')} AND reply IN ('in_time', 'late', 'none')",
    ),
    "answered_in_time": Figure(
        "按期答复",
        "Answered in time",
        "到期应答的条目中，截止日当日或之前已答复，或已经新批次验证为已更正且期末仍然成立",
        "of the cases due: answered, or verified as corrected and so still at the end of the period, by the last day",
        "cases",
        f"{_in('due_on')} AND reply = 'in_time'",
        "due",
    ),
    "answered_late": Figure(
        "逾期答复",
        "Answered late",
        "到期应答的条目中，截止日之后、期末之前答复或更正",
        "of the cases due: answered or corrected after the last day, by the end of the period",
        "cases",
        f"{_in('due_on')} AND reply = 'late'",
        "due",
        bad=True,
    ),
    "unanswered": Figure(
        "未答复",
        "Not answered",
        "到期应答的条目中，期末仍未答复也未更正",
        "of the cases due: neither answered nor corrected by the end of the period",
        "cases",
        f"{_in('due_on')} AND reply = 'none'",
        "due",
        bad=True,
    ),
    "corrected_as_suggested": Figure(
        "按建议更正",
        "Corrected as suggested",
        "本期经同一规则在新批次上验证，值与建议相同，期末仍然成立",
        "verified in the period by the same rule on a new delivery, the value is the suggested one, and so at its end",
        "cases",
        f"{_in('ended_on')} AND ended_as = 'verified_as_suggested' AND {_STANDS}",
    ),
    "corrected_otherwise": Figure(
        "以其他值更正",
        "Corrected otherwise",
        "同上，值与建议不同或无建议",
        "the same with another value, or where none was suggested",
        "cases",
        f"{_in('ended_on')} AND ended_as = 'verified_otherwise' AND {_STANDS}",
    ),
    "median_days": Figure(
        "更正用时（中位数，工作日）",
        "Median working days",
        "上述两类条目自通知至验证的工作日中位数；中止的日子未扣除",
        "median of working days from notice to verification of these two; days the clock stood are not taken off",
        "cases",
        f"{_in('ended_on')} AND {_CORRECTED} AND {_STANDS}",
        median_of="correction_days",
    ),
    "corrections_watched": Figure(
        "观察中的更正",
        "Corrections watched",
        f"本期及此前 {WINDOW_DAYS} 天内验证的更正",
        f"corrections verified in the period or the {WINDOW_DAYS} days before it",
        "cases",
        f"{_CORRECTED} AND ended_on >= first - {WINDOW_DAYS}",
    ),
    "failed_again": Figure(
        "其中复发",
        "Failed again",
        "观察中的更正里，期末之前同一记录再次违反同一规则的",
        "of the corrections watched: the same record broke the same rule again by the end of the period",
        "cases",
        f"{_CORRECTED} AND ended_on >= first - {WINDOW_DAYS} AND NOT ({_STANDS})",
        "corrections_watched",
        bad=True,
    ),
    "relapses": Figure(
        "本期复发",
        "Relapses",
        "本期内更正后再次出错而重新立案的条目",
        "cases opened in the period because a corrected item failed again",
        "cases",
        f"{_in('began_on')} AND relapse",
        bad=True,
    ),
    "undone": Figure(
        "当期更正当期复发",
        "Corrected and undone",
        "本期验证、期末之前又复发的更正；不计入已更正",
        "verified in the period and failed again by its end: no correction",
        "cases",
        f"{_in('ended_on')} AND {_CORRECTED} AND NOT ({_STANDS})",
        bad=True,
    ),
    "objections": Figure(
        "提出异议",
        "Objections",
        "本期提出异议的条目",
        "cases objected to in the period",
        "cases",
        _in("objected_on"),
    ),
    "objections_upheld": Figure(
        "异议成立",
        "Upheld",
        "本期异议成立而办结的条目：数据无误",
        "cases ended in the period by an upheld objection: the data were right",
        "cases",
        f"{_in('ended_on')} AND ended_as = 'upheld'",
    ),
    "objections_rejected": Figure(
        "异议驳回",
        "Rejected",
        "本期异议被驳回的条目",
        "cases whose objection was rejected in the period",
        "cases",
        _in("rejected_on"),
    ),
    "settled_otherwise": Figure(
        "其他办结",
        "Settled otherwise",
        "本期因规则撤销或他方数据变化而办结，不计为更正",
        "ended in the period because the rule was withdrawn or somebody else's data changed: no correction",
        "cases",
        f"{_in('ended_on')} AND ended_as IN ('rule_withdrawn', 'resolved_elsewhere')",
    ),
    "transferred_out": Figure(
        "移交他部门",
        "Transferred away",
        "本期移交其他部门的条目",
        "cases moved in the period to another department",
        "cases",
        f"{_in('ended_on')} AND ended_as = 'transferred'",
    ),
    "transferred_in": Figure(
        "接收移交",
        "Transferred here",
        "本期由其他部门移交而来的条目",
        "cases that came in the period from another department",
        "cases",
        f"{_in('began_on')} AND transferred",
    ),
    "orders_paused": Figure(
        "时限中止",
        "Paused",
        "本期因请求补充信息而中止时限的工单",
        "orders whose clock was stopped in the period by a question",
        "orders",
        _in("paused_on"),
    ),
    "orders_extended": Figure(
        "延期",
        "Extended",
        "本期获准延期的工单",
        "orders that were extended in the period",
        "orders",
        _in("extended_on"),
    ),
    "orders_withdrawn": Figure(
        "撤回",
        "Withdrawn",
        "本期由数据主管部门撤回的工单",
        "orders that the bureau took back in the period",
        "orders",
        _in("withdrawn_on"),
    ),
    **{
        f"escalated_{level}": Figure(
            f"升级至{zh}",
            f"To {en}",
            f"本期升级至第 {level} 级（{zh}）的工单",
            f"orders that reached level {level} ({en}) in the period",
            "orders",
            _in(f"level_{level}_on"),
            bad=True,
        )
        for level, (zh, en) in enumerate(_LEVELS, 1)
    },
    "orders_overdue": Figure(
        "逾期工单",
        "Orders overdue",
        "期末时限已过、仍有条目待部门处理的工单",
        "orders past their last day at the end, with a case that waits for the department",
        "orders",
        "overdue",
        bad=True,
    ),
    "overdue_unanswered": Figure(
        "逾期未答复",
        "Overdue, not answered",
        "期末未办结、时限已过、从未答复的条目",
        "cases open at the end, past the last day, never answered",
        "cases",
        "overdue = 'unanswered'",
        bad=True,
    ),
    "overdue_uncorrected": Figure(
        "逾期未更正",
        "Overdue, not corrected",
        "期末未办结、时限已过、已答复而未更正的条目",
        "cases open at the end, past the last day, answered and not corrected",
        "cases",
        "overdue = 'uncorrected'",
        bad=True,
    ),
    "waiting_for_bureau": Figure(
        "待主管部门裁定",
        "Waiting for the bureau",
        "期末待数据主管部门裁定异议、归属或答复询问的条目：不算部门逾期",
        "cases open at the end on which the bureau must rule or answer: not the department's delay",
        "cases",
        "overdue = 'bureau'",
    ),
    "open_at_start": Figure(
        "期初未办结",
        "Open at the start",
        "期初前已立案、期初未办结的条目",
        "cases opened before the period and not ended before it",
        "cases",
        "began_on < first AND (ended_on IS NULL OR ended_on >= first)",
    ),
    "opened": Figure(
        "本期立案",
        "Opened",
        "本期立案的条目，含复发与移交而来",
        "cases opened in the period, relapses and transfers included",
        "cases",
        _in("began_on"),
    ),
    "open_at_end": Figure(
        "期末未办结",
        "Open at the end",
        "期末未办结的条目",
        "cases not ended by the end of the period",
        "cases",
        _OPEN,
    ),
    "not_issued": Figure(
        "其中未下发",
        "Of these not issued",
        "期末未办结、尚未发出通知的条目",
        "cases open at the end of which no notice went out yet",
        "cases",
        f"{_OPEN} AND notified_on IS NULL",
    ),
    **{f"age_{number + 1}": _age(number) for number in range(len(AGES) + 1)},
}

# What was open or opened went one of these ways: the sum of the left side is the sum of the right one.
BALANCE = (
    ("open_at_start", "opened"),
    (
        "corrected_as_suggested", "corrected_otherwise", "undone", "objections_upheld", "settled_otherwise",
        "transferred_out", "open_at_end",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Articles:
    """Articles of Order 809 (政务数据共享条例) that something is held against."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} {self.en}"


LATE_ANSWER = Articles("第二十六条、第三十九条第四项", "art. 26, 39 (4)")  # late replies
NOT_CORRECTED = Articles("第二十六条、第三十九条第六项", "art. 26, 39 (6)")  # not verified and corrected in time
SUPERVISED = Articles("第三十八条", "art. 38")  # timeliness and quality of a provider
BREACHES: Mapping[str, Articles] = {"overdue_unanswered": LATE_ANSWER, "overdue_uncorrected": NOT_CORRECTED}


@dataclass(frozen=True)
class Criterion:
    """Why an order or a department is on the list for rectification; `unit` is that of amount and threshold."""

    zh: str
    en: str
    unit: Literal["days", "percent"]
    articles: Articles


CRITERIA: Mapping[str, Criterion] = {
    "order_unanswered": Criterion("工单逾期未答复", "order overdue, not answered", "days", LATE_ANSWER),
    "order_uncorrected": Criterion("工单逾期未更正", "order overdue, not corrected", "days", NOT_CORRECTED),
    "in_time": Criterion("按期答复率偏低", "too few answered in time", "percent", SUPERVISED),
    "relapses": Criterion("复发率偏高", "too many corrections failed again", "percent", SUPERVISED),
}  # fmt: skip
