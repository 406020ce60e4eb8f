"""Rules tried before they are saved, and the book of those that are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_pools import HEADER, RESIDENTS, rows, take

from catalog.load import Catalog, load_rules
from catalog.reading import CatalogError
from quality_checks import macros, rule_book, suggestions, trial
from resources.city import City

RESIDENT = RESIDENTS.replace("/", ".")
RULE = "  - {{id: {id}, {said}, zh: 测试, en: test, indicator: '0104', severity: warn, source: test}}\n"
PEOPLE = (
    HEADER + "11010119900307123X,张三丰,1,,10,3\n110101199003071240,李四,1,,10,0\n110101199003071259,王五,2,,10,0\n"
)


def written(folder: Path, **rules: str) -> Path:
    file = folder / "new.yaml"
    file.write_text("rules:\n" + "".join(RULE.format(id=id_, said=said) for id_, said in rules.items()))
    return file


def test_rules_are_tried_with_counts_and_masked_samples_and_nothing_is_written(
    small_city: City, tmp_path: Path
) -> None:
    take(small_city, RESIDENTS, PEOPLE)
    small_city.con.execute(macros.SQL)
    resource = small_city.catalog.resources[RESIDENT]
    file = written(
        tmp_path,
        sizes="that: household_size > 0, column: household_size",
        names="that: length(name) < 3, column: name",
        wrong="that: nothing > 0, column: name",
        pairs="unique: [sex, household_size], column: sex",
    )
    rules = load_rules(small_city.catalog, resource, file)
    tried = {
        one.rule.id: one for one in trial.try_rules(small_city.con, small_city.catalog, resource, rules, samples=1)
    }
    assert {name: (one.applicable, one.failed, one.state) for name, one in tried.items()} == {
        "sizes": (3, 2, "ok"), "names": (3, 1, "ok"), "wrong": (0, 0, "error"), "pairs": (3, 0, "ok")}  # fmt: skip
    assert "nothing" in tried["wrong"].message
    assert [vars(sample) for sample in tried["names"].samples] == [
        {"record_key": "110*************3X", "observed": "张***", "suggested": None, "method": None,
         "confidence": None, "reason": "测试：实际为「***」"}]  # fmt: skip
    assert [sample.observed for sample in tried["sizes"].samples] == ["0"]
    assert rows(small_city, "select count(*) from quality.findings") == [(0,)]


def test_suggested_rules_can_be_tried_as_printed_and_flag_what_they_say(small_city: City, tmp_path: Path) -> None:
    lines = "".join(
        f"{n},名{n % 40 if n != 7 else 3},{1 + n % 2},,{10 if n % 4 else 20},{n % 3 + 1 if n != 9 else 900}\n"
        for n in range(400)
    )
    take(small_city, RESIDENTS, HEADER + lines)
    small_city.con.execute(macros.SQL)
    resource = small_city.catalog.resources[RESIDENT]
    found = suggestions.suggest(small_city.con, RESIDENT, resource.columns)
    assert {one.kind for one in found} >= {"required", "range", "depends"}
    file = tmp_path / "suggested.yaml"
    file.write_text("rules:\n" + suggestions.to_yaml(found, RESIDENT))
    rules = load_rules(small_city.catalog, resource, file)
    tried = trial.try_rules(small_city.con, small_city.catalog, resource, rules, samples=0)
    assert [(one.failed, one.state) for one in tried] == [(one.flagged, "ok") for one in found]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ("that: 'true', column: nme", "new.yaml: rules.x.column = 'nme': must be one of"),
        ("unique: [name, nme], column: name", "new.yaml: rules.x.column = 'nme': must be one of"),
        ("that: 'true', unique: [name], column: name", "new.yaml: rules.0: state exactly one of that, unique"),
        ("that: 'true', column: name, colour: red", "new.yaml: rules.0.colour: no such field; allowed: "),
    ],
)
def test_a_wrong_rule_file_is_told_by_field_value_and_what_is_allowed(
    small_catalog: Catalog, tmp_path: Path, said: str, where: str
) -> None:
    with pytest.raises(CatalogError) as error:
        load_rules(small_catalog, small_catalog.resources[RESIDENT], written(tmp_path, x=said))
    assert where in str(error.value)


def test_the_rule_book_tells_every_rule_in_both_languages(small_catalog: Catalog) -> None:
    rules = rule_book.rule_book(small_catalog)
    for language in ("zh", "en"):
        text = rule_book.told(small_catalog, language)
        assert [rule for rule in rules if f"### {rule}\n" not in text] == []
        for rule in rules.values():
            assert (rule.zh if language == "zh" else rule.en) in text
    assert json.dumps(rule_book.told(small_catalog, "zh")).count("### ") == len(rules)
