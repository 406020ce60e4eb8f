"""The dimensions of data quality, and the indicators of GB/T 36344-2018 that belong to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Dimension = Literal["completeness", "accuracy", "freshness", "consistency", "uniqueness"]


DIMENSIONS: tuple[Dimension, ...] = ("completeness", "accuracy", "freshness", "consistency", "uniqueness")


# GB/T 36344-2018 indicators; 0503 (order of events) counts as consistency because it relates two values of one
# record, 0303 and 0304 are the duplicate indicators.
INDICATORS: dict[str, tuple[str, Dimension]] = {
    "0101": ("数据标准", "accuracy"),
    "0102": ("数据模型", "accuracy"),
    "0103": ("元数据", "completeness"),
    "0104": ("业务规则", "accuracy"),
    "0105": ("权威参考数据", "accuracy"),
    "0106": ("安全规范", "accuracy"),
    "0201": ("数据元素完整性", "completeness"),
    "0202": ("数据记录完整性", "completeness"),
    "0301": ("数据内容正确性", "accuracy"),
    "0302": ("数据格式合规性", "accuracy"),
    "0303": ("数据重复率", "uniqueness"),
    "0304": ("数据唯一性", "uniqueness"),
    "0305": ("脏数据出现率", "accuracy"),
    "0401": ("相同数据一致性", "consistency"),
    "0402": ("关联数据一致性", "consistency"),
    "0501": ("基于时间段的正确性", "freshness"),
    "0502": ("基于时间点及时性", "freshness"),
    "0503": ("时序性", "consistency"),
    "0601": ("可访问性", "freshness"),
    "0602": ("可用性", "accuracy"),
}


Indicator = Annotated[str, Field(json_schema_extra={"enum": sorted(INDICATORS)})]


# The two whose A counts what is wrong in the standard's A/B: the lower, the better.
INVERTED = frozenset({"0303", "0305"})


def known_indicator(code: str) -> str:
    """`code`, if the standard has it.

    Raises:
        ValueError: naming what is allowed.
    """
    if code not in INDICATORS:
        raise ValueError(f"not an indicator of GB/T 36344-2018; allowed: {', '.join(sorted(INDICATORS))}")
    return code
