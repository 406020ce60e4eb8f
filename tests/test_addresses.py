"""Addresses: two spellings of one agree, two houses never do; what is parsed, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import divisions

CODES = Path(__file__).parents[1] / "catalog" / "codes"
PARTS = ("province", "city", "county", "town", "community", "village_group", "road", "number", "place", "building",
         "unit", "floor", "room", "rest")  # fmt: skip


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS codes")
        connection.execute(f"CREATE TABLE codes.gbt_2260 AS FROM read_csv('{CODES}/gbt_2260.csv', all_varchar = true)")
        connection.execute(divisions.vocabulary(CODES))
        yield connection


def asked(con: duckdb.DuckDBPyConnection, expression: str, addresses: list[str | None]) -> list[object]:
    """The expression over `a`, for each address."""
    rows = con.execute(
        f"SELECT {expression} FROM (SELECT unnest($1::VARCHAR[]) AS a, generate_subscripts($1::VARCHAR[], 1) AS i)"
        " ORDER BY i",
        [addresses],
    ).fetchall()
    return [value for (value,) in rows]


# Invented addresses of real shapes, with the parts that are not empty.
PARSED = {
    "安徽省六安市金安区百安街道解放路12号": "安徽省 六安市 金安区 百安街道 - - 解放路 12号",
    "六安市金安区解放路十二号": "- 六安市 金安区 - - - 解放路 12号",
    "安徽六安金安区解放路１２號": "安徽 六安 金安区 - - - 解放路 12号",
    "金安区解放路12": "- - 金安区 - - - 解放路 12号",
    "重庆市南岸区南坪镇江南大道19号3幢2单元5-1": "重庆市 - 南岸区 南坪镇 - - 江南大道 19号 - 3栋 2单元 - 5-1室",
    "霍邱县城关镇李庄村村民委员会三组12号": "- - 霍邱县 城关镇 李庄村 3组 - 12号",
    "合肥市高新区桂花语苑4栋901": "- 合肥市 - 高新区 - - - - 桂花语苑 4栋 - - 901室",
    "阳光小区3-2-501": "- - - - - - - - 阳光小区 3栋 2单元 - 501室",
    "解放路12号（自主申报）": "- - - - - - 解放路 12号",
    "解放路12之3号": "- - - - - - 解放路 12-3号",
    "河南省周口市大庆路与七一路交叉口": "河南省 周口市 - - - - 大庆路与71路 - 交叉口",
    "海南省省直辖县级行政区划五指山市通什镇河北路3号": "海南省 - 五指山市 通什镇 - - 河北路 3号",
    "信阳市市辖区明港镇中港新城6幢18号": "- 信阳市 - 明港镇 - - - - 中港新城 6栋 - - 18号",
    "攀枝花市东区光明路3号": "- 攀枝花市 东区 - - - 光明路 3号",
    # what only looks like a division or a town
    "安徽路5号": "- - - - - - 安徽路 5号",
    "镇海路5号": "- - - - - - 镇海路 5号",
    "新镇村12号": "- - - - 新镇村 - - 12号",
    "东区3栋501": "- - - - - - - - 东区 3栋 - - 501室",
}


def test_an_address_is_parsed_to_its_parts(con: duckdb.DuckDBPyConnection) -> None:
    parsed = asked(con, "{'parts': address_parts(a), 'parsed': address_parsed(a)}", list(PARSED))
    for address, found in zip(PARSED, parsed, strict=True):
        wanted = ["" if part == "-" else part for part in PARSED[address].split()]
        wanted += [""] * (len(PARTS) - len(wanted))
        assert found == {"parts": dict(zip(PARTS, wanted, strict=True)), "parsed": True}, address


def test_what_is_left_over_is_told_and_nothing_is_lost(con: duckdb.DuckDBPyConnection) -> None:
    address = "灵宝市城关镇牛庄村开元大道西侧开源矿业北50米"
    assert asked(con, "address_parts(a).rest", [address]) == ["50米"]
    assert asked(con, "address_parsed(a)", [address, "六安市金安区", ""]) == [False, False, False]
    assert asked(con, "address_text(a)", [address]) == [address]
    assert asked(con, "address_normal(a) || address_standard(a, '341502')", [None]) == [None]


ONE = "安徽省六安市金安区百安街道解放路12号3栋2单元501室"
SAME = [
    ONE, "六安市金安区解放路12号3栋2单元501室", "解放路十二号三幢二单元501", "金安区 解放路12号 3号楼2单元501室",
    "安徽六安金安区解放路１２號３幢２单元５０１室", "解放路12#3#楼第2单元501房", "（金安区）解放路12号3座2单元501号室",
    "安徽省，六安市，金安区，解放路12号3栋2-501",
]  # fmt: skip
OTHERS = [
    "解放路13号3栋2单元501室", "解放路12-1号3栋2单元501室", "解放路12号4栋2单元501室", "解放路12号3栋1单元501室",
    "解放路12号3栋2单元502室", "解放北路12号3栋2单元501室", "解放路12号3栋2单元501室东", "解放路2号3栋2单元501室",
    "解放路112号3栋2单元501室", "解放路1、2号3栋2单元501室", "解放路12号",
]  # fmt: skip


def test_spellings_of_one_address_agree_and_other_houses_do_not(con: duckdb.DuckDBPyConnection) -> None:
    assert set(asked(con, "address_normal(a)", list(SAME))) == {"解放路12号3栋2单元501室"}
    others = asked(con, "address_normal(a)", list(OTHERS))
    assert "解放路12号3栋2单元501室" not in others
    assert len(set(others)) == len(OTHERS)
    assert asked(con, "address_normal(a)", ["东区3栋501", "西区3栋501", "解放路6、7号", "解放路67号"]) == [
        "东区3栋501室", "西区3栋501室", "解放路6-7号", "解放路67号",
    ]  # fmt: skip


def test_the_divisions_an_address_names(con: duckdb.DuckDBPyConnection) -> None:
    named = asked(
        con, "address_division(a)", [ONE, "霍邱县城关镇", "解放路1号", "合肥市肥西县上派镇", "吉林省吉林市1号"]
    )
    assert named == [["341502"], ["341522", "342423"], [], ["340123"], ["220200"]]


NUMERALS = "零一二三四五六七八九"


def in_words(number: int) -> str:
    """A number below 1000 as it is written in Chinese."""
    hundreds, tens, ones = number // 100, number // 10 % 10, number % 10
    words = NUMERALS[hundreds] + "百" if hundreds else ""
    if tens:
        words += ("" if tens == 1 and not hundreds else NUMERALS[tens]) + "十"
    elif hundreds and ones:
        words += "零"
    return words + (NUMERALS[ones] if ones else "")


numbers = st.integers(1, 999)
spelled = st.sampled_from(["digits", "words", "wide"])


@st.composite
def addresses(draw: st.DrawFn) -> tuple[str, str]:
    """An address in its standard form, and another spelling of it."""

    def number(value: int) -> str:
        how = draw(spelled)
        wide = "".join(chr(ord(digit) + 0xFEE0) for digit in str(value))
        return {"digits": str(value), "words": in_words(value), "wide": wide}[how]

    road = draw(st.sampled_from(["解放路", "人民大道", "迎宾街", "文庙巷", "梅山北路"]))
    town = draw(st.sampled_from(["百安街道", "城关镇", "三里桥街道"]))
    house, building, unit, room = draw(numbers), draw(st.integers(1, 99)), draw(st.integers(1, 9)), draw(numbers)
    standard = f"安徽省六安市金安区{town}{road}{house}号{building}栋{unit}单元{room}室"
    prefix = draw(
        st.sampled_from(["安徽省六安市金安区", "六安市金安区", "金安区", "", "安徽六安金安区", "安徽省金安区"])
    )
    gap = draw(st.sampled_from(["", " ", "　", "，"]))
    other = (
        f"{prefix}{gap}{town}{gap}{road}{number(house)}{draw(st.sampled_from(['号', '號', '#']))}{gap}"
        f"{number(building)}{draw(st.sampled_from(['栋', '幢', '座', '号楼', '號樓']))}{gap}"
        f"{draw(st.sampled_from(['', '第']))}{number(unit)}单元{gap}"
        f"{number(room)}{draw(st.sampled_from(['室', '房', '号房']))}"
    )
    return standard, other


@settings(max_examples=4, deadline=None)
@given(pairs=st.lists(addresses(), min_size=60, max_size=60))
def test_any_spelling_of_the_parts_comes_to_the_same_standard_form(
    con: duckdb.DuckDBPyConnection, pairs: list[tuple[str, str]]
) -> None:
    wanted = [standard for standard, _ in pairs]
    written: list[str | None] = [other for _, other in pairs]
    assert asked(con, "address_standard(a, '341502')", written) == wanted
    assert asked(con, "address_normal(a)", written) == asked(con, "address_normal(a)", list(wanted))
