"""What a table suggests: found where planted, nothing where there is nothing, counts as a plain recount gives them."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.columns import Column, ColumnType, Level
from catalog.rules import Rule
from quality_checks import macros, suggestions
from quality_checks.suggestions import Suggestion, dependency, flagged, measure, suggest, to_yaml

ROWS = 600
WORDS = (
    "阳光小区",
    "Riverside",
    "st. mary",
    "7号楼",
    "A-12 b",
    "x",
    "中心 广场",
    "Nº 9",
    "q/r",
    "12.30",
    "O'Neil",
    "长安街一段",
)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

Con = duckdb.DuckDBPyConnection
Table = dict[str, list[Any]]


@pytest.fixture
def con() -> Iterator[Con]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(macros.SQL)
        yield connection


def stored(con: Con, table: Table) -> None:
    """The table `records`, in the order given."""
    picked = ", ".join(f"unnest(${column}) AS {macros.name(column)}" for column in table)
    con.execute(f"CREATE OR REPLACE TABLE records AS SELECT {picked}", table)


def text(**levels: Level) -> dict[str, Column]:
    return {column: Column(title=column, type=ColumnType.text, level=level) for column, level in levels.items()}


def plain(table: Table) -> dict[str, Column]:
    return text(**dict.fromkeys(table, Level.internal))


def found(con: Con, table: Table, columns: dict[str, Column] | None = None) -> list[Suggestion]:
    stored(con, table)
    return suggest(con, "records", columns or plain(table))


def of_kind(suggested: Sequence[Suggestion], kind: str, column: str | None = None) -> list[Suggestion]:
    return [one for one in suggested if one.kind == kind and column in {None, one.column}]


def rows_of(con: Con, one: Suggestion, **options: float) -> set[int]:
    """Numbers, from 0, of the records it flags."""
    cells = con.execute(flagged(con, "records", one, **options)).fetchall()
    assert {column for _, column in cells} <= {one.column}
    assert len(cells) == len(set(cells))
    return {row - 1 for row, _ in cells}


def noise(column: str, rows: int = ROWS) -> list[Any]:
    """Texts and numbers in no order at all."""
    dice = random.Random(column)
    return [
        f"{dice.choice(WORDS)}{dice.choice(WORDS)}{dice.randrange(10 ** dice.randrange(1, 9))}" for _ in range(rows)
    ]


def planted(values: list[Any], *wrong: Any, every: int = 97) -> tuple[list[Any], set[int]]:
    """The values with wrong ones at some places, and the places."""
    places = list(range(5, len(values), every))
    changed = list(values)
    for number, place in enumerate(places):
        changed[place] = wrong[number % len(wrong)]
    return changed, set(places)


def test_noise_suggests_only_that_it_is_there(con: Con) -> None:
    suggested = found(con, {"left": noise("left"), "right": noise("right")})
    assert {one.kind for one in suggested} <= {"required", "unique"}
    assert not of_kind(found(con, {"few": [None, "x"] * 300}), "required")


def test_a_column_nearly_always_filled_is_required_and_blanks_and_words_for_none_are_flagged(con: Con) -> None:
    values, places = planted(noise("a"), None, "", " ", "N/A", "不详")
    [one] = of_kind(found(con, {"a": values}), "required")
    assert rows_of(con, one) == places
    assert one.flagged == len(places)
    assert one.evidence["hold"] == ROWS - len(places)


def test_what_a_column_declares_is_not_suggested_again(con: Con) -> None:
    table: Table = {"a": noise("a"), "sex": ["1", "2"] * 300}
    declared = {
        "a": Column(title="a", type=ColumnType.text, required=True),
        "sex": Column(title="性别", codes="sex", required=True),
    }
    assert {one.kind for one in found(con, table, declared)} <= {"unique"}


def test_numbers_and_days_written_as_text_have_their_type(con: Con) -> None:
    whole, wrong_whole = planted([str(n * 7 % 1000) for n in range(ROWS)], "12a", "--1")
    decimal, wrong_decimal = planted([f"{n * 7 % 1000}.{n % 10}" for n in range(ROWS)], "12a", "1,5")
    day, wrong_day = planted([str(date(2020, 1, 1) + timedelta(n)) for n in range(ROWS)], "2021-02-30", "yesterday")
    suggested = found(con, {"whole": whole, "decimal": decimal, "day": day})
    for column, wrong, en in (
        ("whole", wrong_whole, "a whole number"),
        ("decimal", wrong_decimal, "a number"),
        ("day", wrong_day, "a real date"),
    ):
        [one] = of_kind(suggested, "type", column)
        assert one.en.endswith(en)
        assert rows_of(con, one) == wrong


def test_codes_of_digits_are_no_numbers(con: Con) -> None:
    table: Table = {"zip": [f"0{n % 500:05}" for n in range(ROWS)], "post": [f"3{n % 500:05}" for n in range(ROWS)]}
    assert not of_kind(found(con, table), "type")


def test_a_second_notation_of_numbers_is_told_as_a_type_though_it_is_frequent(con: Con) -> None:
    values = [f"0.{n % 90 + 10}" + ("%" if n % 4 == 0 else "") for n in range(ROWS)]
    [one] = of_kind(found(con, {"share": values}), "type")
    assert one.evidence["second_notation"] == one.flagged == ROWS // 4
    mixed = [f"{n % 90 + 10}" + ("ABC"[n % 3] if n % 4 == 0 else "") for n in range(ROWS)]
    assert not of_kind(found(con, {"door": mixed}), "type")


@pytest.mark.parametrize("typed", [True, False])
def test_a_range_flags_what_is_far_outside_and_heavy_tails_have_none(con: Con, typed: bool) -> None:
    numbers, wrong = planted([20 + n * 7 % 60 for n in range(ROWS)], 999, 100_000, every=150)
    tail = [round(2 ** (n % 20), 2) for n in range(ROWS)]
    table: Table = {"age": numbers, "amount": tail}
    if not typed:
        table = {column: [str(value) for value in values] for column, values in table.items()}
    suggested = found(con, table)
    [one] = of_kind(suggested, "range")
    assert (one.column, rows_of(con, one)) == ("age", wrong)
    assert "BETWEEN 0 AND" in one.that


def test_a_range_of_days_has_room_for_tomorrow(con: Con) -> None:
    days, wrong = planted([date(1990, 1, 1) + timedelta(n * 11) for n in range(ROWS)], date(9999, 12, 31), every=150)
    [one] = of_kind(found(con, {"day": days}), "range")
    assert rows_of(con, one) == wrong
    assert con.execute(f"SELECT {one.that} FROM (SELECT DATE '2010-01-01' AS day)").fetchone() == (True,)


def test_numbering_has_no_range(con: Con) -> None:
    assert not of_kind(found(con, {"id": list(range(ROWS))}), "range")


def test_a_list_leaves_out_misspellings_and_strays_and_names_what_was_meant(con: Con) -> None:
    values, places = planted(
        [("enterprise", "individual", "cooperative")[n % 3] for n in range(ROWS)], "enterprize", "?"
    )
    [one] = of_kind(found(con, {"kind": values}), "codes")
    assert rows_of(con, one) == places
    assert one.evidence["values"] == 3
    assert con.execute(f"SELECT {one.suggest} FROM (SELECT 'enterprize' AS kind)").fetchone() == ("enterprise",)


def test_rare_codes_in_a_gentle_slope_stay_in_the_list(con: Con) -> None:
    values = [f"C{n:02}" for n, uses in enumerate((300, 150, 80, 40, 20, 10)) for _ in range(uses)]
    [one] = of_kind(found(con, {"nation": values}), "codes")
    assert (one.flagged, one.evidence["values"]) == (0, 6)


def test_one_chinese_character_is_another_word_and_one_digit_another_code(con: Con) -> None:
    values = ["东城街道"] * 300 + ["西城街道"] * 300 + ["南城街道"] * 12
    [one] = of_kind(found(con, {"street": values}), "codes")
    assert one.flagged == 0
    values = ["AB-01"] * 300 + ["AB-02"] * 300 + ["AB-03"] * 12
    [one] = of_kind(found(con, {"code": values}), "codes")
    assert one.flagged == 0


def test_a_pattern_has_lengths_where_nearly_all_have_one_and_classes_otherwise(con: Con) -> None:
    fixed, wrong_fixed = planted([f"{n * 37 % 90000 + 10000}-{n % 10}" for n in range(ROWS)], "1234-5", "12x45-6")
    loose, wrong_loose = planted([f"{n * 7 % 2000}室{chr(65 + n % 26)}" for n in range(ROWS)], "室12A", "no. 5")
    suggested = found(con, {"fixed": fixed, "loose": loose})
    [one] = of_kind(suggested, "pattern", "fixed")
    assert "'[0-9]{5}-[0-9]'" in one.that
    assert rows_of(con, one) == wrong_fixed
    [one] = of_kind(suggested, "pattern", "loose")
    assert r"'[0-9]+\p{Han}+[A-Z]+'" in one.that
    assert rows_of(con, one) == wrong_loose


def test_digits_and_capitals_in_any_order_are_one_class_and_words_have_any_length(con: Con) -> None:
    dice = random.Random(5)
    codes, wrong = planted(["".join(dice.choices("0123456789ABCDEFGH", k=18)) for _ in range(ROWS)], "12A", "x" * 18)
    kinds = [
        dice.choice(["有限责任公司", "股份有限公司", "个体", "其他企业", "集体", "合作社", "分公司"]) + str(n)
        for n in range(ROWS)
    ]
    suggested = found(con, {"code": codes, "kind": kinds})
    [one] = of_kind(suggested, "pattern", "code")
    assert "'[0-9A-Z]{18}'" in one.that
    assert rows_of(con, one) == wrong
    [one] = of_kind(suggested, "pattern", "kind")
    assert r"'\p{Han}+[0-9]+'" in one.that


def test_a_key_is_found_with_the_records_that_repeat_it(con: Con) -> None:
    keys = [f"K{n}" for n in range(ROWS)]
    keys[7] = keys[400]
    suggested = found(con, {"id": keys, "other": [f"o{n % 300}" for n in range(ROWS)]})
    [one] = of_kind(suggested, "unique")
    assert (one.by, rows_of(con, one)) == (("id",), {7, 400})


def test_a_pair_of_columns_is_a_key_only_where_no_column_is(con: Con) -> None:
    table: Table = {"a": [f"a{n // 30}" for n in range(ROWS)], "b": [f"b{n % 30}" for n in range(ROWS)]}
    [one] = of_kind(found(con, table), "unique")
    assert one.by == ("a", "b")
    [one] = of_kind(found(con, {**table, "id": [f"i{n}" for n in range(ROWS)]}), "unique")
    assert one.by == ("id",)


def dependent(seed: int = 1) -> tuple[Table, set[int]]:
    """A town tells its county; a pair of columns tells a third; some counties are wrong."""
    dice = random.Random(seed)
    towns = [dice.randrange(60) for _ in range(ROWS)]
    counties, wrong = planted([f"county {town % 7}" for town in towns], "elsewhere")
    year, kind = ([dice.randrange(most) for _ in range(ROWS)] for most in (12, 11))
    rate = [f"r{(y * 5 + k * 3) % 23}" for y, k in zip(year, kind, strict=True)]
    table: Table = {
        "id": [f"i{n}" for n in range(ROWS)], "town": [f"t{town}" for town in towns], "county": counties,
        "year": [f"y{y}" for y in year], "kind": [f"k{k}" for k in kind], "rate": rate, "city": ["one"] * ROWS,
    }  # fmt: skip
    return table, wrong


def test_dependencies_of_one_and_two_columns_are_found_and_trivial_ones_are_not(con: Con) -> None:
    table, wrong = dependent()
    suggested = of_kind(found(con, table), "depends")
    assert {(one.by, one.column) for one in suggested} == {
        (("town",), "county"), (("year", "kind"), "rate"), (("year", "rate"), "kind"), (("kind", "rate"), "year"),
    }  # fmt: skip
    [one] = of_kind(suggested, "depends", "county")
    assert rows_of(con, one) <= wrong
    assert one.flagged >= len(wrong) - 1


def test_a_left_side_of_two_is_not_suggested_where_one_of_them_is_enough(con: Con) -> None:
    table, _ = dependent()
    assert all(len(one.by) == 1 for one in of_kind(found(con, table), "depends", "county"))


def test_a_column_that_is_nearly_always_the_same_depends_on_nothing(con: Con) -> None:
    table, _ = dependent()
    same, _ = planted(["one"] * ROWS, "two", "three", every=40)
    assert not of_kind(found(con, {"town": table["town"], "same": same}), "depends")


def test_what_is_there_twice_at_most_tells_nothing(con: Con) -> None:
    table: Table = {"pair": [f"p{n // 2}" for n in range(ROWS)], "half": [f"h{n // 2 % 50}" for n in range(ROWS)]}
    assert not of_kind(found(con, table), "depends", "half")


def test_a_second_column_that_only_splits_the_groups_is_not_suggested(con: Con) -> None:
    dice = random.Random(4)
    left = [dice.randrange(20) for _ in range(ROWS)]
    right, _ = planted([f"r{one % 9}" for one in left], "elsewhere", every=19)
    split = [f"s{dice.randrange(9)}" for _ in range(ROWS)]
    assert not of_kind(found(con, {"left": [f"l{one}" for one in left], "split": split, "right": right}), "depends")


Cell = st.tuples(
    st.sampled_from(["a", "b", "c", None]), st.sampled_from(["x", "y"]), st.sampled_from(["1", "2", "3", None])
)


@FEW
@given(st.lists(Cell, min_size=1, max_size=40))
def test_a_dependency_flags_what_differs_from_the_strict_majority_and_nobody_without_one(
    cells: list[tuple[str | None, str, str | None]],
) -> None:
    with duckdb.connect() as con:
        stored(
            con, {"left": [a for a, _, _ in cells], "more": [b for _, b, _ in cells], "right": [c for _, _, c in cells]}
        )
        for by in (("left",), ("left", "more")):
            keys = [cell[: len(by)] for cell in cells]
            groups: dict[Any, Counter[str]] = defaultdict(Counter)
            for key, (_, _, value) in zip(keys, cells, strict=True):
                if None not in key and value is not None:
                    groups[key][value] += 1
            usual = {key: max(counts, key=counts.__getitem__) for key, counts in groups.items()}
            strict = {key for key, value in usual.items() if 2 * groups[key][value] > groups[key].total()}
            records = [
                (row, key, value)
                for row, (key, (_, _, value)) in enumerate(zip(keys, cells, strict=True))
                if key in usual and value is not None
            ]
            rule = dependency("right", by)
            expected = {row for row, key, value in records if key in strict and value != usual[key]}
            assert rows_of(con, rule) == expected
            commonest = {row for row, key, value in records if groups[key][value] < max(groups[key].values())}
            assert rows_of(con, rule, majority=0) == commonest
            [measured] = measure(con, "records", [rule])
            assert (measured.flagged, measured.evidence["applies"]) == (len(expected), len(records))


@FEW
@given(st.lists(st.sampled_from(["K1", "K2", "K3", "k1", None]), min_size=1, max_size=30))
def test_a_key_flags_every_record_that_shares_it(keys: list[str | None]) -> None:
    with duckdb.connect() as con:
        stored(con, {"id": keys})
        counts = Counter(keys)
        rule = Suggestion("unique", "id", "唯一", "unique", by=("id",))
        assert rows_of(con, rule) == {row for row, key in enumerate(keys) if key is not None and counts[key] > 1}


def everything(seed: int) -> Table:
    """Every kind of column at once."""
    table, _ = dependent(seed)
    table["phone"] = planted([f"1{n * 7919 % 10**10:010}" for n in range(ROWS)], "110", "n/a")[0]
    table["name"] = [f"{'王李张刘陈'[n % 5]}{'伟芳娜敏静'[n // 5 % 5]}" for n in range(ROWS)]
    table["status"] = planted(["open", "closed", "suspended"] * (ROWS // 3), "suspendet", None)[0]
    table["age"] = planted([str(18 + n * 7 % 60) for n in range(ROWS)], "4711", "x", every=150)[0]
    table["born"] = [date(1950, 1, 1) + timedelta(n * 31) for n in range(ROWS)]
    return table


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_records_and_columns_changes_nothing(con: Con, seed: int) -> None:
    table = everything(seed)
    first = found(con, table)
    order = list(range(ROWS))
    random.Random(seed).shuffle(order)
    assert found(con, {column: [values[n] for n in order] for column, values in table.items()}) == first
    turned = found(con, dict(reversed(table.items())), dict(reversed(plain(table).items())))
    assert sorted(map(str, of_kind(turned, "codes"))) == sorted(map(str, of_kind(first, "codes")))


def test_every_count_is_what_the_query_of_flagged_cells_gives(con: Con) -> None:
    for one in found(con, everything(1)):
        assert len(rows_of(con, one)) == one.flagged, one
        assert one.evidence["rows"] == ROWS
        assert one.evidence["hold"] + one.flagged == one.evidence["applies"]


def test_a_query_suggests_what_its_table_does_and_names_records_by_their_key(con: Con) -> None:
    table = everything(1)
    suggested = found(con, table)
    con.execute("CREATE TABLE keyed AS SELECT 'r' || id AS _record_key, * FROM records")
    assert suggest(con, "SELECT * FROM keyed", plain(table)) == suggested
    [one] = of_kind(suggested, "codes", "status")
    keys = {key for key, _ in con.execute(flagged(con, "SELECT * FROM keyed", one)).fetchall()}
    assert keys == {f"ri{row}" for row in rows_of(con, one)}


@pytest.mark.parametrize("level", [Level.personal, Level.sensitive])
def test_no_value_of_a_personal_or_sensitive_column_stands_in_a_suggestion(con: Con, level: Level) -> None:
    table = everything(1)
    suggested = found(con, table, text(**dict.fromkeys(table, level)))
    assert {one.kind for one in suggested} == {"required", "type", "pattern", "unique", "depends"}
    told = to_yaml(suggested, "police.people") + repr(suggested)
    values = {str(value) for column in table for value in table[column] if value is not None}
    told_apart = {value for value in values if len(value) > 3 or value[0] in "王李张刘陈"}  # from counts and SQL
    assert len(told_apart) > 2 * ROWS
    assert not [value for value in told_apart if value in told]


@FEW
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.sampled_from([suggestions._APART, suggestions._MIXED]),
    st.sampled_from(["", "9AX"]),
)
def test_a_pattern_fits_its_texts_and_holds_no_letter_or_digit_of_them(
    value: str, classes: dict[str, str], counted: str
) -> None:
    with duckdb.connect() as con:
        [shape] = con.execute(f"SELECT {suggestions._shape('$1', classes, counted)}", [value]).fetchone() or ()
        pattern = suggestions._regex(shape, classes, counted)
        assert con.execute("SELECT regexp_full_match($1, $2)", [value, pattern]).fetchone() == (True,)
    for characters in classes.values():
        pattern = pattern.replace(characters, "")
    assert not [letter for letter in re.sub(r"\{\d+\}", "", pattern) if letter.isalnum()]


def test_the_patch_is_yaml_of_the_catalogue_with_the_evidence_in_comments(con: Con) -> None:
    suggested = found(con, everything(1))
    patch = to_yaml(suggested, "police.people")
    rules = yaml.safe_load(f"rules:\n{patch}")["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules) == len(suggested)
    for rule, one in zip(rules, suggested, strict=True):
        assert (rule["column"], rule["severity"], rule["indicator"]) == (one.column, "warn", one.indicator)
        if one.that:
            assert Rule(**rule).that == one.that
        else:
            assert rule[one.kind] == list(one.by)
    comments = [line for line in patch.splitlines() if line.startswith("  # flags ")]
    assert [int(line.split()[2].replace(",", "")) for line in comments] == [one.flagged for one in suggested]


def test_a_large_table_is_learned_from_a_sample_and_counted_whole(con: Con, monkeypatch: pytest.MonkeyPatch) -> None:
    table = everything(1)
    whole = found(con, table)
    monkeypatch.setattr(suggestions, "SAMPLE", 200)
    sampled = found(con, table)
    assert {one.evidence["rows"] for one in sampled} == {ROWS}
    [before], [after] = (of_kind(each, "codes", "status") for each in (whole, sampled))
    assert before == after


def test_odd_names_and_values_do_no_harm(con: Con) -> None:
    odd = ["it's", 'say "no"', "a\u0085b", "c;--", "\t", "{0}", "%s", "é🙂"]
    table: Table = {
        "n": [odd[n % 8] for n in range(ROWS)],
        "most": [f"{n % 8}" for n in range(ROWS)],
        "select": noise("s"),
    }
    suggested = found(con, table)
    assert of_kind(suggested, "depends", "most")
    rules = yaml.safe_load("rules:\n" + to_yaml(suggested, "a.b"))["rules"]
    assert [rule.get("that", "") for rule in rules] == [one.that for one in suggested]


def test_an_empty_table_and_one_without_the_columns_suggest_nothing(con: Con) -> None:
    con.execute("CREATE TABLE records (a VARCHAR)")
    assert suggest(con, "records", text(a=Level.public)) == []
    assert suggest(con, "records", text(b=Level.public)) == []
