"""A day of notices for very many departments and items, and a large reply read back: seconds, memory, rows.

    python -m benchmarks.notices [--items N] [--departments N] [--reply N] [--json]

The first department has `--reply` of the items, the others share the rest; an order has 500. `issue` starts the clocks
in the ledger and writes every notice as XLSX, CSV and JSON. Then the first department answers all its items, once in
the workbook of the notice and once, otherwise, in a CSV in GB18030 with its columns in another order. The limits of
the issue: a million items for 64 departments within 180 s and 2 GB, a reply of 50,000 rows within 10 s. Processor
seconds are those of the process and its PostgreSQL.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import xlsxwriter
from python_calamine import CalamineWorkbook

from benchmarks.reverify import processor
from benchmarks.whole_city import ROOT, tell, watched
from catalog import load_catalog
from quality_checks import macros
from resources.city import City

THREADS = 2
DAY, LATER = date(2026, 11, 2), date(2026, 11, 4)
FIRST = "d000"
ORDERS = 500  # items of one order
MADE = """
    create temp table made as
    select i, d, md5(d || (case when i < {reply} then i / {orders} else i / ({orders} * {departments}) end)) as o
    from (select i, case when i < {reply} then 'd000' else 'd' || lpad((1 + i % ({departments} - 1))::text, 3, '0') end
          as d from generate_series(0, {items} - 1) i) items;
    insert into ledger.orders
    select o, '20261102-' || to_char(row_number() over (order by d, o), 'FM0000000'), d, 'resident_registration',
        'PSB-001', '20261102-' || d || '-resident_registration', 'P03', 'accuracy', '0401', 'error', '{day}',
        '2026-11-16', false, 1 from (select distinct o, d from made) orders;
    insert into ledger.order_events
    select order_id, 1, department, 'opened', 'open', '{day}', due_on, false, 10, 0, 0, 'run', null, null, 1
    from ledger.orders;
    insert into ledger.items
        (item_id, serial, finding_id, department, resource, rule_id, record_key, column_name, opened_on, batch)
    select md5(i::text), i + 1, md5(i::text), d, 'resident_registration', 'PSB-001',
        '3415001990' || lpad(i::text, 8, '0'), 'birth_date', '{day}', 1 from made;
    insert into ledger.events (serial, item_id, number, department, event, state, closed, since, order_id, as_of,
        delivery_id, rule_version, record_hash, observed, suggested, suggestion_method, suggestion_confidence, reason,
        actor, relapses, batch)
    select i + 1, md5(i::text), 1, d, 'opened', 'open', false, '{day}', o, '{day}',
        '20261102-' || d || '-resident_registration', 1, 'hash' || i, '1990-01-02', '1990-01-01', 'derived', null,
        '出生日期应与公民身份号码中的一致：出生日期为「1990-01-02」，证件号码第7至14位为「19900101」',
        'run', 0, 1 from made;
    insert into ledger.batches (department, batch, kind, source, as_of, author, content, previous_digest, digest)
    select distinct d, 1, 'advance', '', date '{day}', 'run', 'made', '', 'made' from made;
"""


def opened(home: Path, departments: int) -> City:
    """The city with departments of our own in the catalogue: notices need their names alone."""
    city = City.open(home, load_catalog(ROOT / "catalog"), threads=THREADS, prelude=macros.SQL)
    known = next(iter(city.catalog.departments.values()))
    named = {f"d{n:03}": known.model_copy(update={"name": f"d{n:03}"}) for n in range(departments)}
    return replace(city, catalog=replace(city.catalog, departments=named))


def make(home: Path, items: int, departments: int, reply: int) -> None:
    """A ledger with one day's open orders."""
    with opened(home, departments) as city:
        city.lake.apply_catalog()
        with city.server.session("owner") as cursor:
            said = {"items": items, "departments": departments, "reply": reply, "orders": ORDERS, "day": DAY}
            cursor.execute(MADE.format(**said))
            cursor.execute("vacuum analyze")


def filled(home: Path, folder: Path) -> list[Path]:
    """The first department's notice, filled in: as a workbook, and as a Chinese Windows would save the CSV."""
    outbox = home / "outbox" / FIRST / DAY.isoformat()
    book = CalamineWorkbook.from_path(outbox / "notice.xlsx")
    with xlsxwriter.Workbook(str(folder / "filled.xlsx"), {"strings_to_numbers": False}) as written:
        for name in book.sheet_names[1:-1]:
            sheet = written.add_worksheet(name)
            for number, row in enumerate(book.get_sheet_by_name(name).to_python()):
                sheet.write_row(number, 0, [*row[:9], "acknowledged", *row[10:]] if number else row)
    with (outbox / "notice.csv").open(encoding="utf-8-sig", newline="") as text:
        header, *rows = csv.reader(text)
    with (folder / "filled.csv").open("w", encoding="gb18030", newline="") as text:
        lines = csv.writer(text)
        lines.writerow([*header[10:], *header[:10]])
        lines.writerows([["will_correct", "", "", "2026/11/9", "", *row[:10]] for row in rows])
    return [folder / "filled.xlsx", folder / "filled.csv"]


def timed(home: Path, departments: int, reply: Path | None) -> None:
    """Issue the notices, or import one reply; prints what it took."""
    from assets.feedback import import_file  # noqa: PLC0415  # the process that makes the ledger need not
    from assets.notices import issue  # noqa: PLC0415

    with opened(home, departments) as city:

        def done() -> dict[str, Any]:
            if reply is None:
                return {"files": len(issue(city, DAY, author="benchmark"))}
            receipt = import_file(city, reply, FIRST, LATER, author="benchmark")
            return {"taken": receipt.accepted, "refused": len(receipt.refusals)}

        print(json.dumps(_measure(home, done)))


def _measure(home: Path, done: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    spent, began = processor(home), time.perf_counter()
    counts = done()
    return {"wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(processor(home) - spent, 1), **counts}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--departments", type=int, default=64)
    parser.add_argument("--reply", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.home:
        return timed(options.home, options.departments, options.file)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        home = Path(scratch) / "home"
        make(home, options.items, options.departments, options.reply)
        command = [sys.executable, "-m", "benchmarks.notices", "--departments", str(options.departments)]
        command += ["--home", str(home)]
        said, _, peak = watched(command, home)
        result = {"items": options.items, "departments": options.departments}
        result |= {f"notices_{name}": value for name, value in json.loads(said).items()}
        result["notices_peak_mb"] = round(peak / 1e6)
        for file in filled(home, Path(scratch)):
            said, _, peak = watched([*command, "--file", str(file)], home)
            kind = file.suffix[1:]
            result |= {f"{kind}_{name}": value for name, value in json.loads(said).items()}
            result[f"{kind}_peak_mb"] = round(peak / 1e6)
    tell(result, as_json=options.json)
    return None


if __name__ == "__main__":
    main()
