"""A month's monitoring report from a long ledger: seconds and memory to freeze its figures and to write its reports.

    python -m benchmarks.supervision [--items N] [--departments N] [--json]

Four events an item (opened, notified, answered, and one verified or found wrong again), over three months, in orders of
500. `freeze` counts and stores the figures of the last one and `write` writes every report; `plain` is one scan in
DuckDB that finds the last event of each item in each order, which no way to count them can do without. Processor
seconds are those of the process and its PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.notices import opened
from benchmarks.reverify import processor
from benchmarks.whole_city import ROOT, tell, watched

AS_OF = date(2026, 12, 1)
ORDERS = 500  # items of one order
MADE = """
    create temp table made as
    select i, 'd' || lpad((i % {departments})::text, 3, '0') as d,
           md5('o' || i / ({orders} * {departments}) || '|' || i % {departments}) as o,
           date '2026-09-01' + 7 * ((i / ({orders} * {departments})) % 13)::integer as day
    from generate_series(0::bigint, {items} - 1) i;
    create temp table ordered as select distinct o, d, day from made;
    insert into ledger.orders
    select o, to_char(day, 'YYYYMMDD') || '-' || to_char(row_number() over (order by d, o), 'FM0000000'), d,
        'resident_registration', 'PSB-001', 'x', 'P03', 'accuracy', '0401', 'error', day, day + 14, false, 1
    from ordered;
    insert into ledger.order_events
    select o, n, d, case n when 1 then 'opened' else 'notified' end, case n when 1 then 'open' else 'notified' end,
        day, day + 14, false, 10, 0, 0, 'run', null, null, 1
    from ordered cross join generate_series(1, 2) n;
    insert into ledger.items
        (item_id, serial, finding_id, department, resource, rule_id, record_key, column_name, opened_on, batch)
    select md5(i::text), i + 1, md5(i::text), d, 'resident_registration', 'PSB-001', 'key' || i, 'birth_date', day, 1
    from made;
    insert into ledger.events (serial, item_id, number, department, event, state, closed, since, order_id, as_of,
        delivery_id, rule_version, record_hash, observed, reason, actor, relapses, batch)
    select i + 1, md5(i::text), n, d, e, case e when 'opened' then 'open' else e end, e like 'verified%', at, o, at,
        '20261102-public_security-resident_registration-0123456789ab', 1, 'hash' || i, '1990-01-02',
        '出生日期应与公民身份号码中的一致：出生日期为「1990-01-02」，证件号码第7至14位为「19900101」', 'run', 0, 1
    from (
        select *, day + case n when 3 then (i % 20)::integer when 4 then 20 + (i % 5)::integer else 0 end as at,
               case n when 1 then 'opened' when 2 then 'notified' when 3 then 'acknowledged'
                      else case when i % 10 < 6 then 'verified_as_suggested' else 'still_wrong' end end as e
        from made cross join generate_series(1, 4) n
    ) happened where at < date '{as_of}';
    insert into ledger.batches (department, batch, kind, source, as_of, author, content, previous_digest, digest)
    select distinct d, 1, 'advance', '', date '2026-11-01', 'run', 'made', '', 'made' from made;
"""
PLAIN = """
    CREATE OR REPLACE TEMP TABLE plain AS
    SELECT order_id, item_id, arg_max(state, number) AS state, max(as_of) AS as_of
    FROM shuyuan.ledger.events WHERE as_of <= DATE '2026-11-30' GROUP BY ALL
"""


def make(home: Path, items: int, departments: int) -> None:
    """A ledger of three months."""
    with opened(home, departments) as city:
        city.lake.apply_catalog()
        with city.server.session("owner") as cursor:
            cursor.execute(MADE.format(items=items, departments=departments, orders=ORDERS, as_of=AS_OF))
            cursor.execute("vacuum analyze")


def timed(home: Path, departments: int) -> None:
    """Freeze the last month, write the reports; prints what each took."""
    from assets import supervision, supervision_files  # noqa: PLC0415  # the process that makes the ledger need not
    from quality_checks.supervision import Period  # noqa: PLC0415

    with opened(home, departments) as city:
        rows = city.con.execute("SELECT count(*) FROM shuyuan.ledger.events").fetchone()
        result = {"events": int(rows[0]) if rows else 0}
        result |= _measure(home, "plain", lambda: city.con.execute(PLAIN))
        with city.server.session() as cursor:  # the months before are not measured: they are as this one
            for month in ("2026-09", "2026-10"):
                period = Period.named(month)
                cursor.execute(
                    "insert into ledger.supervision_versions values (%s, 1, %s, %s, null, 30, 'made', 'benchmark')",
                    (month, period.first, period.last),
                )
                cursor.execute(
                    "insert into ledger.supervision_heads select %s, 1, department, batch, as_of, digest"
                    " from ledger.batches",
                    (month,),
                )
        result |= _measure(home, "freeze", lambda: supervision.freeze(city, AS_OF, author="benchmark"))
        [version] = supervision.versions(city, "2026-11")
        result |= _measure(home, "write", lambda: supervision_files.write_reports(city, version))
        print(json.dumps(result))


def _measure(home: Path, name: str, done: Callable[[], Any]) -> dict[str, Any]:
    spent, began = processor(home), time.perf_counter()
    done()
    seconds = time.perf_counter() - began
    return {f"{name}_s": round(seconds, 1), f"{name}_cpu_s": round(processor(home) - spent, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=250_000)
    parser.add_argument("--departments", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.home:
        return timed(options.home, options.departments)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        home = Path(scratch) / "home"
        make(home, options.items, options.departments)
        command = [sys.executable, "-m", "benchmarks.supervision", "--departments", str(options.departments)]
        said, _, peak = watched([*command, "--home", str(home)], home)
        measured = json.loads(said)
        result = {"items": options.items, "departments": options.departments, **measured}
        result["ratio"] = round(measured["freeze_s"] / measured["plain_s"], 1) if measured["plain_s"] else None
        result["peak_mb"] = round(peak / 1e6)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
