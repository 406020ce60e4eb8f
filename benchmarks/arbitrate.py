"""Arbitrating eight departments' pools of people against a plain hand-written DuckDB script, interleaved.

    python -m benchmarks.arbitrate [--rows N] [--repeat N] [--json]

So many records as four times the people (`benchmarks.pools`), twelve attributes with value, department, as-of date,
outcome and what each source said, the days each person was born and died, and every record that differs from what
stands as a violation. Ours is `assets.base.arbitrate` with the table it makes and the counts of the comparisons. By
hand it is one group-by over all records and a second look at the people of whom departments say different things, for
these pools and rules alone. Both must come to the very same table and violations. `cpu_ratio` is of processor time.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from assets import base
from benchmarks import pools
from benchmarks.whole_city import ROOT, tell, watched
from quality_checks import comparison, macros

THREADS = 2
MEMORY = "5200MB"  # DuckDB's own; the process takes up to two fifths more
TABLE = "made.main.population"
DEPARTMENTS = sorted(pools.POOLS)
COMPARED = [name for name, (said, _, _) in pools.ATTRIBUTES.items() if said.get("compare", "error")]


def ours(con: duckdb.DuckDBPyConnection) -> None:
    """The table and the violations by Shuyuan."""
    catalog = pools.catalog()
    library = catalog.libraries["population"]
    disputed = base.arbitrate(con, catalog, library)
    con.execute(f"create table {TABLE} as {base.table_sql(catalog, library, disputed)}")
    comparison.results(con, catalog, library, TABLE)
    con.execute(f"create table made.main.violations as from {comparison.VIOLATIONS}")


def plain(con: duckdb.DuckDBPyConnection) -> None:
    """The same by hand."""
    con.execute(
        "create temp table marks as select distinct department, record_key from quality.findings where status = 'open'"
    )
    attributes = ", ".join(
        f"min({a}) as {a}, min({a}) <> max({a}) as {a}_split, min({a}_st) as {a}_st, bit_or({a}_seen) as {a}_seen"
        for a in pools.ATTRIBUTES
    )
    records = " union all ".join(map(_records_sql, range(len(DEPARTMENTS))))
    con.execute(
        f"create temp table people as select key, count(*)::integer as _sources, {attributes}"
        f" from ({records}) group by key"
    )
    split = " or ".join(f"{a}_split" for a in pools.ATTRIBUTES)
    con.execute(f"create temp table split as from people where {split}")
    con.execute(f"create temp table spoken as select r.* from ({records}) r semi join split using (key)")
    for attribute in pools.ATTRIBUTES:
        _settle(con, attribute)
    columns = ", ".join(column for attribute in pools.ATTRIBUTES for column in _columns(attribute))
    joins = " ".join(f"left join settled_{a} on settled_{a}.key = p.key" for a in pools.ATTRIBUTES)
    con.execute(
        f"create table {TABLE} as select *, birth_date as began_on, death_date as ended_on from (select"
        f" md5('population|' || p.key)::uuid as entity_id, p.key as id_number, {columns}, p._sources"
        f" from people p {joins})"
    )
    con.execute(f"create table made.main.violations as {' union all '.join(map(_violations_sql, COMPARED))}")


def _rank(attribute: str, department: str) -> int:
    said = pools.ATTRIBUTES[attribute][0]
    order = [*([said["authority"]] if said["authority"] else []), *said.get("substitutes", ())]  # type: ignore[misc]
    return order.index(department) if department in order else len(order)


def _last(attribute: str) -> int:
    return _rank(attribute, "")


def _first(attribute: str) -> int:
    return int(pools.ATTRIBUTES[attribute][0]["authority"] is not None)


def _records_sql(number: int) -> str:
    """All records of a department. A standing is doubt, rank, age if it is the last rank, number, age, record."""
    department = DEPARTMENTS[number]
    columns = []
    for attribute, (_, kind, _) in pools.ATTRIBUTES.items():
        if attribute not in pools.POOLS[department].attributes:
            columns.append(
                f"null::{'date' if kind == 'date' else 'varchar'} as {attribute}, null::bigint as {attribute}_st,"
                f" null::integer as {attribute}_seen"
            )
            continue
        rank = _rank(attribute, department)
        age = "age" if rank == _last(attribute) else "0"
        doubt = "marked" if attribute == "name" else "false"
        standing = f"((((({doubt})::bigint * 16 + {rank}) * 10000 + {age}) * 16 + {number}) * 10000 + age) * 2 + n"
        columns.append(
            f"{attribute}, case when {attribute} is not null then {standing} end as {attribute}_st,"
            f" case when {attribute} is not null then {1 << number} end as {attribute}_seen"
        )
    return (
        f"select key, {number} as src, _record_key, _delivery_id, {', '.join(columns)} from (select p.*,"
        f" person_id_normal(id_number) as key, date_diff('day', _as_of, date '{pools.DAY}') as age,"
        " right(_record_key, 1)::integer as n, m.record_key is not null as marked"
        f" from {department}.people p left join (from marks where department = '{department}') m"
        " on m.record_key = p._record_key)"
    )


def _settle(con: duckdb.DuckDBPyConnection, attribute: str) -> None:
    """`cells_<attribute>`: each record of those in dispute beside the winner; `settled_<attribute>`: what stands."""
    normal = "text_normal({})" if "normal" in pools.ATTRIBUTES[attribute][0] else "{}"
    first, last, compare = _first(attribute), _last(attribute), attribute in COMPARED
    con.execute(
        f"create temp table cells_{attribute} as select r.key, src, _record_key, _delivery_id, {attribute} as v, st,"
        f" wv, wst, {_rank_of('st')} as rank, {_rank_of('wst')} as wrank, {_doubt_of('st')} as doubt,"
        f" case when {attribute} = wv then false"
        f" else {normal.format(attribute)} <> {normal.format('wv')} end as differs"
        f" from (select *, {attribute}_st as st from spoken) r join (select key,"
        f" arg_min({attribute}, {attribute}_st) as wv, min({attribute}_st) as wst from spoken"
        f" semi join (from split where {attribute}_split) using (key) group by key) w on w.key = r.key"
        f" where {attribute} is not null"
    )
    con.execute(
        f"create temp table ballots_{attribute} as select * from (select key, src, arg_min(v, st) as v, min(st) as st,"
        f" arg_min(differs, st) as differs from cells_{attribute} where wrank < {first} and {compare} and not doubt"
        f" and not {_doubt_of('wst')} and src <> {_number_of('wst')} group by key, src) where differs"
    )
    con.execute(
        f"create temp table doubts_{attribute} as select key, arg_min(v, st) as v, count(*) as votes, min(st) as st"
        f" from ballots_{attribute} group by key, {normal.format('v')} having count(*) > 1"
    )
    con.execute(
        f"create or replace temp table doubts_{attribute} as select key, arg_min(v, (-votes, st)) as v,"
        f" max(votes) as votes from doubts_{attribute} group by key"
    )
    ranked = (
        f"(({compare}) and rank > wrank and wrank < {last} and rank >= {first} and not {_doubt_of('wst')}"
        f" and src <> {_number_of('wst')} and d.key is null)"
    )
    con.execute(
        f"create or replace temp table cells_{attribute} as"
        f" select c.*, {ranked} as ranked, d.key is not null as doubted"
        f" from cells_{attribute} c left join doubts_{attribute} d using (key)"
    )
    letter = "case when ranked then case when differs then 'D' else 'A' end when differs then 'd' else 'a' end"
    said = " || ".join(
        f"coalesce(min({letter}) filter (src = {n} and ranked and differs),"
        f" min({letter}) filter (src = {n} and ranked), max({letter}) filter (src = {n}), '-')"
        for n in _suppliers(attribute)
    )
    con.execute(
        f"create temp table settled_{attribute} as select key, any_value(wv) as v, any_value(wst) as st, case"
        f" when any_value(wrank) between {first} and {last - 1} then 'substitute'"
        f" when not bool_or(differs and src <> {_number_of('wst')}) then"
        "   case when count(distinct src) = 1 then 'single' else 'agreed' end"
        f" when any_value(wrank) < {first} then"
        "   case when bool_or(doubted) then 'authority_doubted' else 'authority_prevails' end"
        f" else 'undecided' end as outcome, {said} as said from cells_{attribute} group by key"
    )


def _number_of(standing: str) -> str:
    return f"({standing} // 20000 % 16)"


def _rank_of(standing: str) -> str:
    return f"({standing} // 3200000000 % 16)"


def _doubt_of(standing: str) -> str:
    return f"({standing} // 51200000000 = 1)"


def _suppliers(attribute: str) -> list[int]:
    return [number for number, name in enumerate(DEPARTMENTS) if attribute in pools.POOLS[name].attributes]


def _columns(attribute: str) -> list[str]:
    settled, standing = f"settled_{attribute}", f"coalesce(settled_{attribute}.st, p.{attribute}_st)"
    first, last, own = _first(attribute), _last(attribute), f"p.{attribute}_st"
    names = ", ".join(f"'{name}'" for name in DEPARTMENTS)
    letters = []
    for number in _suppliers(attribute):
        rank = _rank(attribute, DEPARTMENTS[number])
        compared = f"{_rank_of(own)} < {rank} and not {_doubt_of(own)}"
        never = attribute not in COMPARED or rank < first
        letters.append(
            f"case when p.{attribute}_seen & {1 << number} = 0 then '-'"
            + ("" if never else f" when {compared} then 'A'")
            + " else 'a' end"
        )
    outcome = (
        f"case when {own} is null then null when {_rank_of(own)} between {first} and {last - 1} then 'substitute'"
        f" when bit_count(p.{attribute}_seen) = 1 then 'single' else 'agreed' end"
    )
    said = f"case when {own} is null then null else coalesce({settled}.said, {' || '.join(letters)}) end"
    return [
        f"coalesce({settled}.v, p.{attribute}) as {attribute}",
        f"([{names}])[{_number_of(standing)} + 1] as {attribute}_source",
        f"date '{pools.DAY}' - ({standing} // 2 % 10000)::integer as {attribute}_as_of",
        f"coalesce({settled}.outcome, {outcome}) as {attribute}_outcome",
        f"{said} as {attribute}_said",
    ]


def _violations_sql(attribute: str) -> str:
    names = ", ".join(f"'{name}'" for name in DEPARTMENTS)
    fixed = (
        "null::varchar as standard, 'consistency' as dimension, '0401' as indicator, 'error' as severity,"
        f" ([{names}])[{{src}} + 1] as department, 'people' as resource, _record_key as record_key,"
        f" '{attribute}' as \"column\", {{observed}}::varchar as observed_value,"
        " {suggested}::varchar as suggested_value"
    )
    who = f"case when wrank < {_first(attribute)} then '数源部门' else '候补来源部门' end"
    day = f"strftime(date '{pools.DAY}' - (wst // 2 % 10000)::integer, '%Y-%m-%d')"
    told = (
        f"select 'population.{attribute}.agrees' as rule_id,"
        f" {fixed.format(src='src', observed='v', suggested='wv')}, 'authority' as suggestion_method,"
        " null::double as suggestion_confidence,"
        f" '{attribute}与' || {who} || ([{names}])[{_number_of('wst')} + 1] || '（' || {day} ||"
        f" '）的记载不一致：本记录为' || told(v) || '，' || {who} || '为' || told(wv) as reason,"
        " _delivery_id as delivery_id"
        f" from cells_{attribute} where ranked and differs"
    )
    if not _first(attribute):
        return told
    normal = "text_normal({})" if "normal" in pools.ATTRIBUTES[attribute][0] else "{}"
    others = (
        f"(select string_agg(([{names}])[src + 1], '、' order by src) from ballots_{attribute} b"
        f" where b.key = d.key and {normal.format('b.v')} = {normal.format('d.v')})"
    )
    return (
        f"{told} union all select 'population.{attribute}.doubted',"
        f" {fixed.format(src=_number_of('wst'), observed='c.wv', suggested='d.v')}, 'majority',"
        " round(d.votes / (d.votes + 1), 2),"
        f" '{attribute}：' || d.votes || '个独立来源（' || {others} || '）一致记载为' || told(d.v)"
        " || '，与本部门的' || told(c.wv) || '不一致，孰误未知，请核实', _delivery_id"
        f" from doubts_{attribute} d join cells_{attribute} c on c.key = d.key and c.st = c.wst"
    )


def run(who: Callable[[duckdb.DuckDBPyConnection], None], made: Path, scratch: Path) -> None:
    """One run in a process of its own; prints seconds, processor seconds and what came out."""
    limits = {"threads": THREADS, "memory_limit": MEMORY, "temp_directory": str(made.parent / "spill")}
    with duckdb.connect(config=limits) as con:
        con.execute(f"attach '{made}' as made")
        con.execute(f"attach '{scratch / 'pools.duckdb'}' as pools (read_only)")
        con.execute("use pools")
        con.execute(macros.SQL)
        began, used = time.perf_counter(), _processor()
        who(con)
        seconds, processor = time.perf_counter() - began, _processor() - used
        came_to = [
            con.execute(f"select count(*), bit_xor(hash(t)) from {table} t").fetchone()
            for table in (TABLE, "made.main.violations")
        ]
    print(json.dumps({"seconds": seconds, "processor": processor, "came_to": came_to}))


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(scratch: Path, rows: int, repeat: int) -> dict[str, object]:
    """Both in turn; they must come to the same."""
    people = rows // pools.RECORDS_PER_PERSON
    with duckdb.connect(str(scratch / "pools.duckdb"), config={"threads": THREADS, "memory_limit": MEMORY}) as con:
        con.execute(macros.SQL)
        pools.fill(con, people)
        [records] = con.execute(
            f"select {' + '.join(f'(select count(*) from {d}.people)' for d in DEPARTMENTS)}"
        ).fetchall()
    told: dict[str, list[dict[str, object]]] = {"ours": [], "plain": []}
    peak = 0
    for turn in range(repeat):
        for who in ("plain", "ours"):
            folder = scratch / f"{who}{turn}"
            folder.mkdir()
            said, _, used = watched(_child(who, folder / "made.duckdb", scratch), folder)
            told[who].append(json.loads(said))
            peak = max(peak, used if who == "ours" else 0)
            shutil.rmtree(folder)
        assert told["ours"][-1]["came_to"] == told["plain"][-1]["came_to"], told
    (population, _), (violations, _) = told["ours"][-1]["came_to"]  # type: ignore[misc]
    result: dict[str, object] = {"rows": records[0], "entities": population, "violations": violations}
    for figure, name in (("seconds", "s"), ("processor", "cpu_s")):
        medians = {who: statistics.median(float(str(one[figure])) for one in runs) for who, runs in told.items()}
        result |= {f"{who}_{name}": round(seconds, 2) for who, seconds in medians.items()}
        result[{"s": "ratio", "cpu_s": "cpu_ratio"}[name]] = round(medians["ours"] / medians["plain"], 2)
    return result | {"peak_mb": round(peak / 1e6)}


def _child(who: str, made: Path, scratch: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.arbitrate", f"--{who}", str(made), str(scratch)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for who, paths in ((ours, options.ours), (plain, options.plain)):
        if paths:
            return run(who, *paths)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        result = measured(Path(scratch), options.rows, options.repeat)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
