"""Real corrections of a city's register, replayed as replies to orders, against a plain recount.

    python -m benchmarks.correction_orders FOLDER [--json]

`FOLDER/manual_corrections.csv`: one row per correction people made (`job_number, field, old_value, new_value, reason,
edited_date`). A resource of the catalogue is made of the old values, one record per job and field, as the first
correction found it; its rule wants the new value. The city takes the delivery in, judges it, opens orders and sends the
notice; all corrections come back as one reply, and the next delivery does what the replies say. Of a correction becomes

* `applied`: taken; the rule then settles the item, or the item says that the field was blanked
* `noop`: refused, the record needs none: there is no such item
* `stale`: refused, it tells of another value than the record had ("found value differs") or another right one
* `duplicate`: refused, the item is answered further up

The recount is one DuckDB query over the file that knows nothing of a ledger.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from assets import deliveries, pools, quality
from assets.corrections import advance
from assets.feedback import import_file
from assets.notices import issue
from benchmarks.whole_city import ROOT, tell
from catalog import load_catalog
from quality_checks import macros
from resources.city import City
from resources.lake import literal

DEPARTMENT, NAME, RULE = "housing", "manual_corrections", "HOU-900"
DAYS = (date(2026, 11, 2), date(2026, 11, 3))
OUTCOMES = {"taken": "applied", "unknown_item": "noop", "told_changed": "stale", "answered_above": "duplicate"}
RESOURCE = f"""
title: {{zh: 住房登记更正, en: Corrections of a housing register}}
summary: One row per job and field
code: "1/06/002/009999"
cycle: daily
mode: full
key: [job_number, field]
sharing: {{attribute: unconditional}}
opening: {{class: unconditional}}
published: 2026-11-02
columns:
  job_number:  {{title: 编号, type: text, required: true}}
  field:       {{title: 信息项, type: text, required: true}}
  value:       {{title: 现值, type: text}}
  right_value: {{title: 应为, type: text}}
rules:
  - id: {RULE}
    that: coalesce(value, '') = coalesce(right_value, '')
    column: value
    zh: 登记值应为核实后的值
    en: The value is the one that was verified
    indicator: "0401"
    severity: error
    suggest: right_value
    source: 人工核实
"""
# One row per correction in file order. What its record held: what the first correction of it found. What is right: the
# new value of the first that found that and changes something.
RECOUNT = """
    CREATE TABLE corrections AS
    WITH rows AS (
        SELECT job_number, field, coalesce(old_value, '') AS old, coalesce(new_value, '') AS new,
               row_number() OVER () AS place
        FROM read_csv({path}, all_varchar = true, header = true, parallel = false)
    ), held AS (
        SELECT *, first_value(old) OVER (PARTITION BY job_number, field ORDER BY place) AS held FROM rows
    ), wanted AS (
        SELECT *, first_value(CASE WHEN old = held AND new <> held THEN new END IGNORE NULLS) OVER (
            PARTITION BY job_number, field ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS wanted FROM held
    )
    SELECT *, CASE WHEN wanted IS NULL THEN 'noop' WHEN old <> held OR new <> wanted THEN 'stale'
                   WHEN row_number() OVER (PARTITION BY job_number, field, old, new ORDER BY place) > 1 THEN 'duplicate'
                   ELSE 'applied' END AS becomes
    FROM wanted
"""


def deliver(con: duckdb.DuckDBPyConnection, city: City, day: date, value: str) -> None:
    """One delivery with `value` as SQL over the corrections, from its file to the notice."""
    target = city.home.landing / DEPARTMENT / NAME / f"{day:%Y%m%d}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    con.execute(
        f"COPY (SELECT DISTINCT job_number, field, {value} AS value, coalesce(wanted, held) AS right_value"
        f" FROM corrections ORDER BY ALL) TO {literal(str(target))} (HEADER)"
    )
    deliveries.register(city)
    pools.load(city, DEPARTMENT, day, author="benchmark")
    quality.check_pools(city, [city.catalog.resources[f"{DEPARTMENT}.{NAME}"]], day, author="benchmark")
    advance(city, day, author="benchmark")
    issue(city, day, author="benchmark")


def replay(folder: Path, scratch: Path) -> dict[str, object]:
    """Both counts, and what the ledger says in the end; they must be equal."""
    shutil.copytree(ROOT / "catalog", scratch / "catalog")
    (scratch / "catalog" / "departments" / DEPARTMENT / f"{NAME}.yaml").write_text(RESOURCE, "utf-8")
    con = duckdb.connect()
    con.execute(RECOUNT.format(path=literal(str(folder / "manual_corrections.csv"))))
    plain = dict(con.execute("SELECT becomes, count(*) FROM corrections GROUP BY ALL").fetchall())
    [(blanked,)] = con.execute("SELECT count(*) FROM corrections WHERE becomes = 'applied' AND new = ''").fetchall()
    with City.open(scratch / "home", load_catalog(scratch / "catalog"), prelude=macros.SQL) as city:
        city.lake.apply_catalog()
        deliver(con, city, DAYS[0], "held")
        reply = scratch / "reply.csv"
        rows = con.execute("SELECT job_number || '|' || field, old, new FROM corrections ORDER BY place").fetchall()
        known = dict(city.con.execute("SELECT record_key, item_id FROM shuyuan.ledger.items").fetchall())
        with reply.open("w", encoding="utf-8", newline="") as text:
            lines = csv.writer(text)
            lines.writerow(["item_id", "record_key", "observed", "suggested", "reply"])
            lines.writerows([known.get(key, "none"), key, old, new, "corrected"] for key, old, new in rows)
        began = time.perf_counter()
        receipt = import_file(city, reply, DEPARTMENT, DAYS[1], author="benchmark")
        seconds = time.perf_counter() - began
        ours = {"applied": receipt.accepted}
        for refusal in receipt.refusals:
            ours[OUTCOMES[refusal.outcome]] = ours.get(OUTCOMES[refusal.outcome], 0) + 1
        deliver(con, city, DAYS[1], "coalesce(wanted, held)")
        states = dict(
            city.con.execute("SELECT state, count(*) FROM shuyuan.ledger.item_states GROUP BY ALL").fetchall()
        )
    result: dict[str, object] = {"corrections": len(rows), **dict(sorted(ours.items())), "import_s": round(seconds, 1)}
    result |= {f"recount_{name}": count for name, count in sorted(plain.items())}
    result |= {f"state_{name}": count for name, count in sorted(states.items())}
    settled = {"verified_as_suggested": plain["applied"] - blanked, "blanked_at_source": blanked}
    result["equal"] = ours == plain and states == {name: count for name, count in settled.items() if count}
    return result


def main() -> None:
    """Replay and print; a difference fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        result = replay(options.folder, Path(scratch))
    tell(result, as_json=options.json)
    if not result["equal"]:
        raise SystemExit(json.dumps({"not equal": result}))


if __name__ == "__main__":
    main()
