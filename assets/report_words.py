"""The words of the report site, in Chinese and English: severities, dimensions, states, reasons, and what each means.

Add a word here when a figure gets a new value. Sentences of one page only stand in that page's template; titles of
departments, resources and rules come from the catalogue. A value without a word here is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quality_checks.corrections import ItemState


@dataclass(frozen=True, slots=True)
class Word:
    """A name in both languages and, where a reader may ask, what it means."""

    zh: str
    en: str
    zh_note: str = ""
    en_note: str = ""


def word(words: Mapping[str, Word], name: str) -> Word:
    """The word for `name`, or `name` itself in both languages."""
    return words.get(name) or Word(name, name)


SEVERITIES = {
    "block": Word(
        "阻断",
        "block",
        "该记录不进入基础库，留在部门资源池并标记",
        "the record stays out of base libraries; it remains in the pool, marked",
    ),
    "error": Word("错误", "error", "值有误，记录照常流转并标记", "the value is wrong; the record flows on, marked"),
    "warn": Word("警告", "warn", "值可疑，需部门核对", "the value is doubtful; the department should look"),
    "info": Word("提示", "info", "仅供参考，不下发工单要求", "for information only"),
}
DIMENSIONS = {
    "completeness": Word("完整性", "Completeness", "应有的值都在", "values that must be there are there"),
    "accuracy": Word(
        "准确性", "Accuracy", "值真实、格式与代码合规", "values are right, well formed and from their code list"
    ),
    "freshness": Word("时效性", "Freshness", "按更新周期按时报送", "data arrive within their update cycle"),
    "consistency": Word("一致性", "Consistency", "同一事实在各处相同", "the same fact is the same everywhere"),
    "uniqueness": Word("唯一性", "Uniqueness", "同一对象只记一次", "one thing is recorded once"),
}
VERDICTS = {
    "registered": Word("已登记", "registered", "已归档，尚未入池", "archived, not yet loaded"),
    "pooled": Word("已入池", "pooled", "已载入部门资源池", "loaded into the department's pool"),
    "superseded": Word(
        "已被取代",
        "superseded",
        "资源池中的全量批次更新，本批未入池",
        "older than the full delivery the pool holds; nothing of it stands",
    ),
    "rejected": Word(
        "退回", "rejected", "整批未采用，资源池保持上一次的状态", "not used at all; the pool keeps its last good state"
    ),
}
QUARANTINE = {
    "duplicate_key": Word(
        "主键重复",
        "duplicate key",
        "同一批次中主键重复，以最后一条为准",
        "the key stands more than once in the delivery; the last record stands",
    ),
    "superseded": Word(
        "已过时", "superseded", "资源池中已有更新的记录", "the pool holds a later statement of the record"
    ),
    "no_key": Word("无主键", "no key", "变更记录缺少主键", "a change does not say whose record it is"),
    "unknown_change": Word(
        "变更类型不明", "unknown change", "变更标识不在约定之内", "its letter is none of those agreed"
    ),
    "quoting": Word("引号错误", "quoting", "该行引号不成对", "a quote in the line has no partner"),
    "field_count": Word(
        "字段数不符", "field count", "该行字段数与表头不一致", "the line has more or fewer fields than the header"
    ),
}
FEEDS = {
    "late": Word(
        "逾期未报", "late", "超过更新周期（工作日）未报送", "nothing arrived within the update cycle, in working days"
    ),
    "rows": Word("行数不符", "row count", "实收行数与申报行数不一致", "rows landed are not the rows declared"),
    "volume": Word(
        "数据量异常", "volume", "与近期批次相比行数异常", "unusually many or few rows against recent deliveries"
    ),
    "structure": Word("结构不符", "structure", "数据项与目录不一致", "the columns are not those of the catalogue"),
    "columns": Word(
        "目录外数据项", "extra columns", "报送了目录以外的数据项", "columns outside the catalogue were delivered"
    ),
    "quarantine": Word(
        "有隔离记录", "quarantined records", "部分记录未能入池", "some records could not enter the pool"
    ),
    "drift": Word(
        "格式漂移",
        "type drift",
        "某数据项的多数值不再是规定的类型",
        "most values of a column stopped being of its type",
    ),
    "stale": Word(
        "主题库表时效",
        "stale table",
        "主题库表所用的某项数据超过约定时限",
        "something a thematic table is made from is older than its contract allows",
    ),
}
CYCLES = {
    "real_time": Word("实时", "real time"),
    "hourly": Word("每小时", "hourly"),
    "daily": Word("每个工作日", "every working day"),
    "every_day": Word("每日", "daily, rest days too"),
    "weekly": Word("每周", "weekly"),
    "monthly": Word("每月", "monthly"),
    "quarterly": Word("每季度", "quarterly"),
    "yearly": Word("每年", "yearly"),
}
MODES = {
    "full": Word("全量", "full"),
    "incremental": Word("增量", "incremental"),
    "changes": Word("变更流", "change stream"),
}
DUE = {
    "late": Word("逾期", "late", "应交付而未交付", "due and not there"),
    "gap": Word("缺批", "gap", "未交付，其后的批次已到", "never came; a later one did"),
}
OUTCOMES = {
    "single": Word("单一来源", "single source", "只有一个来源提供", "only one source states it"),
    "agreed": Word("一致", "agreed", "多个来源一致", "several sources state the same"),
    "authority_prevails": Word(
        "数源部门为准",
        "authority prevails",
        "来源不一致，取数源部门的值",
        "sources differ; the authority’s value stands",
    ),
    "substitute": Word(
        "候补来源",
        "substitute",
        "数源部门未提供，取候补来源的值",
        "the authority states none; a substitute’s value stands",
    ),
    "authority_doubted": Word(
        "数源存疑",
        "authority doubted",
        "若干独立来源一致反对数源部门的值，值不变，待核实",
        "independent sources agree against the authority; its value stands until it is looked into",
    ),
    "undecided": Word("未定", "undecided", "来源不一致且无人说了算", "sources differ and nobody has the say"),
}
OTHERWISE = {
    "newest": Word("取最新", "the newest", "其余来源中取最新的值", "of all others the newest statement"),
    "majority": Word("取多数", "the majority", "取多数独立来源的值", "the value of most independent sources"),
    "none": Word("不取", "none", "其余来源的值不采用", "no other source’s value is used"),
}
SHARING = {
    "unconditional": Word("无条件共享", "shared without condition"),
    "conditional": Word("有条件共享", "shared on condition"),
    "none": Word("不予共享", "not shared"),
}
BASELINE = {
    "required": Word("必填项不得为空", "A required column is never blank"),
    "type": Word("值符合声明的数据类型", "A value reads as its declared type"),
    "length": Word("文本长度不超过声明的上限", "Text is no longer than declared"),
    "code": Word("值取自声明的代码表", "A value is one of its code list"),
    "identifier": Word("证件号码、统一社会信用代码等标识符校验通过", "An identifier passes its own check digit"),
    "unique": Word("主键在一批中不重复", "A key stands once in a delivery"),
}

STATES: dict[str, Word] = {
    ItemState.open: Word("待通知", "open", "已发现，随下一份通知送达部门", "found; it goes out with the next notice"),
    ItemState.notified: Word(
        "已通知",
        "notified",
        "已随工单送达部门，整改期限计时中",
        "sent to the department with its order; the clock runs",
    ),
    ItemState.acknowledged: Word(
        "已受理", "acknowledged", "部门已确认并着手更正", "the department accepts it and is correcting"
    ),
    ItemState.still_wrong: Word(
        "仍有误", "still wrong", "部门再次报送，同一规则复核仍不通过", "delivered again, and the same rule still fails"
    ),
    ItemState.reopened: Word("复发", "relapsed", "曾经办结，后又出现同样的错误", "settled once, then wrong again"),
    ItemState.blanked_at_source: Word(
        "源头已清空",
        "blanked at source",
        "清空字段不算更正，仍需填报正确的值",
        "blanking the field is no correction: the right value is still due",
    ),
    ItemState.removed_at_source: Word(
        "源头已删除",
        "removed at source",
        "记录消失不算更正，需部门说明理由",
        "the record is gone, which is no correction: the department must say why",
    ),
    ItemState.key_changed: Word(
        "主键已变更",
        "key changed",
        "同一内容改用新主键报送，不算更正",
        "the same content stands under another key, which is no correction",
    ),
    ItemState.moved: Word(
        "已移至他处",
        "moved",
        "记录连同错误值移至本部门另一资源，不算更正",
        "the record stands in another resource of the department, as wrong as before",
    ),
    ItemState.feed_silent: Word(
        "未再报送", "feed silent", "没有新批次可供复核，期限照常计时", "no delivery to check against; the clock runs on"
    ),
    ItemState.rejected: Word(
        "异议驳回",
        "objection rejected",
        "异议经裁定不成立，仍需更正",
        "the objection was turned down; a correction is still due",
    ),
    ItemState.insufficient_information: Word(
        "信息不足", "insufficient information", "部门表示凭现有信息无法更正", "the department needs more to go on"
    ),
    ItemState.wrong_source: Word(
        "非本部门数据", "wrong source", "部门表示该记录不属于本部门", "the department says the record is not its own"
    ),
    ItemState.objection_raised: Word(
        "提出异议",
        "objection raised",
        "部门认为数据无误，待数据局裁定",
        "the department says the value is right; the bureau must rule",
    ),
    ItemState.verified_as_suggested: Word(
        "已按建议更正",
        "verified as suggested",
        "新批次经同一规则复核通过，值与建议一致",
        "the next delivery passes the same rule, with the suggested value",
    ),
    ItemState.verified_otherwise: Word(
        "已另行更正",
        "verified otherwise",
        "新批次经同一规则复核通过，值与建议不同",
        "the next delivery passes the same rule, with another value",
    ),
    ItemState.upheld: Word(
        "异议成立",
        "objection upheld",
        "值不变期间该记录免于此规则",
        "the record is excepted for as long as its value stays",
    ),
    ItemState.resolved_elsewhere: Word(
        "因他处数据而消除",
        "resolved elsewhere",
        "其他部门的数据变化后不再违反，不计为更正",
        "another department’s data changed and the rule holds; settled, but no correction",
    ),
    ItemState.transferred: Word(
        "已移交",
        "transferred",
        "已移交权责部门，不计为本部门差错",
        "another department answers for it; not counted as this one’s error",
    ),
    ItemState.rule_withdrawn: Word("规则撤销", "rule withdrawn", "规则已停用", "the rule is no longer in force"),
}
WITH_BUREAU = frozenset({ItemState.insufficient_information, ItemState.wrong_source, ItemState.objection_raised})
TURNS = {
    "department": Word("待部门", "with the department"),
    "bureau": Word("待数据局", "with the bureau"),
    "closed": Word("已办结", "closed"),
}
# What was recorded late about a time that had been reported: kinds of the ledger's batches.
CAUSES = {
    "advance": Word("新批次的复核", "a delivery was judged"),
    "notice": Word("通知与时限", "notices and clocks"),
    "feedback": Word("部门反馈", "a department's reply"),
    "clock": Word("时限变化", "a clock"),
    "decision": Word("主管部门裁定", "a ruling of the bureau"),
    "erasure": Word("依法删除个人信息", "personal values erased by law"),
    "request": Word("校核申请", "a value was doubted by another department"),
    "dispute": Word("争议处理", "a dispute"),
}
