"""A delivery that re-verifies very many open items of a ledger with a long past, against the join that decides them.

    python -m benchmarks.reverify [--open N] [--rows N] [--json]

One department states all its records anew: of the open items 60 in 100 are corrected as suggested, 20 otherwise, 15 are
still wrong, 5 records are gone. The ledger holds `--rows` rows of items and events, those of the settled items
included, which lived on the days before, a batch a day. Ours is `assets.corrections.advance`, which judges by all of
the machine, writes an event for every item and chains them. By hand it is one statement over the same ledger, findings
and pool that decides the items and writes nothing to the ledger. Each is one process on the same home; processor
seconds are its own and the server's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

import psutil

from benchmarks.whole_city import ROOT, tell, watched
from catalog import load_catalog
from quality_checks import macros
from resources import ledger
from resources.city import City
from resources.ledger_states import read_all_states

THREADS = 2
FIRST, DAY = date(2026, 11, 2), date(2026, 11, 3)
DEPARTMENT, RESOURCE, RULE = "public_security", "resident_registration", "PSB-001"
POOL = f"{DEPARTMENT}.{RESOURCE}"
OLD, NEW = (f"{day:%Y%m%d}-{DEPARTMENT}-{RESOURCE}" for day in (FIRST, DAY))
ORDERS = 500  # items of one order
PAST = 200  # days before the first, and batches; what is open was opened in the next batch and notified in the last
# Item i of the ledger: the first `open` ones are open. One row per event.
EVENTS = """
    insert into ledger.events (serial, item_id, number, department, event, state, closed, since, order_id, as_of,
        delivery_id, rule_version, record_hash, observed, suggested, suggestion_method, suggestion_confidence, reason,
        actor, notified_on, relapses, batch)
    select {serial}, md5(i::text), number, '{department}', event, state, closed, day, 'order' || i / {orders}, day,
        '{old}', 1, 'old' || i, '1990-01-02', '1990-01-01', 'derived', 0.99,
        '出生日期应与证件号码一致：出生日期为「1990-01-02」', 'run', day, 0, batch
    from (
        select i, number, event, state, closed, {batch} + (number = 2 and i < {open})::int as batch from (
            select generate_series({open}, {items} - 1) as i union all select generate_series(0, {open} - 1)) items
        join (values (1, 'opened', 'open', false), (2, 'notified', 'notified', false),
            (3, 'acknowledged', 'acknowledged', false), (4, 'verified_as_suggested', 'verified_as_suggested', true)
        ) e(number, event, state, closed) on number <= 2 or i >= {open}
    ) told
    cross join lateral (select date '{first}' + least(0, batch - {past} - 1) as day) d
    where (number = 2 and i < {open}) = {last}
"""
BATCH = "case when i >= {open} then 1 + ((i - {open})::bigint * {past} / ({items} - {open}))::int else {past} + 1 end"
SERIAL = "1 + (i + {items} - {open}) % {items}"  # as they were opened: what is open last
REST = """
    insert into ledger.orders
    select 'order' || n, 'number' || n, '{department}', '{resource}', '{rule}', '{old}', 'P03', 'accuracy', '0401',
        'error', '{first}', '2026-11-16', false, {past} + 1 from generate_series(0, ({items} - 1) / {orders}) n;
    insert into ledger.order_events
    select order_id, 1, department, 'opened', 'open', '{first}', due_on, false, 10, 0, 0, 'run', null, null, {past} + 1
    from ledger.orders;
    insert into ledger.items (item_id, serial, finding_id, department, resource, rule_id, record_key, column_name,
        opened_on, batch)
    select md5(i::text), {serial}, md5(i::text), '{department}', '{resource}', '{rule}', 'key' || i, 'birth_date',
        '{first}', {batch}
    from generate_series(0, {items} - 1) i;
    insert into ledger.batches (department, batch, kind, source, as_of, author, content, previous_digest, digest)
    select '{department}', n, 'advance', '', date '{first}' - {past} - 1 + n, 'run', 'made', '', 'made'
    from generate_series(1, {past} + 1) n;
    insert into ops.deliveries (delivery_id, department, resource, file_name, sha256, bytes, as_of, mode, state)
    values ('{old}', '{department}', '{resource}', 'f.csv', 'a', 1, '{first}', 'full', 'pooled'),
           ('{new}', '{department}', '{resource}', 'f.csv', 'b', 1, '{day}', 'full', 'pooled');
"""
NOTICES = """
    insert into ledger.batches (department, batch, kind, source, as_of, author, content, previous_digest, digest)
    values ('{department}', {past} + 2, 'notice', '', '{first}', 'run', 'made', 'made', 'made')
"""
RECORDS = """
    INSERT INTO {pool} BY NAME
    SELECT '341500199001010011' AS id_number, '王' || i AS name, '1' AS sex, 'key' || i AS _record_key,
        CASE WHEN i >= {open} OR i % 100 < 60 THEN DATE '1990-01-01' WHEN i % 100 < 80 THEN DATE '1991-01-01'
             ELSE DATE '1990-01-02' END AS birth_date,
        '{new}' AS _delivery_id, i AS _row, DATE '{day}' AS _as_of, 1 AS _copies, hash(i) AS _hash
    FROM range({items}) t(i) WHERE i >= {open} OR i % 100 < 95
"""
FINDINGS = """
    INSERT INTO quality.findings BY NAME
    SELECT md5(i::VARCHAR) AS finding_id, '{rule}' AS rule_id, 'P03' AS standard, 'accuracy' AS dimension,
        '0401' AS indicator, 'error' AS severity, '{department}' AS department, '{resource}' AS resource,
        'key' || i AS record_key, 'birth_date' AS "column", '1990-01-02' AS observed_value,
        '1990-01-01' AS suggested_value, 'derived' AS suggestion_method, 0.99 AS suggestion_confidence,
        'differs' AS reason, '{old}' AS delivery_id, DATE '{first}' AS first_seen, DATE '{first}' AS last_seen,
        CASE WHEN i < {open} AND i % 100 BETWEEN 80 AND 94 THEN 'open' ELSE 'resolved' END AS status
    FROM range({items}) t(i)
"""
PLAIN = """
    CREATE OR REPLACE TEMP TABLE decided AS
    SELECT e.item_id, CASE WHEN p._record_key IS NULL THEN 'removed_at_source' WHEN f.status = 'open' THEN 'still_wrong'
        WHEN CAST(p.birth_date AS VARCHAR) = e.suggested THEN 'verified_as_suggested' ELSE 'verified_otherwise' END
        AS event
    FROM (
        SELECT item_id, arg_max(suggested, number) AS suggested FROM shuyuan.ledger.events
        GROUP BY item_id HAVING NOT arg_max(closed, number)
    ) e JOIN quality.findings f ON f.finding_id = e.item_id LEFT JOIN {pool} p ON p._record_key = f.record_key
"""


def opened(home: Path) -> City:
    """The city on the repository's catalogue."""
    return City.open(home, load_catalog(ROOT / "catalog"), threads=THREADS, prelude=macros.SQL)


def make(home: Path, still_open: int, rows: int) -> None:
    """The home both work on; the ledger's indexes are made after its rows."""
    settled = max(0, rows - 3 * still_open) // 5
    said = {"department": DEPARTMENT, "resource": RESOURCE, "rule": RULE, "pool": POOL, "first": FIRST, "day": DAY}
    said |= {"old": OLD, "new": NEW, "orders": ORDERS, "open": still_open, "items": still_open + settled}
    said |= {"past": PAST, "batch": BATCH.format(**said, past=PAST), "serial": SERIAL.format(**said)}
    with opened(home) as city:
        city.lake.apply_catalog()
        with city.server.session("owner") as cursor:
            cursor.execute("select indexdef from pg_indexes where schemaname = 'ledger' and tablename = 'events'")
            indexes = [row[0] for row in cursor.fetchall()]
            names = "select indexname from pg_indexes where schemaname = 'ledger' and tablename = 'events'"
            cursor.execute(names)
            for (name,) in cursor.fetchall():
                what = "alter table ledger.events drop constraint" if name == "events_pkey" else "drop index ledger."
                cursor.execute(f"{what}{' ' if name == 'events_pkey' else ''}{name}")
            cursor.execute(EVENTS.format(**said, last=False) + ";" + REST.format(**said))
            read_all_states(city.con, city.home)  # as the pass before did, which then wrote:
            cursor.execute(EVENTS.format(**said, last=True) + ";" + NOTICES.format(**said))
            for index in indexes:
                cursor.execute(index)
            cursor.execute("alter table ledger.events add primary key using index events_pkey")
            cursor.execute("vacuum analyze")
            cursor.execute("checkpoint")
        city.commit(DEPARTMENT, lambda con: con.execute(RECORDS.format(**said)), author="benchmark")

        def found(con: object) -> None:
            con.execute(FINDINGS.format(**said))  # type: ignore[attr-defined]
            con.execute(  # type: ignore[attr-defined]
                f"INSERT INTO quality.results VALUES (DATE '{DAY}', '{DEPARTMENT}', '{RESOURCE}', '{RULE}', 'accuracy',"
                " '0401', 'error', 10, 1, 'ok', '')"
            )

        city.commit("city", found, author="benchmark")


def timed(home: Path, *, plain: bool) -> None:
    """Decide the items once; prints wall and processor seconds and how many of each event."""
    from assets.corrections import advance  # noqa: PLC0415  # the plain process need not import it

    with opened(home) as city:
        spent, began = processor(home), time.perf_counter()
        if plain:
            city.con.execute(PLAIN.format(pool=POOL))
        else:
            advance(city, DAY, author="benchmark")
        seconds = time.perf_counter() - began
        used = processor(home) - spent
        table = "decided" if plain else "corrections_events"
        counts = city.con.execute(f"SELECT event, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall()
        figures = {"wall_s": seconds, "cpu_s": used, "counts": counts}
        if not plain:
            began = time.perf_counter()
            broken = [link for link in ledger.verify_chain(city.con) if link.batch > PAST + 2]
            figures |= {"verify_s": time.perf_counter() - began, "broken": len(broken)}
    print(json.dumps(figures))


def processor(home: Path) -> float:
    """Processor seconds so far of this process and of the home's server, with its sessions that have ended."""
    process = psutil.Process(int((home / "postgres/data/postmaster.pid").read_text("ascii").splitlines()[0]))
    total = sum(process.cpu_times()[:4]) + sum(psutil.Process().cpu_times()[:2])
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # it has just ended, and is its parent's next time
            total += sum(child.cpu_times()[:2])
    return total


def measured(scratch: Path, still_open: int, rows: int) -> dict[str, object]:
    """Both, the one that writes last; they must decide alike."""
    home = scratch / "home"
    make(home, still_open, rows)
    told = {}
    for who in ("plain", "ours"):
        said, _, peak = watched([sys.executable, "-m", "benchmarks.reverify", f"--{who}", str(home)], home)
        told[who] = json.loads(said) | {"peak_mb": round(peak / 1e6)}
    assert told["plain"]["counts"] == told["ours"]["counts"], told
    shutil.rmtree(home)
    result: dict[str, object] = {"open": still_open, "rows": rows}
    for figure in ("wall_s", "cpu_s", "peak_mb"):
        result |= {f"{who}_{figure}": round(told[who][figure], 1) for who in told}
    result |= {f"ratio_{of}": round(told["ours"][of] / told["plain"][of], 2) for of in ("wall_s", "cpu_s")}
    return result | {"verify_s": round(told["ours"]["verify_s"], 1), "counts": told["ours"]["counts"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours or options.plain:
        return timed(Path(options.ours or options.plain), plain=bool(options.plain))
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        result = measured(Path(scratch), options.open, options.rows)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
