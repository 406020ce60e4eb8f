"""`shuyuan verify`: what is damaged, and its rebuilding from the archived deliveries and the ledger.

Finding damage is `resources.verify`; here the emptied tables are filled again by their own stages: pools by replaying
their deliveries, which sources share errors by measuring again where somebody had measured, everything that follows
from them by making the last pass once more (over all pools when findings were lost).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from duckdb import DuckDBPyConnection

from assets import independence, passes, pools
from assets.graph_pools import pool_key
from catalog import load_catalog
from pipelines.city_run import make_pass
from pipelines.failures import RunFailedError
from pipelines.installation import RUN_LOCK, open_city
from pipelines.instance import open_instance
from pipelines.settings import Settings
from pipelines.watcher import Watcher
from resources import ledger, verify
from resources.city import City

AUTHOR = "verify"
# What nothing can bring back of tables that keep more than the pools and the ledger tell.
LOST = {
    "base._builds": "what was believed before the last pass is refused when asked for, of every library",
    "base._copying": "sources were measured anew as the pools stand; earlier measurements are lost",
    "base._links": "an entity without a number may be known by another of its records now, under another id",
}


def verify_city(settings: Settings, *, repair: bool, deep: bool) -> tuple[list[verify.Damage], list[str]]:
    """Every damage found, and the tables that were rebuilt when `repair` is set.

    Raises:
        RunFailedError: the pass that fills the city's tables again failed.
    """
    with open_city(settings, load_catalog(settings.catalog)) as city, city.server.lock(RUN_LOCK):
        damages = verify.verify(city, deep=deep, ledger=_broken_links)
        if not repair or not damages:
            return damages, []
        repaired = verify.repair(city, damages, author=AUTHOR)
        _refill(settings, city, repaired.emptied)
        return damages, list(repaired.emptied)


def told(table: str) -> str:
    """What was rebuilt, and what of it nothing can bring back."""
    schema, _, name = table.partition(".")
    lost = LOST.get(table, "")
    if schema in ("base", "history") and not name.startswith("_"):
        lost = f"what was believed of {name} before the last pass is lost, and refused when asked for"
    return f"rebuilt: {table}; {lost}" if lost else f"rebuilt: {table}"


def _broken_links(city: City) -> Iterator[str]:
    for link in ledger.verify_chain(city.con):
        yield f"{link.department} batch {link.batch}: {link.reason}"


def _refill(settings: Settings, city: City, emptied: tuple[str, ...]) -> None:
    for name in sorted(emptied):
        department, _, table = name.partition(".")
        for resource in city.catalog.resources.values():
            if resource.department == department and table in (resource.name, *pools.BESIDE):
                pools.rebuild(city, resource, author=AUTHOR, whole=table in pools.BESIDE)
    day = passes.last_finished(city)
    if not emptied or day is None:
        return
    if "base._copying" in emptied:
        independence.measure_again(city, day, author=AUTHOR)
    lost_findings = any(name.startswith("quality.") for name in emptied)
    again = [pool_key(resource) for resource in city.catalog.resources.values()] if lost_findings else []
    with open_instance(settings) as instance:
        _, failures = make_pass(city, day, again, Watcher(), instance)
    if failures:
        raise RunFailedError("\n".join(failures))
    if "quality.findings" in emptied:
        city.commit(
            "city", lambda con: _history_of_findings(con, day), author=AUTHOR, message="findings from the ledger"
        )


def _history_of_findings(con: DuckDBPyConnection, day: date) -> None:
    """Findings rebuilt on `day` get their first day back, closed ones come back, both from the ledger."""
    con.execute(
        """
        UPDATE quality.findings f SET first_seen = i.opened_on
        FROM shuyuan.ledger.items i WHERE i.item_id = f.finding_id AND i.opened_on < f.first_seen
        """
    )
    con.execute(
        """
        INSERT INTO quality.findings BY NAME
        SELECT s.item_id AS finding_id, s.rule_id, o.standard, o.dimension, o.indicator, s.severity, s.department,
               s.resource, s.record_key, s.column_name AS "column", s.observed AS observed_value,
               s.suggested AS suggested_value, s.suggestion_method, s.suggestion_confidence, s.reason,
               s.delivery_id, s.opened_on AS first_seen,
               s.since AS last_seen, 'resolved' AS status, s.since AS closed_on
        FROM shuyuan.ledger.item_states s JOIN shuyuan.ledger.orders o USING (order_id)
        ANTI JOIN quality.findings f ON f.finding_id = s.item_id
        WHERE s.closed AND s.since <= $day
        """,
        {"day": day},
    )
