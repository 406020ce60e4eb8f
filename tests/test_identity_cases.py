"""Cases that people decide, on a real server: what they see, what is kept, what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import psycopg2
import pytest

from assets import identity, identity_cases
from assets.identity_cases import CaseError
from catalog.identity import Identity
from quality_checks.identity_decisions import replay
from resources.city import City

STATED = Identity.model_validate(
    {"compare": {"name": {"as": "name"}, "birth_date": {"as": "date"}}, "block": [["name"]], "sure": [["name"]]}
)
ONE, OTHER = "341502198001011234", "341502198001011250"


@pytest.fixture
def city(small_city: City) -> City:
    """A record that waits between two entities, one that is new, one that is linked."""
    people = small_city.catalog.libraries["population"].model_copy(update={"identity": STATED})
    known = replace(small_city, catalog=replace(small_city.catalog, libraries={"population": people}))
    features = "{name: {level: 'same', bits: 9.5}, birth_date: {level: 'one_digit', bits: 2.25}}"

    def told(*entities: str) -> str:
        listed = ", ".join(
            f"{{entity: '{key}', weight: {9.0 - n}, probability: {0.9 - n / 10}, features: {features}}}"
            for n, key in enumerate(entities)
        )
        return f"to_json({{candidates: [{listed}]}})::VARCHAR"

    def write(con):
        con.execute(f"""
            INSERT INTO base._links BY NAME
            SELECT 'population' AS library, 'record' AS kind, 'd' AS department, 'visit' AS resource, record_key,
                entity_key, 'model' AS how, explanation, DATE '2026-11-02' AS since, 77::UBIGINT AS content
            FROM (VALUES ('V1', NULL, {told(ONE, OTHER)}), ('#5', '#d.visit|#5', {told("#d.visit|V0")}),
                ('V3', '{ONE}', {told(ONE)})) t(record_key, entity_key, explanation)""")
        con.execute(f"""
            INSERT INTO base.population BY NAME SELECT md5('population|' || key)::UUID AS entity_id,
                CASE WHEN key NOT LIKE '#%' THEN key END AS id_number
            FROM (VALUES ('{ONE}'), ('{OTHER}'), ('#d.visit|#5'), ('#d.visit|V0')) t(key)""")

    known.commit("city", write, author="test")
    return known


def decided(city: City) -> list[tuple[object, ...]]:
    with city.server.session() as cursor:
        cursor.execute(
            "SELECT action, record, content, entity_key, other_key, actor, reason"
            " FROM ops.identity_decisions ORDER BY 1, 2"
        )
        return cursor.fetchall()


def test_open_cases_are_the_likeliest_first_and_masked_unless_asked(city):
    library = city.catalog.libraries["population"]
    shown = identity_cases.open_cases(city, [library])
    assert [(case.record, case.entity, case.probability) for case in shown] == [
        ("d.visit|**", "#d.visit|**", 0.9),
        ("d.visit|**", "341*************34", 0.9),
        ("d.visit|**", "341*************50", 0.8),
    ]
    assert shown[0].why == "姓名相同（+9.5）、出生日期相差一位（+2.2）"
    clear = identity_cases.open_cases(city, [library], clear=True)
    assert {(case.record, case.entity) for case in clear} == {
        ("d.visit|V1", ONE),
        ("d.visit|V1", OTHER),
        ("d.visit|#5", "#d.visit|V0"),
    }
    assert [case.case for case in clear] == [case.case for case in shown]


def test_a_decision_is_one_more_row_that_nobody_may_change(city):
    library = city.catalog.libraries["population"]
    by_pair = {(case.record, case.entity): case.case for case in identity_cases.open_cases(city, [library], clear=True)}
    identity_cases.decide(city, by_pair["d.visit|V1", OTHER], "same", by="张工", reason="电话核实")
    identity_cases.decide(city, by_pair["d.visit|#5", "#d.visit|V0"], "different", by="张工", reason="面见")
    assert decided(city) == [
        ("different", "d.visit|#5", "77", "#d.visit|V0", "", "张工", "面见"),
        ("same", "d.visit|V1", "", OTHER, "", "张工", "电话核实"),
    ]
    standing = replay(identity.decisions(city, "population"))
    assert standing.same == {("d.visit|V1", ""): OTHER}
    assert standing.different == {("d.visit|#5", "77", "#d.visit|V0")}
    with pytest.raises(CaseError, match="no case 0123 is open"):
        identity_cases.decide(city, "0123", "same", by="张工", reason="x")
    with pytest.raises(CaseError, match="--by and --reason"):
        identity_cases.decide(city, by_pair["d.visit|V1", ONE], "different", by="张工", reason=" ")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), city.server.session() as cursor:
        cursor.execute("SET ROLE pipeline; UPDATE ops.identity_decisions SET reason = 'other'")


def test_merges_are_refused_where_they_say_nothing_new_or_would_lose_a_number_and_a_split_gives_back(city):
    library = city.catalog.libraries["population"]
    told = {"by": "张工", "reason": "重号"}
    for survivor, other, why in (
        (ONE, "341502199909091234", "341502199909091234 is no entity of base.population"),
        (ONE, ONE, "cannot be merged with itself"),
        ("#d.visit|V0", ONE, "the one with the number must survive"),
    ):
        with pytest.raises(CaseError, match=why.replace("|", r"\|")):
            identity_cases.merge(city, library, survivor, other, **told)
    with pytest.raises(CaseError, match="is part of no other entity"):
        identity_cases.split(city, library, OTHER, **told)
    identity_cases.merge(city, library, ONE, OTHER, **told)
    identity_cases.merge(city, library, ONE, "#d.visit|V0", **told)
    with pytest.raises(CaseError, match=f"{OTHER} is part of {ONE} already"):
        identity_cases.merge(city, library, OTHER, "#d.visit|#5", **told)
    assert replay(identity.decisions(city, "population")).merged == {OTHER: ONE, "#d.visit|V0": ONE}
    assert identity_cases.split(city, library, OTHER, **told) == ONE
    assert replay(identity.decisions(city, "population")).merged == {"#d.visit|V0": ONE}


def test_a_merge_reaches_the_links_that_arbitration_reads_and_stays_since_its_day(city):
    library = city.catalog.libraries["population"]
    plain = replace(
        city, catalog=replace(city.catalog, libraries={"population": library.model_copy(update={"identity": None})})
    )
    identity_cases.merge(plain, library, ONE, OTHER, by="张工", reason="重号")
    links = "SELECT alias_key, entity_key, how, since FROM base._links WHERE kind = 'key'"
    for day in (date(2026, 11, 3), date(2026, 11, 4)):
        identity.resolve(plain, plain.catalog.libraries["population"], day, author="test")
        assert city.con.execute(links).fetchall() == [(OTHER, ONE, "person", date(2026, 11, 3))]
    identity_cases.split(plain, library, OTHER, by="张工", reason="误并")
    identity.resolve(plain, plain.catalog.libraries["population"], date(2026, 11, 5), author="test")
    assert city.con.execute(links).fetchall() == []
