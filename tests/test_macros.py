"""The SQL vocabulary against independent readings of the standards: plain Python, python-stdnum, id-validator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from id_validator import validator as id_validator
from stdnum.cn import uscc as stdnum_uscc
from stdnum.iso7064 import mod_11_2, mod_37_36

from quality_checks.macros import SQL, quote

DIGITS = "0123456789"
BASE_31 = "0123456789ABCDEFGHJKLMNPQRTUWXY"
BASE_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC_PAIRS = ["11", "12", "13", "19", "31", "35", "51", "53", "71", "81", "91", "92", "93", "N1", "N3", "Y1", "A1"]
SANE = settings(max_examples=40, deadline=None)

days = st.dates(date(1900, 1, 1), date(2099, 12, 31))
regions = st.sampled_from(["341522", "110105", "650100", "810000", "820000", "830000"])
orders = st.integers(0, 999).map("{:03}".format)
bodies = st.tuples(regions, days.map("{:%Y%m%d}".format), orders).map("".join)
garbage = st.text(max_size=25) | st.text(DIGITS + "Xx '\\%", min_size=14, max_size=19)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(SQL)
        yield connection


def each(con: duckdb.DuckDBPyConnection, expression: str, values: list[Any]) -> list[Any]:
    """`expression` over the column x that holds the values, in order."""
    query = f"SELECT {expression} FROM (SELECT unnest($1::VARCHAR[]) AS x, unnest(range(len($1))) AS n) ORDER BY n"
    return [value for (value,) in con.execute(query, [values]).fetchall()]


def one(con: duckdb.DuckDBPyConnection, expression: str) -> Any:
    row = con.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    return row[0]


def org_digit(body: str) -> str:
    total = sum(BASE_36.index(c) * w for c, w in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))


def uscc_of(pair: str, region: str, org: str) -> str:
    body = pair + region + org + org_digit(org)
    total = sum(BASE_31.index(c) * 3**place for place, c in enumerate(body))
    return body + BASE_31[-total % 31]


usccs = st.builds(
    uscc_of,
    st.sampled_from(USCC_PAIRS),
    st.text(DIGITS, min_size=6, max_size=6),
    st.text(BASE_31, min_size=8, max_size=8),
)


@SANE
@given(some=st.lists(bodies, min_size=20, max_size=60))
def test_a_citizen_number_with_the_check_digit_of_iso_7064_is_right_and_every_other_digit_is_wrong(
    con: duckdb.DuckDBPyConnection, some: list[str]
) -> None:
    checks = [mod_11_2.calc_check_digit(body) for body in some]
    assert each(con, "id_check_digit(x)", some) == checks
    right = [body + check for body, check in zip(some, checks, strict=True)]
    assert each(con, "person_id_ok(x)", right) == [True] * len(some)
    wrong = [body + other for body, check in zip(some, checks, strict=True) for other in DIGITS + "X" if other != check]
    assert not any(each(con, "person_id_ok(x)", wrong))


@SANE
@given(
    region=st.sampled_from(["110105", "810000", "820000", "830000"]),
    born=st.dates(date(1950, 1, 1), date(2020, 12, 31)),
    order=orders,
)
def test_mainland_numbers_and_permits_of_hong_kong_macao_and_taiwan_are_right_as_id_validator_says(
    con: duckdb.DuckDBPyConnection, region: str, born: date, order: str
) -> None:
    body = f"{region}{born:%Y%m%d}{order}"
    number = body + mod_11_2.calc_check_digit(body)
    assert id_validator.is_valid(number)
    assert one(con, f"person_id_ok('{number}')") is True
    assert one(con, f"id_birth_date('{number}')") == born
    assert one(con, f"id_sex('{number}')") == ("1" if int(order) % 2 else "2")
    assert one(con, f"id_region('{number}')") == region


@SANE
@given(some=st.lists(st.tuples(regions, st.text(DIGITS, min_size=8, max_size=8), orders), min_size=20, max_size=60))
def test_a_birth_date_that_does_not_exist_makes_a_number_wrong_whatever_its_check_digit(
    con: duckdb.DuckDBPyConnection, some: list[tuple[str, str, str]]
) -> None:
    def exists(day: str) -> bool:
        try:
            date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:]}")
        except ValueError:
            return False
        return True

    made = [region + day + order for region, day, order in some]
    numbers = [body + mod_11_2.calc_check_digit(body) for body in made]
    assert each(con, "person_id_ok(x)", numbers) == [exists(day) for _, day, _ in some]


@SANE
@given(region=regions, born=st.dates(date(1900, 1, 1), date(1999, 12, 31)), order=orders)
def test_a_legacy_number_of_fifteen_digits_is_right_and_is_brought_to_eighteen(
    con: duckdb.DuckDBPyConnection, region: str, born: date, order: str
) -> None:
    old = f"{region}{born:%y%m%d}{order}"
    body = f"{region}{born:%Y%m%d}{order}"
    assert one(con, f"person_id_ok('{old}')") is True
    assert one(con, f"id_to_18('{old}')") == body + mod_11_2.calc_check_digit(body)
    assert one(con, f"id_birth_date('{old}')") == born
    assert one(con, f"id_sex('{old}')") == ("1" if int(order) % 2 else "2")


def test_a_foreign_residents_card_is_never_accused_and_says_neither_birth_nor_sex(
    con: duckdb.DuckDBPyConnection,
) -> None:
    cards = ["934156198001010011", "USA341199001011"]
    assert each(con, "person_id_ok(x)", cards) == [True, True]
    assert each(con, "id_birth_date(x)", cards[:1]) == [None]
    assert each(con, "id_sex(x)", cards) == [None, None]


@SANE
@given(body=bodies, blank=st.sampled_from(["", " ", "　", "\t", "\u200b"]), full_width=st.booleans())
def test_a_number_written_with_blanks_full_width_digits_or_a_small_x_has_one_normal_form(
    con: duckdb.DuckDBPyConnection, body: str, blank: str, full_width: bool
) -> None:
    number = body + mod_11_2.calc_check_digit(body)
    written = blank + number.lower() + blank
    if full_width:
        written = "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in written)
    assert one(con, f"person_id_normal({quote(written)})") == number


@SANE
@given(body=bodies, place=st.integers(6, 13), digit=st.sampled_from(DIGITS))
def test_a_wrong_digit_in_the_birth_date_is_repaired_when_birth_date_and_sex_leave_one_possibility(
    con: duckdb.DuckDBPyConnection, body: str, place: int, digit: str
) -> None:
    number = body + mod_11_2.calc_check_digit(body)
    wrong = number[:place] + digit + number[place + 1 :]
    born = f"DATE '{body[6:10]}-{body[10:12]}-{body[12:14]}'"
    sex = "1" if int(body[16]) % 2 else "2"
    assert one(con, f"person_id_repair('{wrong}', {born}, '{sex}')") == number


@SANE
@given(body=bodies, place=st.integers(1, 16), shift=st.integers(1, 9))
def test_a_repair_is_a_right_number_that_fits_birth_date_and_sex_or_nothing(
    con: duckdb.DuckDBPyConnection, body: str, place: int, shift: int
) -> None:
    number = body + mod_11_2.calc_check_digit(body)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    born = f"DATE '{body[6:10]}-{body[10:12]}-{body[12:14]}'"
    sex = "1" if int(body[16]) % 2 else "2"
    repaired = one(con, f"person_id_repair('{wrong}', {born}, '{sex}')")
    assert repaired is None or (
        mod_11_2.is_valid(repaired) and repaired[6:14] == body[6:14] and int(repaired[16]) % 2 == int(body[16]) % 2
    )


def test_a_number_is_not_repaired_when_its_error_could_stand_in_several_places(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert one(con, "person_id_repair('110105194912310021', DATE '1949-12-31', '2')") is None
    assert one(con, "person_id_repair('110105194912310021', NULL, NULL)") is None


@SANE
@given(some=st.lists(usccs, min_size=10, max_size=40), place=st.integers(8, 17), letter=st.sampled_from(BASE_31))
def test_a_credit_code_is_right_with_both_check_characters_and_wrong_with_one_character_changed(
    con: duckdb.DuckDBPyConnection, some: list[str], place: int, letter: str
) -> None:
    assert each(con, "uscc_ok(x)", some) == [True] * len(some)
    assert each(con, "uscc_check(substr(x, 1, 17))", some) == [code[-1] for code in some]
    assert each(con, "org_code_check(substr(x, 9, 8))", some) == [code[16] for code in some]
    wrong = [code[:place] + letter + code[place + 1 :] for code in some]
    expected = [changed == code for changed, code in zip(wrong, some, strict=True)]
    assert each(con, "uscc_ok(x)", wrong) == expected


@SANE
@given(code=usccs)
def test_python_stdnum_agrees_on_the_codes_whose_first_character_it_knows(
    con: duckdb.DuckDBPyConnection, code: str
) -> None:
    knows = code[0] not in "ANY"  # it rejects these authorities of the amendment of 2016
    assert stdnum_uscc.is_valid(code) is knows
    assert one(con, f"uscc_ok('{code}')") is True


@SANE
@given(org=st.text(DIGITS, min_size=8, max_size=8), pair=st.sampled_from(["91", "N2"]))
def test_a_wrong_organisation_code_inside_is_found_although_the_outer_check_character_is_right(
    con: duckdb.DuckDBPyConnection, org: str, pair: str
) -> None:
    wrong_digit = DIGITS[(DIGITS.find(org_digit(org)) + 1) % 10]
    body = f"{pair}341522{org}{wrong_digit}"
    total = sum(BASE_31.index(c) * 3**place for place, c in enumerate(body))
    assert one(con, f"uscc_ok('{body}{BASE_31[-total % 31]}')") is False


def test_a_credit_code_needs_a_legal_first_pair_and_no_letter_the_standard_leaves_out(
    con: duckdb.DuckDBPyConnection,
) -> None:
    legal = [uscc_of(pair, "341522", "MA2TD0A2") for pair in ("91", "N1", "Y1", "A1", "12")]
    illegal = [uscc_of(pair, "341522", "MA2TD0A2") for pair in ("94", "N4", "Q1", "01")]
    assert each(con, "uscc_ok(x)", legal + illegal) == [True] * 5 + [False] * 4
    assert one(con, f"uscc_ok('{legal[0][:-1]}O')") is False


@SANE
@given(code=usccs, place=st.integers(0, 16))
def test_a_credit_code_repair_undoes_a_swap_or_offers_nothing_or_another_right_code(
    con: duckdb.DuckDBPyConnection, code: str, place: int
) -> None:
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    repaired = one(con, f"uscc_repair('{swapped}')")
    if swapped == code:
        assert repaired == code
    assert repaired is None or one(con, f"uscc_ok('{repaired}')") is True


def test_letters_the_standard_leaves_out_are_read_as_the_digits_they_resemble(con: duckdb.DuckDBPyConnection) -> None:
    code = uscc_of("91", "341502", "MA2TD0A2")
    assert one(con, f"uscc_repair(' {code.lower().replace('0', 'o').replace('1', 'i')} ')") == code


@settings(SANE, max_examples=15)
@given(type_of=usccs, issuer=usccs, serial=st.text(BASE_36, min_size=1, max_size=20), version=st.integers(0, 999))
def test_an_e_certificate_identifier_carries_the_check_character_of_mod_37_36(
    con: duckdb.DuckDBPyConnection, type_of: str, issuer: str, serial: str, version: int
) -> None:
    body = f"{type_of}011{issuer}{serial}{version:03}"
    check = mod_37_36.calc_check_digit(body)
    assert one(con, f"certificate_check('{body}')") == check
    plain = f"1.2.156.3005.2.{type_of}011.{issuer}.{serial}.{version:03}."
    assert one(con, f"certificate_id_ok('{plain}{check}')") is True
    other = BASE_36[(BASE_36.index(check) + 1) % 36]
    assert one(con, f"certificate_id_ok('{plain}{other}')") is False


def test_the_public_example_of_an_e_certificate_identifier_is_right(con: duckdb.DuckDBPyConnection) -> None:
    example = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
    assert one(con, f"certificate_id_ok('{example}')") is True
    assert one(con, f"certificate_id_ok('{example.replace('1.2.156', '1.2.157')}')") is False


@pytest.mark.parametrize("name", ["张三", "欧阳娜娜", "阿不都热合曼·阿不力孜", "𠮷田", "John Smith", "O'Neill", "李〇"])
def test_a_real_name_is_not_accused(con: duckdb.DuckDBPyConnection, name: str) -> None:
    assert one(con, f"name_ok({quote(name)})") is True


@pytest.mark.parametrize(
    "name", ["张3", "测试", "无", "不详", "张三 ", " 张三", "锟斤拷", "å¼\xa0ä¸\x89", "张�", "?", ""]
)
def test_a_placeholder_digits_stray_blanks_and_mojibake_are_no_name(con: duckdb.DuckDBPyConnection, name: str) -> None:
    assert one(con, f"name_ok({quote(name)})") is False


def test_text_is_brought_to_one_form(con: duckdb.DuckDBPyConnection) -> None:
    assert each(con, "text_normal(x)", ["　ＡＢ（１）\t 路 ", "霍邱县城关镇", ""]) == ["AB(1) 路", "霍邱县城关镇", ""]


def test_masks_hide_what_identifies(con: duckdb.DuckDBPyConnection) -> None:
    assert each(con, "mask_name(x)", ["张", "张三丰"]) == ["张*", "张**"]
    assert each(con, "mask_id(x)", ["11010519491231002X", "12345"]) == ["110*************2X", "*****"]
    assert each(con, "mask_text(x)", ["安徽省六安市"]) == ["安***"]
    shapes = ["号码11010519491231002X，", "110105491231002", "13955550199", "91341502MA2XYZ1234", "12341500486012345X"]
    assert each(con, "mask_shapes(x)", shapes) == ["号码110***，", "110***", "139***", *shapes[3:]]
    near = [
        "+8613955550199",
        "No110105194912310021a",
        "11010519491231002X 110105491231002,13955550199",
        "１１０１０５１９４９１２３１００２Ｘ",
        "110105 19491231 002X",
        "139-5555-0199",
    ]
    assert each(con, "mask_shapes(x)", near) == [
        "+86139***",
        "No110***a",
        "110*** 110***,139***",
        "110***",
        "110***",
        "139***",
    ]
    assert each(con, "told(x)", ["张「三」", None]) == ["「张『三』」", "空"]
    assert each(con, "mask_told(x)", ["姓名为「张『三』」，共「2」条"]) == ["姓名为「***」，共「***」条"]


def test_coordinates_of_china_and_nowhere_else(con: duckdb.DuckDBPyConnection) -> None:
    assert one(con, "[in_china(116.5, 31.7), in_china(31.7, 116.5), in_china(0, 0), in_china(NULL, 31.7)]") == [
        True, False, False, None,
    ]  # fmt: skip


UNARY = [
    "person_id_ok", "id_birth_date", "id_sex", "id_region", "id_to_18", "person_id_normal", "id_check_digit", "uscc_ok",
    "uscc_check", "org_code_check", "uscc_normal", "uscc_repair", "certificate_id_ok", "certificate_check",
    "name_ok", "text_normal", "mask_name", "mask_id", "mask_text", "registration_number_ok", "phone_ok",
]  # fmt: skip


@pytest.mark.parametrize("macro", UNARY)
def test_nothing_in_gives_nothing_out(con: duckdb.DuckDBPyConnection, macro: str) -> None:
    assert each(con, f"{macro}(x)", [None]) == [None]


@settings(SANE, max_examples=15)
@given(some=st.lists(garbage, min_size=5, max_size=20))
def test_garbage_never_raises_and_is_never_called_right(con: duckdb.DuckDBPyConnection, some: list[str]) -> None:
    said = each(con, "{" + ", ".join(f"'{m}': {m}(x)" for m in UNARY) + "}", some)
    repaired = each(con, "person_id_repair(x, DATE '1990-01-01', '1')", some)
    assert len(said) == len(repaired) == len(some)
    for text, answers in zip(some, said, strict=True):
        eighteen = len(text) == 18 and text.isascii() and text[:17].isdigit()
        assert (
            not answers["person_id_ok"] or len(text) == 15 or text[0] == "9" or (eighteen and mod_11_2.is_valid(text))
        )
        assert not answers["uscc_ok"]


def test_a_finding_has_the_same_id_for_the_same_record_and_rule_whatever_the_column_is(
    con: duckdb.DuckDBPyConnection,
) -> None:
    same = "finding_id('r', 'd', 't', 'k', NULL)"
    assert one(con, f"{same} = finding_id('r', 'd', 't', 'k', '')") is True
    assert one(con, f"{same} = md5('r|d|t|k|')") is True
    assert one(con, f"{same} = finding_id('r', 'd', 't', 'k2', NULL)") is False


def test_every_day_of_a_century_is_read_back_from_a_number(con: duckdb.DuckDBPyConnection) -> None:
    first = date(1920, 1, 1)
    born = [first + timedelta(days=n) for n in range(0, 36_500, 7)]
    numbers = [f"341522{day:%Y%m%d}123" for day in born]
    assert each(con, "id_birth_date(x || id_check_digit(x))", numbers) == born
