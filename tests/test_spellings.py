# ruff: noqa: E501  # tables of cases
"""Spellings: what each type takes, what it keeps beside the value, what it refuses; never a guess."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets.conform import Source
from catalog.columns import Column, ColumnType
from catalog.load import Catalog
from catalog.models import Resource

YUAN = Column(title="值", type=ColumnType.decimal, unit="元")
# Text -> the value's text; a text that is the value's own needs nothing beside it.
SPELLINGS: dict[str, tuple[Column, dict[str, str], list[str]]] = {
    "integer": (
        Column(title="值", type=ColumnType.integer),
        {"1": "1", "+5": "5", "-3": "-3", "\u3000007\t": "7", "５": "5", "1,234,567": "1234567", "１，２３４": "1234"},
        ["1.5", "5.0", "1e3", "1_0", "12345678901234567890", "1 2", "1,23", "五", "--1"],
    ),
    "decimal": (
        Column(title="值", type=ColumnType.decimal),
        {"1": "1.00", "1.5": "1.50", "1.5000": "1.50", ".5": "0.50", "-0.01 ": "-0.01", "1,000": "1000.00",
         "１２．５": "12.50", "0012": "12.00"},
        ["1.555", "1e3", "99999999999999999", ".", "1,00", "120万元", "NaN"],
    ),
    "元": (
        YUAN,
        {"120万元": "1200000.00", "120 万元": "1200000.00", "1.5亿": "150000000.00", "8元": "8.00", "8": "8.00",
         "１，２００元": "1200.00", "0.00001万元": "0.10"},
        ["120万美元", "万元", "0.0000001万元", "1亿亿元", "120万元整"],
    ),
    "万元 in 元": (
        YUAN.model_copy(update={"delivered_unit": "万元"}),
        {"120": "1200000.00", "0.5": "5000.00", "120元": "120.00", "1亿元": "100000000.00"},
        ["x"],
    ),
    "元 in 万元": (
        Column(title="值", type=ColumnType.decimal, scale=4, unit="万元", delivered_unit="元"),
        {"12000": "1.2000", "3万元": "3.0000"},
        ["0.5"],
    ),
    "人": (
        Column(title="值", type=ColumnType.integer, unit="人"), {"3千人": "3000", "12": "12", "1.2万人": "12000"}, ["1.5"]
    ),
    "date": (
        Column(title="值", type=ColumnType.date),
        {
            **dict.fromkeys(
                ["2020-01-05", "2020-1-5", "2020/01/05", "2020.1.5", "20200105", "2020年1月5日", " 2020-01-05 ",
                 "２０２０－０１－０５", "2020-01-05 00:00:00", "2020/1/5 8:30", "20200105083000", "2020年1月5日 8时30分"],
                "2020-01-05",
            )
        },
        ["2020-02-30", "2020105", "20-01-05", "infinity", "2020-01/05", "2020-01-05x", "0", "43835", "2020", "epoch"],
    ),
    "excel date": (
        Column(title="值", type=ColumnType.date, excel_dates=True),
        {"43835": "2020-01-05", "43835.5": "2020-01-05", "20200105": "2020-01-05", "２０２０/１/５": "2020-01-05"},
        ["2020", "9999999", "4383x"],
    ),
    "excel timestamp": (
        Column(title="值", type=ColumnType.timestamp, excel_dates=True),
        {"43835.5": "2020-01-05 12:00:00", "43835": "2020-01-05 00:00:00", "43835.430902777778": "2020-01-05 10:20:30"},
        ["1234"],
    ),
    "timestamp": (
        Column(title="值", type=ColumnType.timestamp),
        {
            "2020-01-05 10:20:30": "2020-01-05 10:20:30",
            "2020/1/5T1:02": "2020-01-05 01:02:00",
            "20200105102030": "2020-01-05 10:20:30",
            "20200105 10:20:30": "2020-01-05 10:20:30",
            "2020-01-05 10:20:30.5": "2020-01-05 10:20:30.5",
            "2020-01-05": "2020-01-05 00:00:00",
            "2020年1月5日10时20分30秒": "2020-01-05 10:20:30",
        },
        ["2020-01-05 25:00:00", "2020-01-05 10:20:30+08", "10:20", "infinity"],
    ),
    "boolean": (
        Column(title="值", type=ColumnType.boolean),
        {"true": "true", "是": "true", "1": "true", " Y": "true", "√": "true", "否": "false", "0": "false", "×": "false",
         "n": "false", "FALSE": "false", "１": "true"},
        ["2", "tru", "真", "x"],
    ),
    "text": (Column(title="值", type=ColumnType.text), {" a ": " a ", "0012": "0012", "２": "２"}, []),
}  # fmt: skip


def conformed(
    resource: Resource, records: list[dict[str, str | None]], folder: Path, **given: Any
) -> list[dict[str, Any]]:
    """The records as the pool would hold them, as text, with `_raw`."""
    columns = ", ".join(f"{name} varchar" for name in resource.columns)
    con = duckdb.connect()
    con.execute(f"create table t ({columns})")
    con.executemany(f"insert into t values ({', '.join('?' * len(resource.columns))})",
                    [[record.get(name) for name in resource.columns] for record in records])  # fmt: skip
    con.execute(f"copy t to '{folder / 'rows.parquet'}'")
    source = Source(resource, folder / "rows.parquet", False, "d", date(2026, 11, 2), "full", [*resource.columns])
    source = dataclasses.replace(source, **given)
    values = ", ".join(f"{name}::varchar as {name}" for name in resource.columns)
    answer = con.execute(f"select {values}, _raw, _record_key from ({source.typed}) order by _row")
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def one_column(small_catalog: Catalog, column: Column, **more: Any) -> Resource:
    resource = small_catalog.resources["public_security.resident_registration"]
    key = {"id_number": resource.columns["id_number"]}
    return resource.model_copy(update={"columns": {**key, "value": column}, **more})


@pytest.mark.parametrize("kind", SPELLINGS)
def test_a_type_takes_its_spellings_and_no_others(kind: str, small_catalog: Catalog, tmp_path: Path) -> None:
    column, taken, refused = SPELLINGS[kind]
    texts = [*taken, *refused]
    records = [{"id_number": str(n), "value": text} for n, text in enumerate(texts)]
    found = conformed(one_column(small_catalog, column), records, tmp_path)
    assert {text: row["value"] for text, row in zip(texts, found, strict=True)} == {**taken, **dict.fromkeys(refused)}
    for text, row in zip(texts, found, strict=True):
        own = row["value"] == text or (kind in ("decimal", "元") and text in ("1", "1.5", "8")) or kind == "text"
        own = own or (kind == "boolean" and text in ("是", "否", "1", "0"))
        if kind != "元" or text != "8":  # a bare number where a unit is declared is the value's own text
            assert row["_raw"] == (None if own else {"value": text}), text


def test_declared_spellings_of_no_value_are_blanks_whose_text_is_kept(small_catalog: Catalog, tmp_path: Path) -> None:
    number = Column(title="值", type=ColumnType.integer, missing=("0",))
    resource = one_column(small_catalog, number, missing=("N/A", "-", "无"))
    resource = resource.model_copy(
        update={"columns": {**resource.columns, "remark": Column(title="备注", type=ColumnType.text)}}
    )
    records = [
        {"id_number": "1", "value": "0", "remark": "无"},
        {"id_number": "N/A", "value": " - ", "remark": "0"},
        {"id_number": "3", "value": "\u3000", "remark": "无名"},
    ]
    found = conformed(resource, records, tmp_path)
    assert [(row["value"], row["remark"], row["_raw"], row["_record_key"]) for row in found] == [
        (None, None, {"value": "0", "remark": "无"}, "1"),
        (None, "0", {"id_number": "N/A", "value": " - "}, "#2"),
        (None, "无名", None, "3"),
    ]


def test_day_numbers_stand_for_dates_in_spreadsheets_alone(small_catalog: Catalog, tmp_path: Path) -> None:
    resource = one_column(small_catalog, Column(title="值", type=ColumnType.date))
    values = [
        conformed(resource, [{"id_number": "1", "value": "43835"}], tmp_path, spreadsheet=sheet)[0]["value"]
        for sheet in (False, True)
    ]
    assert values == [None, "2020-01-05"]
