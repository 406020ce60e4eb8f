"""What each of the 20 indicators of GB/T 36344-2018 counts here, and why it may not apply to a resource.

Every indicator is A/B, both counts. A rule counts for its own indicator, and as `also_counted` says for a second one
that asks another question of the same values. What no rule can see is measured in `quality_checks.measures`. An
indicator without anything counted is not applicable: that is neither 0 nor 100 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from catalog.models import Resource
from catalog.rules import Rule

# Rules about deliveries that give one verdict where a measure counts the same in columns, records or values; `stale` is
# about a thematic table, whose sources answer for their own lateness.
COUNTED_FINER = frozenset({"rows", "quarantine", "structure", "drift", "stale"})

# They count all columns, deliveries, resources or products there are: few of them are no small sample.
CENSUS = frozenset({"0103", "0106", "0501", "0502", "0601"})


@dataclass(frozen=True)
class Statement:
    """The indicator's English name, what it counts (A of B), and when it has nothing to count."""

    name: str
    zh: str
    en: str
    zh_unless: str
    en_unless: str


STATEMENTS: Mapping[str, Statement] = {
    "0101": Statement(
        "Data standard",
        "由国家标准规定的信息项（代码、标识）中符合标准的值 / 这些信息项的值",
        "values of coded and identifier columns that hold their standard's form / values of these columns",
        "没有由标准规定的信息项",
        "no column is declared by a standard",
    ),
    "0102": Statement(
        "Data model",
        "符合数据模型的检查：主键非空且不重复、值属于规定类型、引用存在 / 全部此类检查",
        "checks of the model that hold (key stated and unique, values of their type, references found) / all of them",
        "尚未入池",
        "nothing was pooled yet",
    ),
    "0103": Statement(
        "Metadata",
        "最近一批中按目录交付的信息项 / 目录要求的信息项；因结构被退回的批次一项也不算",
        "columns of the last delivery that are the catalogue's / columns it calls for; of one refused for its structure"
        " none",
        "从未交付",
        "nothing was delivered yet",
    ),
    "0104": Statement(
        "Business rules",
        "符合业务规则的记录 / 规则适用的记录",
        "records that keep a business rule / records it applies to",
        "没有此类规则，或没有规则适用的记录",
        "no such rule, or no record it applies to",
    ),
    "0105": Statement(
        "Reference data",
        "取自权威代码表的值 / 代码表规定的值",
        "values that stand in their reference list / values such a list governs",
        "没有由代码表规定的信息项",
        "no column is governed by a reference list",
    ),
    "0106": Statement(
        "Security",
        "已定安全级别、且发布时按级别脱敏或有法定用途的信息项 / 全部信息项",
        "columns with a level that are masked by it, or shown for a stated purpose, wherever published / all columns",
        "没有信息项",
        "no column",
    ),
    "0201": Statement(
        "Elements complete",
        "有值的数据元素 / 应当有值的数据元素（只计规则适用的记录）",
        "elements with a value / elements expected to have one: only of records the rule applies to",
        "没有必填信息项，或没有适用的记录",
        "no element is required, or no record the rule applies to",
    ),
    "0202": Statement(
        "Records complete",
        "最近一批中入池的记录 / 清单申报或文件所含的记录（重复的记录不算缺失）",
        "records of the last delivery that reached the pool / records declared or in the file; a duplicate is none",
        "从未交付，或文件无法读取",
        "nothing was delivered yet, or the file could not be read",
    ),
    "0301": Statement(
        "Content right",
        "内容正确的值（校验码、坐标范围等） / 检查的值",
        "values that are right by their check character or bounds / values checked",
        "没有可验证的信息项",
        "no column whose content can be checked",
    ),
    "0302": Statement(
        "Form right",
        "格式合规的值（类型、长度、值域、精度） / 检查的值",
        "values of the right form (type, length, range, precision) / values checked",
        "没有规定格式的信息项",
        "no column has a prescribed form",
    ),
    "0303": Statement(
        "Duplicates",
        "主键重复的记录 / 全部记录；越低越好",
        "records whose key stands more than once / all records; the lower the better",
        "尚未入池",
        "nothing was pooled yet",
    ),
    "0304": Statement(
        "Uniqueness",
        "在应唯一的信息项上唯一的记录 / 检查的记录",
        "records that are alone in what is declared unique / records checked",
        "尚未入池",
        "nothing was pooled yet",
    ),
    "0305": Statement(
        "Dirty data",
        "脏数据（乱码、占位符、多余空格） / 检查的值；越低越好",
        "dirty values (garbled, placeholders, stray blanks) / values checked; the lower the better",
        "没有检查脏数据的规则",
        "no rule looks for dirty values",
    ),
    "0401": Statement(
        "Same data agree",
        "与同一事实的其他记载一致的值 / 可以比对的值",
        "values that agree with the same fact elsewhere / values that could be compared",
        "没有可以比对的值",
        "nothing to compare with",
    ),
    "0402": Statement(
        "Related data agree",
        "符合关联约束的记录 / 约束适用的记录",
        "records that agree with related data / records such a rule applies to",
        "没有关联规则，或没有适用的记录",
        "no such rule, or no record it applies to",
    ),
    "0501": Statement(
        "Right for the period",
        "行数在通常范围内的批次 / 有可比往期的全量批次",
        "full deliveries of the usual volume / full deliveries with an earlier one to compare with",
        "没有可比的全量批次",
        "no full delivery with an earlier one",
    ),
    "0502": Statement(
        "In time",
        "在更新周期内交付的资源 / 应交付的资源",
        "resources delivered within their cycle / resources due",
        "首次交付尚未到期",
        "its first delivery is not due yet",
    ),
    "0503": Statement(
        "Order of times",
        "时间先后正确的记录 / 规则适用的记录",
        "records whose times stand in the right order / records such a rule applies to",
        "没有时序规则，或没有适用的记录",
        "no rule about the order of times, or no record it applies to",
    ),
    "0601": Statement(
        "Accessible",
        "最近一批入池后可读取的资源池，和在提供的发布产品 / 应可访问的资源池和发布产品",
        "the pool if it could be read since its last delivery, and products served / the pool and products due",
        "尚未入池",
        "nothing was pooled yet",
    ),
    "0602": Statement(
        "Usable",
        "在更新周期内且未被阻断的记录 / 资源池的记录",
        "records within the age their cycle allows that no blocking finding keeps out / records of the pool",
        "尚未入池",
        "nothing was pooled yet",
    ),
}


def indicators_of(rule: Rule, resource: Resource | None) -> tuple[str, ...]:
    """The indicators a rule counts for: its own first. `resource` is whose table it checks; none: a thematic one."""
    return tuple(dict.fromkeys((rule.indicator, *(also_counted(rule, resource) if resource else ()))))


def also_counted(rule: Rule, resource: Resource) -> Iterable[str]:
    """Second indicators: of rules the program generates from a column, by their id; of written ones by their form."""
    kind = rule.id.rpartition(".")[2] if rule.id.startswith(f"{resource.id}.") else ""
    if kind in ("code", "identifier"):
        yield "0101"
    if kind == "type" or (kind == "required" and rule.column in resource.key) or _is_reference(rule):
        yield "0102"
    if kind == "unique" and rule.id == f"{resource.id}.key.unique":
        yield from ("0102", "0304")
    if rule.unique:
        yield "0304"


def _is_reference(rule: Rule) -> bool:
    """Whether all it says is that the record's partner exists, in another table than a code list."""
    partners = [name for name, lookup in rule.lookup.items() if not lookup.to.startswith("codes.")]
    said = re.fullmatch(r"(\w+)\.\w+\s+is\s+not\s+null", (rule.that or "").strip(), re.IGNORECASE)
    return said is not None and said[1] in partners
