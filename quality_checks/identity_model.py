"""The linkage model: a library's `identity` statement as a Splink model, learned from pools without labels, and used.

A table of nodes has one row per record or entity: `unique_id BIGINT` and, per feature, the columns of `node_columns`
(text in normal form, its helpers, its frequency). u, how often two strangers agree, comes from random pairs; m, how
often two records of one entity agree, from expectation maximisation within each block; how likely any two records are
one entity from pairs that are surely one. A match weight is log2(m / u).

Splink is imported by `train` and `score` alone. It writes tables into the connection's default schema: give it a
cursor of its own that uses the in-memory database.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

from duckdb import DuckDBPyConnection

from catalog.identity import Block, Comparison, Identity, Kind
from quality_checks.macros import name, quote

PAIRS = "identity_pairs"  # what `score` writes
FREQUENCIES = "identity_tf_"  # and the feature: how often each of its values is met
U_PAIRS = 2e6  # random pairs looked at for u
EM_PAIRS = 5e6  # pairs of one block looked at for m
UNSEEN = 1e-5  # probability of a level among strangers that training never met: pairs looked at are not all pairs
SLIP = 0.005  # least share of true pairs in which a value is wrong altogether: whoever types may type anything
CHUNK = 100_000  # records scored at a time: bounds the table of pairs
DIGITS = 7  # significant ones in a stored parameter: what the order of additions changes is beyond

# DuckDB's edit distances count bytes, of which a Chinese character has three: short names are compared place by place.
_PLACES = " + ".join(f"(substr({{l}}, {k}, 1) <> substr({{r}}, {k}, 1))::INTEGER" for k in range(1, 6))
_ONE_CHARACTER = (
    f"length({{l}}) = length({{r}}) AND length({{l}}) BETWEEN 2 AND 5 AND {_PLACES} = 1"
    " OR abs(length({l}) - length({r})) = 1 AND least(length({l}), length({r})) > 1"
    " AND (contains({l}, {r}) OR contains({r}, {l}))"
    " OR damerau_levenshtein({l}, {r}) <= 1 AND greatest(length({l}), length({r})) > 1"
)

# Level by level, best first: name, SQL over {l} and {r} (the feature) and {a} (its column), adjusted by frequency.
_LEVELS: Mapping[Kind, tuple[tuple[str, str, bool], ...]] = {
    Kind.exact: (("same", "{l} = {r}", True),),
    Kind.name: (
        ("same", "{l} = {r}", True),
        ("other_order", '"{a}_letters_l" = "{a}_letters_r"', False),
        ("one_character", _ONE_CHARACTER, False),
        ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.85 AND least(length({l}), length({r})) > 3", False),
    ),
    Kind.date: (
        ("same", "{l} = {r}", True),
        ("swapped", "{l} = left({r}, 4) || right({r}, 2) || substr({r}, 5, 2)", False),
        ("one_digit", "damerau_levenshtein({l}, {r}) <= 1", False),
        ("same_month", "left({l}, 6) = left({r}, 6) OR damerau_levenshtein({l}, {r}) <= 2", False),
    ),
    Kind.text: (
        ("same", "{l} = {r}", True),
        ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.92", False),
        ("akin", "jaro_winkler_similarity({l}, {r}) >= 0.8", False),
    ),
    Kind.digits: (
        ("same", "{l} = {r}", True),
        ("one_digit", "damerau_levenshtein({l}, {r}) <= 1 AND greatest(length({l}), length({r})) > 2", False),
        ("two_digits", "damerau_levenshtein({l}, {r}) <= 2 AND greatest(length({l}), length({r})) > 4", False),
    ),
    Kind.address: (
        ("same", "{l} = {r}", True),
        ("same_house", '"{a}_house_l" = "{a}_house_r" AND jaro_winkler_similarity({l}, {r}) >= 0.7', False),
        ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.92", False),
    ),
    Kind.email: (
        ("same", "{l} = {r}", True),
        ("same_user", "split_part({l}, '@', 1) = split_part({r}, '@', 1) AND contains({l}, '@')", False),
        ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.88", False),
    ),
}

WORDS: Mapping[str, str] = {
    "same": "相同", "other_order": "用字相同而次序或字形不同", "one_character": "相差一字", "alike": "相近",
    "swapped": "月日互换", "one_digit": "相差一位", "same_month": "年月相同或相差两位", "akin": "略相近",
    "two_digits": "相差两位", "same_house": "门牌号相同", "same_user": "用户名相同", "differs": "不同", "missing": "缺",
}  # fmt: skip


class IdentityError(Exception):
    """The library cannot recognise entities: there is no model, or nothing to learn one from."""


@dataclass(frozen=True)
class Model:
    """A trained model: Splink's settings, and how likely a pair is one entity before anything is compared.

    `between` holds for a record and an entity with a number, `within` for two records without.
    """

    settings: Mapping[str, Any]
    between: float
    within: float

    @property
    def id(self) -> str:
        """Changes with every parameter: what a link says it was made with."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:12]

    def as_json(self) -> str:
        """The file `<library>.model.json`."""
        told = {"between": self.between, "within": self.within, "settings": dict(self.settings)}
        return json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Model:
        told = json.loads(text)
        return cls(told["settings"], told["between"], told["within"])

    def weights(self) -> dict[str, dict[str, float]]:
        """Match weight in bits by feature and level, for people to read."""
        return {
            comparison["output_column_name"]: {
                level["label_for_charts"]: round(log2(level["m_probability"] / level["u_probability"]), 2)
                for level in comparison["comparison_levels"]
                if not level.get("is_null_level")
            }
            for comparison in self.settings["comparisons"]
        }


def node_columns(feature: str, kind: Kind, value: str) -> dict[str, str]:
    """Columns of a node that one feature needs, with SQL: the normal form of `value` and its helpers."""
    text = f"CAST({value} AS VARCHAR)"
    if kind is Kind.name:
        plain = f"person_name_normal({text})"
        return {feature: plain, f"{feature}_letters": f"name_letters({plain})"}
    if kind is Kind.address:
        plain = f"half_width({text})"
        return {feature: f"nullif({plain}, '')", f"{feature}_house": f"address_house({plain})"}
    if kind is Kind.date:
        digits = f"regexp_replace({text}, '[^0-9]', '', 'g')"
        return {feature: f"CASE WHEN length({digits}) >= 8 THEN left({digits}, 8) END"}
    if kind is Kind.digits:
        return {feature: f"nullif(regexp_replace(half_width({text}), '[^0-9A-Z]', '', 'g'), '')"}
    if kind in (Kind.text, Kind.email):
        return {feature: f"nullif(lower(text_normal({text})), '')"}
    return {feature: f"nullif(text_normal({text}), '')"}


def frequencies(con: DuckDBPyConnection, identity: Identity, nodes: str) -> None:
    """Write how often each value of a feature is met in `nodes`, for the features that count common values for less."""
    for feature, stated in identity.compare.items():
        if stated.by_frequency:
            value = name(feature)
            con.execute(
                f"CREATE OR REPLACE TABLE {FREQUENCIES}{feature} AS SELECT {value},"
                f" count(*) / sum(count(*)) OVER () AS tf_{feature} FROM {nodes} WHERE {value} IS NOT NULL GROUP BY ALL"
            )


def level_names(kind: Kind) -> list[str]:
    """Names of the levels by Splink's gamma, lowest first: `differs` is 0; gamma -1 is `missing`."""
    return ["differs", *(level for level, _, _ in reversed(_LEVELS[kind]))]


def _comparison(feature: str, stated: Comparison) -> dict[str, Any]:
    left, right = f'"{feature}_l"', f'"{feature}_r"'
    levels: list[dict[str, Any]] = [
        {"sql_condition": f"{left} IS NULL OR {right} IS NULL", "label_for_charts": "missing", "is_null_level": True}
    ]
    for level, condition, frequent in _LEVELS[stated.as_]:
        told: dict[str, Any] = {
            "sql_condition": condition.format(l=left, r=right, a=feature),
            "label_for_charts": level,
        }
        if frequent and stated.by_frequency:
            told |= {"tf_adjustment_column": feature, "tf_minimum_u_value": 1e-5}
        levels.append(told)
    levels.append({"sql_condition": "ELSE", "label_for_charts": "differs"})
    return {"output_column_name": feature, "comparison_levels": levels}


def _rule(block: Block) -> Any:
    from splink import block_on

    return block_on(*block)


def _untrained(identity: Identity) -> dict[str, Any]:
    return {
        "link_type": "dedupe_only",
        "comparisons": [_comparison(feature, stated) for feature, stated in identity.compare.items()],
        "blocking_rules_to_generate_predictions": [_rule(block) for block in identity.block],
        "retain_matching_columns": True,  # else the levels are not told
        "retain_intermediate_calculation_columns": True,
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Splink tells its progress and doubts in logs; what we keep of them stands in the model."""
    logger = logging.getLogger("splink")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _linker(con: DuckDBPyConnection, tables: Sequence[str], settings: Mapping[str, Any]) -> tuple[Any, Any]:
    from splink import DuckDBAPI, Linker

    api = DuckDBAPI(con)
    inputs = [api.register(table) for table in tables]
    return api, Linker(inputs, dict(settings), log_level=None, validate_settings=False)


def train(con: DuckDBPyConnection, identity: Identity, entities: str, records: str, *, pairs: float = U_PAIRS) -> Model:
    """Learn a model from pairs of a record and an entity, or of two records where there are no entities.

    Both are tables of nodes with the same columns. The same tables and seed give the same model. A block in which next
    to no pair is one entity teaches nothing and is passed over.

    Raises:
        IdentityError: no pair is surely one entity, so that there is nothing to learn from.
    """
    between, within = _prior(con, identity, entities, records)
    known = con.execute(f"SELECT 1 FROM {entities} LIMIT 1").fetchone()
    with _quiet():
        # of entities no two are one, so that what they agree in is chance
        _, linker = _linker(con, [entities if known else records], _untrained(identity))
        linker.training.estimate_u_using_random_sampling(max_pairs=pairs, seed=identity.seed)
        strangers = linker.misc.save_model_to_json()
        linker.table_management.delete_tables_created_by_splink_from_db()
        tables, kind, prior = (
            ([entities, records], "link_only", between) if known else ([records], "dedupe_only", within)
        )
        start = strangers | {"link_type": kind, "probability_two_random_records_match": prior}
        _, linker = _linker(con, tables, start)
        for block in identity.block:
            with contextlib.suppress(*_nothing_learned()):
                linker.training.estimate_parameters_using_expectation_maximisation(
                    _rule(block), max_pairs=EM_PAIRS, estimate_without_term_frequencies=True
                )
        settings = linker.misc.save_model_to_json()
        linker.table_management.delete_tables_created_by_splink_from_db()
    return Model(_finished(settings), between, within)


def _nothing_learned() -> tuple[type[Exception], ...]:
    """No pairs in a block, or none of them one entity, so that a probability falls below what a float can hold."""
    from splink.internals.exceptions import EMTrainingException

    return EMTrainingException, ValueError


def _prior(con: DuckDBPyConnection, identity: Identity, entities: str, records: str) -> tuple[float, float]:
    """How likely a record and an entity, and two records, are one: pairs surely one, over the share they are of all."""
    counted = con.execute(f"SELECT (SELECT count(*) FROM {entities}), (SELECT count(*) FROM {records})").fetchone()
    known, unknown = counted or (0, 0)
    across, among = (
        _sure(con, identity.sure, entities, records, ""),
        _sure(con, identity.sure, records, records, "AND l.unique_id < r.unique_id"),
    )
    if not across and not among:
        listed = "; ".join(", ".join(block) for block in identity.sure)
        raise IdentityError(f"no two of {known:,} entities and {unknown:,} records agree in all of one of: {listed}")
    between = max(across, 0.5) / identity.recall / max(known * unknown, 1)
    within = max(among, 0.5) / identity.recall / max(unknown * (unknown - 1) / 2, 1)
    return _rounded(min(between, 0.5)), _rounded(min(within, 0.5))


def _sure(con: DuckDBPyConnection, sure: Sequence[Block], left: str, right: str, also: str) -> int:
    pairs = " UNION ".join(
        f"SELECT l.unique_id, r.unique_id AS other FROM (SELECT unique_id, {_keys(block)} FROM {left}) l"
        f" JOIN (SELECT unique_id, {_keys(block)} FROM {right}) r"
        f" ON {' AND '.join(f'l.b{n} = r.b{n}' for n in range(len(block)))} {also}"
        for block in sure
    )
    row = con.execute(f"SELECT count(*) FROM ({pairs})").fetchone()
    return row[0] if row else 0


def _keys(block: Block) -> str:
    return ", ".join(f"({part}) AS b{n}" for n, part in enumerate(block))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _finished(settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters, rounded, with what training never met as rare as can be, and no level weighing less than a worse
    one: of a level met a few times only, expectation maximisation may say anything.
    """
    for comparison in settings["comparisons"]:
        least = 0.0
        worst = comparison["comparison_levels"][-1]
        worst["m_probability"] = max(_number(worst.get("m_probability")), SLIP)
        for level in reversed(comparison["comparison_levels"]):
            if level.get("is_null_level"):
                continue
            strangers = max(_number(level.get("u_probability")), UNSEEN)
            same = max(_number(level.get("m_probability")), UNSEEN)
            least = max(same / strangers, least)
            level["u_probability"], level["m_probability"] = _rounded(strangers), _rounded(strangers * least)
    settings.pop("linker_uid", None)
    return settings


def _number(value: object) -> float:
    return value if isinstance(value, float) else 0.0


def score(
    con: DuckDBPyConnection,
    identity: Identity,
    model: Model,
    *,
    entities: str | None,
    records: str,
    chunk: int = CHUNK,
) -> None:
    """Write `PAIRS`: one row per pair of a record with an entity or another record that may be one.

    Columns `record, other` (unique ids; of two records the smaller is `record`), `weight` (bits), `probability`, and
    per feature `gamma_<feature>` (-1 missing, 0 differs, …) and `bits_<feature>`.
    """
    con.execute(f"DROP TABLE IF EXISTS {PAIRS}")
    counted = con.execute(f"SELECT count(*) FROM {records}").fetchone()
    parts = max(1, -(-(counted[0] if counted else 0) // chunk))
    with _quiet():
        if entities:
            for part in range(parts):
                con.execute(
                    f"CREATE OR REPLACE TABLE identity_part AS FROM {records} WHERE hash(unique_id) % {parts} = {part}"
                )
                _score(con, identity, model, model.between, entities=entities, records="identity_part")
            con.execute("DROP TABLE identity_part")
        _score(con, identity, model, model.within, entities=None, records=records)


def no_pairs(con: DuckDBPyConnection, identity: Identity) -> None:
    """Write an empty `PAIRS`."""
    features = "".join(f", 0 AS gamma_{feature}, 0::DOUBLE AS bits_{feature}" for feature in identity.compare)
    con.execute(
        f"CREATE OR REPLACE TABLE {PAIRS} AS SELECT 0::BIGINT AS record, 0::BIGINT AS other, 0::DOUBLE AS weight,"
        f" 0::DOUBLE AS probability{features} WHERE false"
    )


def _score(
    con: DuckDBPyConnection, identity: Identity, model: Model, prior: float, *, entities: str | None, records: str
) -> None:
    settings = dict(model.settings) | {
        "link_type": "dedupe_only",
        "probability_two_random_records_match": prior,
        "blocking_rules_to_generate_predictions": [_rule(block) for block in identity.block],
    }
    api, linker = _linker(con, [records], settings)
    least = {"threshold_match_probability": identity.review, "warning_mode": "never"}
    own = api.register(records)
    for feature, stated in identity.compare.items():
        if stated.by_frequency:
            linker.table_management.register_term_frequency_lookup(api.register(f"{FREQUENCIES}{feature}"), feature)
    if entities:
        found = linker.inference.predict_between(api.register(entities), own, **least)
        record, other = "unique_id_r", "unique_id_l"
    else:
        found = linker.inference.predict_within(own, **least)
        record, other = "least(unique_id_l, unique_id_r)", "greatest(unique_id_l, unique_id_r)"
    bits = "".join(f", gamma_{f}, {_bits(f, s)} AS bits_{f}" for f, s in identity.compare.items())
    query = (
        f"SELECT {record} AS record, {other} AS other, match_weight AS weight, match_probability AS probability{bits}"
        f" FROM {found.physical_name}"
    )
    there = con.execute(f"SELECT 1 FROM duckdb_tables() WHERE table_name = {quote(PAIRS)}").fetchone()
    con.execute(f"INSERT INTO {PAIRS} BY NAME {query}" if there else f"CREATE TABLE {PAIRS} AS {query}")
    linker.table_management.delete_tables_created_by_splink_from_db()


def _bits(feature: str, stated: Comparison) -> str:
    parts = [f"mw_{feature}", *([f"mw_tf_adj_{feature}"] if stated.by_frequency else [])]
    return f"round({' + '.join(map(name, parts))}, 2)"
