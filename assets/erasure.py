"""Taking a person's values out of the ledger where the law asks for it (PIPL art. 47), with the chain left whole.

Only the owner of the tables can, never the pipeline's role. Of the record's rows the salted digests stay, their salts
go with the values, and each item gets an event that says who did it and on what legal basis.
"""

from __future__ import annotations

from datetime import date

from assets.corrections import tell
from quality_checks.corrections import ItemEvent
from resources import ledger, ledger_states
from resources.city import City
from resources.lake import quoted


class ErasureRefusedError(Exception):
    """Nothing was erased; the message says why and what to do first."""


def erase(city: City, item_id: str, basis: str, *, actor: str, as_of: date) -> int:
    """Erase the key and all values of the item's record from every item of it; returns the number of items.

    `basis` is kept in the ledger and must name no person. A second call finds nothing and changes nothing; one that
    was killed is simply made again.

    Raises:
        ErasureRefusedError: no basis, no such item, or the pool still holds the record.
    """
    if not basis.strip():
        raise ErasureRefusedError("basis: must say on what legal basis the values are erased")
    with city.server.lock(ledger.LOCK):
        items = _of_the_record(city, item_id)
        if not items:
            return 0
        city.con.execute(
            """
            CREATE OR REPLACE TEMP TABLE erasure_news AS
            SELECT unnest($items) AS item_id, $event AS event, $basis AS reason, NULL::VARCHAR AS evidence,
                   NULL::DATE AS by_date
            """,
            {"items": items, "event": str(ItemEvent.erased), "basis": basis.strip()},
        )
        tell(city, "erasure_news", kind="erasure", as_of=as_of, actor=actor, author=actor)
        ledger.erase(city.con, city.server, items)
        ledger_states.checkpoint(city.home).unlink(missing_ok=True)
    return len(items)


def _of_the_record(city: City, item_id: str) -> list[str]:
    """Items with the same record as this one; none when its values were erased before."""
    with city.server.session() as cursor:
        cursor.execute("select department, resource, record_key from ledger.items where item_id = %s", (item_id,))
        known = cursor.fetchone()
        if known is None:
            raise ErasureRefusedError(f"item {item_id}: the ledger holds none of that id")
        department, resource, record_key = known
        if record_key is None:
            return []
        if f"{department}.{resource}" in city.catalog.resources:
            _refuse_while_delivered(city, department, resource, record_key)
        cursor.execute(
            "select item_id from ledger.items where department = %s and resource = %s and record_key = %s"
            " order by item_id",
            known,
        )
        return [row[0] for row in cursor.fetchall()]


def _refuse_while_delivered(city: City, department: str, resource: str, record_key: str) -> None:
    there = city.con.execute(
        f"SELECT 1 FROM {quoted(department)}.{quoted(resource)} WHERE replace(_record_key, chr(0), '␀') = ? LIMIT 1",
        [record_key],
    ).fetchone()
    if there:
        raise ErasureRefusedError(
            f"the pool {department}.{resource} still holds the record, and the ledger would learn its values anew:"
            " the department must take it out of its next delivery first"
        )
