"""Who is who without a number: learning, bands, new entities, people's decisions, and what stays when models change."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets import identity
from catalog.identity import Identity
from catalog.load import load_catalog
from quality_checks import identity_findings, identity_links, identity_model, macros
from quality_checks.identity_decisions import Decision, Standing, replay
from quality_checks.identity_links import BEFORE, LINKS, PAIRS
from quality_checks.identity_model import IdentityError, Model
from quality_checks.identity_nodes import ENTITIES, RECORDS
from quality_checks.sources import LINK_COLUMNS, Source

DAY = date(2026, 11, 2)
STATED = Identity.model_validate(
    {
        "compare": {"name": {"as": "name"}, "birth_date": {"as": "date"}, "phone": {"as": "digits"}},
        "block": [["name", "birth_date"], ["phone"], ["birth_date"], ["name"]],
        "sure": [["name", "birth_date", "phone"]],
        "link": 0.99,
        "review": 0.2,
    }
)
COLUMNS = ("name", "name_letters", "birth_date", "phone")
SURNAMES, GIVEN = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭", "安柏澄楚川达芳枫刚阁光桂海涵浩荷衡宏花怀辉嘉建江"


def people(count: int) -> list[list[str]]:
    """Key, name, birth date and telephone of invented persons."""
    dice = random.Random(5)
    return [
        [
            f"{n:018}",
            dice.choice(SURNAMES) + dice.choice(GIVEN) + dice.choice(GIVEN),
            f"{dice.randint(1950, 2010)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}",
            f"199{dice.randint(0, 99_999_999):08}",
        ]
        for n in range(count)
    ]


def nodes(con: duckdb.DuckDBPyConnection, entities: list[list[str]], records: list[list[str]]) -> None:
    """`entities` are key and features, `records` record key and features; all of one resource."""
    features = [
        f"{sql} AS {column}"
        for feature, stated in STATED.compare.items()
        for column, sql in identity_model.node_columns(feature, stated.as_, feature).items()
    ]
    for table, rows, own in (
        (
            RECORDS,
            records,
            "'d' AS department, 'visit' AS resource, key AS record_key, hash(name, birth_date) AS content",
        ),
        (ENTITIES, entities, "key AS entity_key"),
    ):
        con.execute("CREATE OR REPLACE TEMP TABLE told (key VARCHAR, name VARCHAR, birth_date VARCHAR, phone VARCHAR)")
        if rows:
            con.executemany("INSERT INTO told VALUES (?, ?, ?, ?)", rows)
        first = 0 if table == RECORDS else len(records)
        con.execute(
            f"CREATE OR REPLACE TABLE {table} AS SELECT {first} + row_number() OVER (ORDER BY key) AS unique_id, {own},"
            f" {', '.join(features)} FROM told"
        )


def before(con: duckdb.DuckDBPyConnection, *, anew: bool) -> None:
    """What was linked, for the next pass; `anew`: nothing ever was."""
    if anew:
        con.execute(
            f"CREATE OR REPLACE TABLE {BEFORE} (department VARCHAR, resource VARCHAR, record_key VARCHAR, entity_key"
            " VARCHAR, how VARCHAR, weight DOUBLE, probability DOUBLE, model VARCHAR, explanation VARCHAR, since DATE,"
            " content UBIGINT)"
        )
    else:
        con.execute(f"CREATE OR REPLACE TABLE {BEFORE} AS FROM {LINKS}")


def pairs(con: duckdb.DuckDBPyConnection, found: list[tuple[str, str, float]]) -> None:
    """Scored pairs by hand: record key, record or entity key, weight in bits."""
    identity_model.no_pairs(con, STATED)
    for record, other, weight in found:
        con.execute(
            f"INSERT INTO {PAIRS} BY NAME SELECT least(r.unique_id, o.unique_id) AS record, greatest(r.unique_id,"
            " o.unique_id) AS other, $3 AS weight, 1 / (1 + pow(2, -$3)) AS probability,"
            " 0 AS gamma_name, 1.0 AS bits_name, 0 AS gamma_birth_date, 1.0 AS bits_birth_date, 0 AS gamma_phone,"
            f" 1.0 AS bits_phone FROM {RECORDS} r, (SELECT unique_id, record_key AS key FROM {RECORDS} UNION ALL"
            f" SELECT unique_id, entity_key FROM {ENTITIES}) o WHERE r.record_key = $1 AND o.key = $2",
            [record, other, weight],
        )


def linked(con: duckdb.DuckDBPyConnection) -> dict[str, str | None]:
    return dict(con.execute(f"SELECT record_key, entity_key FROM {LINKS} ORDER BY 1").fetchall())


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        yield connection


@pytest.fixture(scope="module")
def learned():
    """Three hundred persons and ninety records without numbers: a third as they are, a third with a slip, a third of
    strangers, each twice; what training made of it, once.
    """
    known = people(300)
    twins = [
        [f"T{n}", name, *known[290][2:]] for n, name in enumerate(("王安澄", "王安楚"))
    ]  # one telephone, one birthday
    strangers = [row[1:] for row in people(345)[300:315]]
    slips = []
    for n, (_, name, born, phone) in enumerate(known[30:60]):
        wrong = [name[:-1] + "竹", born, phone] if n % 2 else [name, born[:4] + born[6:] + born[4:6], phone]
        slips.append([f"s{n:02}", *wrong])
    records = [[f"e{n:02}", *row[1:]] for n, row in enumerate(known[:30])] + slips
    records += [[f"u{n:02}{copy}", *row] for n, row in enumerate(strangers) for copy in "ab"]
    records.append(["twin", "王安萱", *known[290][2:]])
    with duckdb.connect() as connection:
        connection.execute(macros.SQL)
        nodes(connection, known[:290] + twins, records)
        views(connection)
        model = identity_model.train(connection, STATED, "some_entities", "some_records", pairs=4e4)
        before(connection, anew=True)
        identity.ask(connection, STATED, model)
        identity_links.join_up(connection, STATED, model.id, replay(()), DAY)
        yield connection, model


def views(con: duckdb.DuckDBPyConnection) -> None:
    for view, table in (("some_entities", ENTITIES), ("some_records", RECORDS)):
        con.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT unique_id, {', '.join(COLUMNS)} FROM {table}")


def test_records_find_their_person_through_slips_and_nobody_is_taken_for_another(learned):
    found = linked(learned[0])
    truth = {f"e{n:02}": f"{n:018}" for n in range(30)} | {f"s{n:02}": f"{n + 30:018}" for n in range(30)}
    wrong = {key: found[key] for key in truth if found[key] not in (truth[key], None)}
    assert wrong == {}
    assert sum(found[key] == truth[key] for key in truth) >= 0.99 * len(truth)


def test_records_of_a_person_whom_nobody_knows_become_one_entity_named_by_its_first(learned):
    found = linked(learned[0])
    assert {found[f"u{n:02}{copy}"] for n in range(15) for copy in "ab"} == {f"#d.visit|u{n:02}a" for n in range(15)}


def test_a_record_between_twins_waits_for_a_person_with_both_named_and_weighed(learned):
    con, _ = learned
    assert linked(con)["twin"] is None
    told = con.execute(
        f"SELECT json_extract_string(explanation, '$.candidates[*].entity'),"
        " json_extract_string(explanation, '$.candidates[0].features.phone.level')"
        f" FROM {LINKS} WHERE record_key = 'twin'"
    ).fetchone()
    assert set(told[0]) == {"T0", "T1"}
    assert told[1] == "same"


def test_the_same_seed_gives_the_same_model_and_its_file_reads_back(learned):
    con, model = learned
    again = identity_model.train(con, STATED, "some_entities", "some_records", pairs=4e4)
    assert again.as_json() == model.as_json()
    assert Model.from_json(model.as_json()).id == model.id
    weights = model.weights()
    for feature, stated in STATED.compare.items():
        bits = [weights[feature][level] for level in identity_model.level_names(stated.as_)]
        assert bits == sorted(bits)
        assert bits[0] < 0 < bits[-1]


def test_without_a_pair_that_is_surely_one_nothing_is_learned(con):
    nodes(con, people(5), [["a", "王安", "19800101", "1"]])
    with pytest.raises(
        IdentityError, match="no two of 5 entities and 1 records agree in all of one of: name, birth_date"
    ):
        identity_model.train(con, STATED, ENTITIES, RECORDS)


def test_bands_that_overlap_are_refused():
    with pytest.raises(ValueError, match=r"review = 0.995 must be below link = 0.99"):
        Identity.model_validate(STATED.model_dump(by_alias=True) | {"review": 0.995})


def test_three_bands_and_the_margin(con):
    entities, records = people(4), [[key, "王安", "19800101", "1"] for key in ("close", "new", "sure", "weak")]
    nodes(con, entities, records)
    first, second = entities[0][0], entities[1][0]
    pairs(
        con,
        [("sure", first, 20), ("sure", second, 12), ("close", first, 20), ("close", second, 14), ("weak", first, 3)],
    )
    before(con, anew=True)
    identity_links.join_up(con, STATED, "m", replay(()), DAY)
    assert linked(con) == {"sure": first, "close": None, "weak": None, "new": "#d.visit|new"}


def test_of_a_resource_with_one_record_an_entity_two_that_seem_one_wait_and_found_two(con):
    entity = people(1)[0][0]
    nodes(con, people(1), [[key, "王安", "19800101", "1"] for key in "abcd"])
    pairs(con, [("a", entity, 20), ("b", entity, 20), ("c", "d", 20)])
    before(con, anew=True)
    identity_links.join_up(con, STATED, "m", replay(()), DAY, once=[("d", "visit")])
    assert linked(con) == {"a": None, "b": None, "c": "#d.visit|c", "d": "#d.visit|d"}
    identity_links.join_up(con, STATED, "m", replay(()), DAY)
    assert linked(con) == {"a": entity, "b": entity, "c": "#d.visit|c", "d": "#d.visit|c"}


def test_who_surely_is_somebody_linked_but_is_like_no_entity_waits_with_that_entity(con):
    nodes(con, people(1), [[key, "王安", "19800101", "1"] for key in "ab"])
    pairs(con, [("a", people(1)[0][0], 20), ("a", "b", 20)])
    before(con, anew=True)
    identity_links.join_up(con, STATED, "m", replay(()), DAY)
    assert linked(con) == {"a": people(1)[0][0], "b": None}


@settings(deadline=None, max_examples=6)
@given(st.randoms(use_true_random=False))
def test_the_order_of_pairs_changes_nothing_and_the_name_of_a_new_entity_stays(dice):
    with duckdb.connect() as con:
        keys = list("abcdef")
        found = [(*sorted(dice.sample(keys, 2)), dice.choice([5.0, 9.0, 15.0])) for _ in range(5)]
        found = list({pair[:2]: pair for pair in found}.values())
        con.execute(macros.SQL)
        nodes(con, [], [[key, "王安", "19800101", "1"] for key in keys])
        results = []
        for order in (found, dice.sample(found, len(found))):
            pairs(con, order)
            before(con, anew=True)
            identity_links.join_up(con, STATED, "m", replay(()), DAY)
            results.append(linked(con))
        assert results[0] == results[1] == {key: f"#d.visit|{min(group(key, found))}" for key in keys}
        before(con, anew=False)
        nodes(con, [], [[key, "王安", "19800101", "1"] for key in ["Z", *keys]])  # sorts first, joins the group of a
        pairs(con, [*found, ("Z", "a", 15.0)])
        identity_links.join_up(con, STATED, "m", replay(()), DAY)
        assert linked(con) == {**results[0], "Z": results[0]["a"]}


def group(key: str, found: list[tuple[str, str, float]]) -> set[str]:
    """All that are joined to a record by pairs likely enough, followed one by one."""
    reached, open_ = {key}, [key]
    while open_:
        here = open_.pop()
        for one, other, weight in found:
            if here in (one, other) and weight >= 6.63:  # 0.99 in bits
                more = {one, other} - reached
                reached |= more
                open_ += more
    return reached


def test_a_link_stays_under_a_new_model_until_somebody_asks_or_the_record_changes(con):
    entity = people(1)[0][0]
    nodes(con, people(1), [["a", "王安", "19800101", "1"]])
    pairs(con, [("a", entity, 20)])
    before(con, anew=True)
    identity_links.join_up(con, STATED, "old", replay(()), DAY)
    before(con, anew=False)
    pairs(con, [("a", entity, 2)])
    identity_links.join_up(con, STATED, "new", replay(()), date(2026, 11, 3))
    assert con.execute(f"SELECT entity_key, model, since FROM {LINKS}").fetchall() == [(entity, "old", DAY)]
    identity_links.join_up(con, STATED, "new", replay([Decision("relink", content="new")]), DAY)
    assert linked(con) == {"a": None}
    nodes(con, people(1), [["a", "王安然", "19800101", "1"]])
    identity_links.join_up(con, STATED, "new", replay(()), DAY)
    assert linked(con) == {"a": None}


def test_what_a_person_said_goes_before_any_model(con):
    first, second = (row[0] for row in people(2))
    nodes(con, people(2), [[key, "王安", "19800101", "1"] for key in "abc"])
    pairs(con, [("a", first, 30), ("b", first, 30), ("b", "c", 30)])
    before(con, anew=True)
    said = [Decision("same", "d.visit|a", "", second), Decision("different", "d.visit|b", "", first)]
    identity_links.join_up(con, STATED, "m", replay(said), DAY)
    assert linked(con) == {"a": second, "b": "#d.visit|b", "c": "#d.visit|b"}
    assert con.execute(f"SELECT how FROM {LINKS} WHERE record_key = 'a'").fetchone() == ("person",)
    identity_links.join_up(con, STATED, "m", replay([*said, Decision("different", "d.visit|a", "", second)]), DAY)
    assert linked(con)["a"] == first


events = st.lists(
    st.tuples(st.sampled_from(["merge", "merge", "split"]), st.sampled_from("abcde"), st.sampled_from("abcde")),
    max_size=12,
)


@given(events)
def test_merges_and_splits_come_to_what_following_each_event_by_hand_gives(told):
    """The oracle keeps, for every key, whom it was joined to; a split takes back that one step."""
    joined: dict[str, str] = {}

    def top(key: str) -> str:
        return top(joined[key]) if key in joined else key

    for action, one, other in told:
        if action == "split":
            joined.pop(other, None)
        elif top(one) != top(other):
            joined[top(other)] = top(one)
    standing = replay([Decision(action, entity_key=one, other_key=other) for action, one, other in told])
    assert {key: standing.survivor(key) for key in "abcde"} == {key: top(key) for key in "abcde"}


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("rs"), st.sampled_from("ef")), max_size=10))
def test_the_last_word_on_a_record_and_an_entity_stands(told):
    standing = replay([Decision("same" if same else "different", r, "", e) for same, r, e in told])
    for record in "rs":
        about = [(same, e) for same, r, e in told if r == record]
        last = {e: same for same, e in about}
        chosen = [e for same, e in about if same]
        expected = chosen[-1] if chosen and last[chosen[-1]] else None
        assert standing.same.get((record, "")) == expected
        assert {e for r, _, e in standing.different if r == record} == {e for e, same in last.items() if not same}


CATALOG = load_catalog(Path(__file__).parents[1] / "catalog")


def test_numbers_that_a_resource_declares_to_be_one_entitys_lead_to_it_unless_two_claim_them(con):
    library = CATALOG.libraries["legal_entity"]
    registry = CATALOG.resources["market_regulation.enterprise_registration"]
    tax = CATALOG.resources["tax.taxpayer_registration"]
    con.execute("CREATE SCHEMA market_regulation; CREATE SCHEMA tax")
    con.execute(f"CREATE TEMP TABLE library_links ({LINK_COLUMNS})")
    con.execute(
        "CREATE TABLE market_regulation.enterprise_registration AS SELECT * FROM (VALUES"
        " ('91A', '341500000000001'), ('91B', '341500000000002'), ('91C', '341500000000002'), ('91D', NULL)) t(uscc,"
        " registration_number)"
    )
    con.execute(
        "CREATE TABLE tax.taxpayer_registration AS SELECT * FROM (VALUES ('341500000000001'), ('341500000000002'),"
        " ('91D'), ('341500000000009')) t(uscc)"
    )
    con.execute("CREATE TEMP MACRO legal_entity__key(value) AS uscc_normal(value)")
    witnesses = [Source(library, registry, 0), Source(library, tax, 1)]
    for standing, expected in (
        (Standing(), [("341500000000001", "91A", "exact")]),
        (replay([Decision("split", entity_key="91A", other_key="341500000000001")]), []),
        (
            replay([Decision("merge", entity_key="91D", other_key="91A")]),
            [("341500000000001", "91D", "exact"), ("91A", "91D", "person")],
        ),
    ):
        identity.write_aliases(con, library, witnesses, standing)
        assert con.execute(f"FROM {identity.ALIASES} ORDER BY 1").fetchall() == expected


def test_a_retired_code_is_the_one_code_it_became(con):
    con.execute("ATTACH ':memory:' AS codes")
    con.execute(
        "CREATE TABLE codes.divisions AS SELECT * FROM (VALUES ('1', '2000', '2'), ('2', '2010', '3'),"
        " ('3', NULL, NULL), ('4', '2000', '5;6'), ('5', NULL, NULL), ('7', '2000', '9'), ('8', '2000', '9'),"
        " ('9', NULL, NULL)) t(code, valid_to, successor)"
    )
    library = CATALOG.libraries["legal_entity"].model_copy(update={"key_successors": "divisions"})
    con.execute(
        "CREATE SCHEMA tax; CREATE TABLE tax.taxpayer_registration AS FROM (VALUES ('1'), ('4'), ('7')) t(uscc)"
    )
    con.execute(f"CREATE TEMP TABLE library_links ({LINK_COLUMNS})")
    con.execute("CREATE TEMP MACRO legal_entity__key(value) AS value")
    witnesses = [Source(library, CATALOG.resources["tax.taxpayer_registration"], 0)]
    identity.write_aliases(con, library, witnesses, Standing())
    assert con.execute(f"SELECT alias_key, entity_key FROM {identity.ALIASES}").fetchall() == [("1", "3")]


def test_a_finding_tells_the_number_only_where_it_was_linked_and_weighs_every_comparison(con):
    library = CATALOG.libraries["population"]
    stated = library.identity
    assert stated
    features = ", ".join(f"{f}: {{level: 'same', bits: 2.5}}" for f in stated.compare)
    con.execute("CREATE SCHEMA civil_affairs; CREATE SCHEMA health")
    for table in ("civil_affairs.grid_visit", "health.newborn_screening"):
        con.execute(
            f"CREATE TABLE {table} AS FROM (VALUES ('a', 'd1'), ('b', 'd1'), ('c', 'd1')) t(_record_key, _delivery_id)"
        )
    con.execute(f"""
        CREATE TABLE rows AS
        SELECT 'record' AS kind, 'civil_affairs' AS department, 'grid_visit' AS resource, record_key, entity_key,
            'model' AS how, 15.0 AS weight, 0.9999 AS probability, to_json({{candidates: [
                {{entity: '341502198001011234', weight: 15.0, probability: 0.9999, features: {{{features}}}}}
            ]}})::VARCHAR AS explanation
        FROM (VALUES ('a', '341502198001011234'), ('b', NULL), ('c', '#civil_affairs.grid_visit|c'))
            t(record_key, entity_key)
    """)
    small = replace(CATALOG, resources={r.id: r for r in CATALOG.sources_of("population") if r.may_lack_number})
    results = {
        r.resource: (r.applicable, r.failed) for r in identity_findings.write_violations(con, small, library, "rows")
    }
    assert results == {"grid_visit": (3, 2), "newborn_screening": (0, 0)}
    told = con.execute(
        f"SELECT record_key, severity, suggested_value, reason FROM {identity_findings.VIOLATIONS} ORDER BY 1"
    ).fetchall()
    assert [row[:3] for row in told] == [("a", "info", "341502198001011234"), ("b", "info", None)]
    assert told[0][3].startswith(
        "本记录未写明证件号码，认定为「341502198001011234」：姓名相同（+2.5）、性别相同（+2.5）、"
    )
    assert told[0][3].endswith("，合计15.0，可信度0.9999")
    assert told[1][3].startswith("本记录未写明证件号码，可能是「341502198001011234」（姓名相同（+2.5）")
    assert told[1][3].endswith("，待人工认定")
