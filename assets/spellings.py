"""Which spellings of a value each logical type accepts, as SQL from a raw text to a typed value.

`plain` is the one spelling that needs nothing kept beside it: the value's own text. `converted` takes every other one
that is standard or declared; what it does not take is NULL, never guessed. A spelling or a type is added here; what a
record is made of is `assets.conform`.
"""

from __future__ import annotations

import re
from decimal import Decimal

from catalog.columns import MULTIPLES, Column, ColumnType, unit_parts
from quality_checks.macros import BLANK
from resources.lake import literal

WIDE = "０１２３４５６７８９．，－＋／：\u3000\u00a0−"
NARROW = "0123456789.,-+/:  -"
DAY = r"\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{4}\.\d{1,2}\.\d{1,2}|\d{8}|\d{4}年\d{1,2}月\d{1,2}日"
DAY_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y年%m月%d日")
CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?"
MOMENT = (
    rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}[ T]{CLOCK}|\d{{4}}/\d{{1,2}}/\d{{1,2}}[ T]{CLOCK}|\d{{14}}"
    rf"|\d{{4}}\.\d{{1,2}}\.\d{{1,2}} {CLOCK}|\d{{8}} {CLOCK}"
    rf"|\d{{4}}年\d{{1,2}}月\d{{1,2}}日 ?(?:{CLOCK}|\d{{1,2}}时\d{{1,2}}分(?:\d{{1,2}}秒)?)"
)
MOMENT_FORMATS = (
    *(
        f"{day}{gap}{clock}"
        for day, gap in (
            ("%Y-%m-%d", " "), ("%Y-%m-%d", "T"), ("%Y/%m/%d", " "), ("%Y/%m/%d", "T"), ("%Y.%m.%d", " "),
            ("%Y%m%d", " "), ("%Y年%m月%d日", ""), ("%Y年%m月%d日", " "),
        )
        for clock in ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M")
    ),
    *(f"%Y年%m月%d日{gap}%H时%M分{seconds}" for gap in ("", " ") for seconds in ("%S秒", "")),
    "%Y%m%d%H%M%S",
)  # fmt: skip
EXCEL_MOMENT = r"[1-9]\d{4,6}(?:\.\d+)?"  # from 18 May 1927: four digits would rather be a year
EXCEL_LAST_DAY = 2_958_465  # 31 December 9999
PLAIN_BOOLEANS = {"true": True, "false": False, "是": True, "否": False, "1": True, "0": False}
TRUE = "true|t|yes|y|1|是|√|✓|✔"
FALSE = "false|f|no|n|0|否|×|✗|✕"
WHOLE = r"(?:\d+|\d{1,3}(?:,\d{3})+)"


def tried(column: Column, raw: str) -> str:
    """SQL for what a cast makes of a text, a step before `plain`, which looks whether it is the value's own text."""
    if column.delivered_unit and column.delivered_unit != column.unit:
        return f"null::{column.sql_type}"  # a bare number is not the value
    match column.logical_type:
        case ColumnType.boolean:
            words = " ".join(f"when {literal(word)} then {value}" for word, value in PLAIN_BOOLEANS.items())
            return f"case {raw} {words} end"
        case ColumnType.decimal:
            digits = rf"-?(?:0|[1-9]\d*)(?:\.\d{{1,{column.scale}}})?" if column.scale else r"-?(?:0|[1-9]\d*)"
            return (
                f"case when regexp_full_match({raw}, {literal(digits)}) then try_cast({raw} as {column.sql_type}) end"
            )
        case _:  # ':' comes after the digits: no 'infinity'
            return f"case when {raw} < ':' then try_cast({raw} as {column.sql_type}) end"


def plain(column: Column, tried_value: str, raw: str) -> str:
    """SQL for the value of a text written as the value itself is, NULL for every other text."""
    if column.logical_type in {ColumnType.boolean, ColumnType.decimal}:
        return tried_value
    return f"case when {tried_value}::varchar = {raw} then {tried_value} end"


def converted(column: Column, raw: str, number: str, *, spreadsheet: bool) -> str:
    """SQL for the value of a text in any other accepted spelling; `spreadsheet`: day numbers may stand for dates.

    `number` is what `reckoned` made of it where a unit is declared: it is taken when the column can hold it exactly.
    """
    text = _narrow(raw)
    match column.logical_type:
        case ColumnType.text:
            return raw
        case ColumnType.boolean:
            return f"case when {_like(text, TRUE)} then true when {_like(text, FALSE)} then false end"
        case ColumnType.date | ColumnType.timestamp:
            return _moment(column, text, excel=spreadsheet or column.excel_dates)
        case _ if column.unit:
            scale = column.scale if column.logical_type is ColumnType.decimal else 0
            return f"case when round({number}, {scale}) = {number} then try_cast({number} as {column.sql_type}) end"
        case _:
            return f"try_cast(replace({_only(text, _number(column))}, ',', '') as {column.sql_type})"


def _narrow(raw: str) -> str:
    """Full-width digits and signs as plain ones, without outer blanks."""
    return f"trim(translate({raw}, {literal(WIDE)}, {literal(NARROW)}), {BLANK})"


def _only(text: str, pattern: str) -> str:
    """The text when all of it is of the pattern, else an empty one. What stands once in a query is computed once."""
    return f"regexp_extract({text}, {literal(f'^({pattern})$')}, 1)"


def _like(text: str, words: str) -> str:
    return f"regexp_full_match({text}, {literal(f'(?i)(?:{words})')})"


def _moment(column: Column, text: str, *, excel: bool) -> str:
    kind = column.sql_type
    found = f"try_strptime({_only(text, f'{DAY}|{MOMENT}')}, {[*DAY_FORMATS, *MOMENT_FORMATS]})"
    if not excel:
        return f"{found}::{kind}"
    number = f"try_cast({_only(text, EXCEL_MOMENT)} as double)"
    day = f"timestamp '1899-12-30' + to_seconds(round({number} * 86400)::bigint)"
    return f"coalesce({found}, case when {number} <= {EXCEL_LAST_DAY} then {day} end)::{kind}"


def _number(column: Column) -> str:
    """Pattern of a number the column can hold exactly: more digits after the point than its scale must be zeros."""
    if column.logical_type is ColumnType.integer:
        return f"[+-]?{WHOLE}"
    return rf"[+-]?(?:{WHOLE}(?:\.\d{{0,{column.scale}}}0*)?|\.\d{{1,{max(column.scale, 1)}}}0*)"


def parted(column: Column, raw: str) -> str:
    """SQL for a number and the unit written with it, as a struct of texts; a step before `reckoned`."""
    _, base = unit_parts(column.unit or "")
    before = "|".join(sorted(filter(None, MULTIPLES), key=len, reverse=True))
    pattern = rf"^([+-]?(?:{WHOLE}(?:\.\d{{0,8}}0*)?|\.\d{{1,8}}0*)) ?({before})?({re.escape(base)})?$"
    return f"regexp_extract({_narrow(raw)}, {literal(pattern)}, ['number', 'multiple', 'unit'])"


def reckoned(column: Column, parts: str) -> str:
    """SQL for the number of `parted` in the column's own unit, exact; a step before `converted`."""
    many, _ = unit_parts(column.unit or "")
    bare, _ = unit_parts(column.delivered_unit or column.unit or "")
    factors = " ".join(f"when {literal(word)} then {_share(times, many)}" for word, times in MULTIPLES.items() if word)
    alone = f"case when {parts}.unit = '' then {_share(bare, many)} else {_share(1, many)} end"
    text = f"replace({parts}.number, ',', '')"
    # 14 + 8 digits: no product overflows. DuckDB casts a text to more than 18 digits forty times slower than to 18.
    number = f"coalesce(try_cast({text} as decimal(18,8))::decimal(22,8), try_cast({text} as decimal(22,8)))"
    return f"{number} * case {parts}.multiple {factors} else {alone} end"


def _share(times: int, many: int) -> str:
    return f"{Decimal(times) / Decimal(many):f}::decimal(17,8)"
