"""What an upheld objection restores: the marks of its record, and the figures that counted it as wrong.

The ledger says which objections stand; `quality.excepted` repeats it in the lake, where the libraries are built from.
How figures are counted anew is `quality_checks.revisions`.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from quality_checks.corrections import GONE, ItemState
from resources.city import City
from resources.lake import literal

PERIODS = "exceptions_periods"  # temporary table of `read_periods`

_GONE = ", ".join(literal(state) for state in sorted(GONE | {ItemState.blanked_at_source}))
# From the day the department stated the value that was upheld, to the day the item left that state.
_PERIODS = f"""
    select i.item_id, i.department, i.resource, i.rule_id, b.first, u.as_of as upheld, l.last
    from ledger.events u join ledger.items i using (serial)
    cross join lateral (
        select min(as_of) as first from ledger.events e
        where e.serial = u.serial and e.number > coalesce((
            select max(number) from ledger.events p where p.serial = u.serial and p.number < u.number
                and (p.observed is distinct from u.observed or p.state in ({_GONE}))), 0)
    ) b
    left join lateral (
        select as_of as last from ledger.events e
        where e.serial = u.serial and e.number > u.number and e.state <> 'upheld' order by number limit 1
    ) l on true
    where u.event = 'upheld'
"""


def restore_marks(city: City, *, author: str) -> int:
    """Bring `quality.excepted` to the objections that stand upheld now; returns how many findings came or went.

    The next build of a library looks at the entities of their records again.
    """
    con = city.con
    con.execute("""
        CREATE OR REPLACE TEMP TABLE exceptions_now AS
        SELECT f.finding_id, f.department, f.resource, f.record_key, f."column"
        FROM (SELECT item_id FROM shuyuan.ledger.excepted_items WHERE state = 'upheld') e
        JOIN quality.findings f ON f.finding_id = e.item_id
    """)
    changed = con.execute(
        "SELECT count(*) FROM (SELECT finding_id FROM exceptions_now) n"
        " FULL JOIN (SELECT finding_id FROM quality.excepted) e USING (finding_id)"
        " WHERE n.finding_id IS NULL OR e.finding_id IS NULL"
    ).fetchone()
    if not changed or not changed[0]:
        return 0

    def work(con: DuckDBPyConnection) -> None:
        con.execute("DELETE FROM quality.excepted WHERE finding_id NOT IN (SELECT finding_id FROM exceptions_now)")
        con.execute(
            "INSERT INTO quality.excepted BY NAME"
            " FROM exceptions_now WHERE finding_id NOT IN (SELECT finding_id FROM quality.excepted)"
        )

    city.commit("city", work, author=author, message="objections that stand upheld")
    return int(changed[0])


def read_periods(con: DuckDBPyConnection) -> None:
    """`exceptions_periods`: one row per objection ever upheld, with the days on which its value was excepted."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE {PERIODS} AS FROM postgres_query('shuyuan', {literal(_PERIODS)})")
