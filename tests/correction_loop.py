"""A department, its feed and one rule, driven day by day without the stages before corrections: for their tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from assets.corrections import CorrectionsSummary, advance
from resources.city import City
from resources.ledger_rows import TABLES

DAYS = [date(2026, 11, day) for day in range(2, 14)]
COLUMNS = ("id_number", "name", "sex", "birth_date")
RULE = "PSB-001"
WRONG, RIGHT = date(1990, 1, 2), date(1990, 1, 1)  # RIGHT is what the rule suggests, from the number
NUMBER = "341500199001010011"


@dataclass
class Loop:
    """`deliver` writes the pool as `assets.pools` would, `check` the findings as `quality_checks.findings` would."""

    city: City
    department: str = "public_security"
    resource: str = "resident_registration"
    deliveries: int = 0

    def deliver(
        self,
        day: date,
        records: Mapping[str, date | None],
        *,
        mode: str = "full",
        name: str = "王",
        number: str | None = NUMBER,
    ) -> str:
        """One delivery of `{record key: birth date}`, all else equal; returns its id."""
        self.deliveries += 1
        delivery = f"{day:%Y%m%d}-{self.department}-{self.resource}-{self.deliveries:012x}"
        with self.city.server.session() as cursor:
            cursor.execute(
                "insert into ops.deliveries (delivery_id, department, resource, file_name, sha256, bytes, as_of, mode,"
                " state) values (%s, %s, %s, 'f.csv', %s, 1, %s, %s, 'pooled')",
                (delivery, self.department, self.resource, f"{self.deliveries:064x}", day, mode),
            )
        table = f"{self.department}.{self.resource}"

        def work(con):
            if mode == "full":
                con.execute(f"DELETE FROM {table}")
            else:
                con.execute(f"DELETE FROM {table} WHERE _record_key IN (SELECT unnest(?))", [list(records)])
            con.execute(
                f"""
                INSERT INTO {table} ({", ".join(COLUMNS)}, _record_key, _delivery_id, _row, _as_of, _copies, _hash)
                SELECT $number, $name, '1', birth, key, $delivery, 1, $day, 1, hash(key, birth, $name, $number)
                FROM (SELECT unnest($keys) AS key, unnest($births::DATE[]) AS birth)
                """,
                {
                    "keys": list(records),
                    "births": list(records.values()),
                    "delivery": delivery,
                    "day": day,
                    "name": name,
                    "number": number,
                },
            )

        self.city.commit(self.department, work, author="test", deliveries=[delivery])
        return delivery

    def check(
        self,
        day: date,
        failing: Sequence[str],
        *,
        rule: str = RULE,
        column: str = "birth_date",
        severity: str = "error",
        state: str = "ok",
        suggested: str | None = str(RIGHT),
    ) -> None:
        """Findings after the rule was evaluated on `day` and `failing` record keys violated it."""
        where = {"rule": rule, "department": self.department, "resource": self.resource, "day": day}

        def work(con):
            con.execute(
                "DELETE FROM quality.results WHERE as_of = $day AND rule_id = $rule AND department = $department"
                " AND resource = $resource",
                where,
            )
            con.execute(
                "INSERT INTO quality.results VALUES ($day, $department, $resource, $rule, 'accuracy', '0401',"
                " $severity, 10, $failed, $state, '')",
                {**where, "severity": severity, "failed": len(failing), "state": state},
            )
            if state == "error":
                return
            con.execute(
                """
                CREATE OR REPLACE TEMP TABLE seen AS
                SELECT finding_id($rule, $department, $resource, key, $column) AS id, key,
                       (SELECT CAST(birth_date AS VARCHAR) FROM public_security.resident_registration
                        WHERE _record_key = key) AS observed
                FROM (SELECT unnest($keys::VARCHAR[]) AS key)
                """,
                {
                    "rule": rule,
                    "department": self.department,
                    "resource": self.resource,
                    "column": column,
                    "keys": list(failing),
                },
            )
            con.execute(
                "UPDATE quality.findings SET status = 'resolved', closed_on = $day WHERE rule_id = $rule"
                " AND department = $department AND resource = $resource AND status = 'open'"
                " AND finding_id NOT IN (SELECT id FROM seen)",
                where,
            )
            con.execute(
                "UPDATE quality.findings f SET status = 'open', closed_on = NULL, last_seen = $day,"
                " observed_value = s.observed, severity = $severity FROM seen s WHERE f.finding_id = s.id",
                {"day": day, "severity": severity},
            )
            con.execute(
                """
                INSERT INTO quality.findings
                SELECT id, $rule, 'P03', 'accuracy', '0401', $severity, $department, $resource, key, $column, observed,
                       $suggested, 'derived', NULL, 'differs', '', $day, $day, 'open', NULL
                FROM seen WHERE id NOT IN (SELECT finding_id FROM quality.findings)
                """,
                {**where, "column": column, "severity": severity, "suggested": suggested},
            )

        self.city.commit("city", work, author="test")

    def day(
        self, day: date, records: Mapping[str, date | None], failing: Sequence[str], **how: str | None
    ) -> CorrectionsSummary:
        """A delivery, its check, and the pass."""
        self.deliver(day, records, **how)
        self.check(day, failing)
        return advance(self.city, day, author="test")

    def states(self) -> dict[str, str]:
        """State of every item by record key (and rule, when it is another one)."""
        rows = self.city.con.execute("SELECT rule_id, record_key, state FROM shuyuan.ledger.item_states").fetchall()
        return {key if rule == RULE else f"{rule} {key}": state for rule, key, state in rows}

    def figures(self) -> dict[str, int]:
        """What a department is measured by: its open, corrected and relapsed items, and its orders that are done."""
        row = self.city.con.execute(
            "SELECT count(*) FILTER (NOT closed), count(*) FILTER (state LIKE 'verified%'), sum(relapses)"
            " FROM shuyuan.ledger.item_states"
        ).fetchone()
        orders = self.city.con.execute(
            "SELECT sum(verified), sum(relapsed) FROM shuyuan.ledger.order_states"
        ).fetchone()
        return dict(zip(("open", "corrected", "relapses", "verified", "relapsed"), (*row, *orders), strict=True))

    def events(self, key: str) -> list[str]:
        """What happened to the item of one record, in order."""
        rows = self.city.con.execute(
            "SELECT e.event FROM shuyuan.ledger.events e JOIN shuyuan.ledger.items i USING (item_id)"
            " WHERE i.record_key = ? AND i.rule_id = ? ORDER BY e.number",
            [key, RULE],
        ).fetchall()
        return [event for (event,) in rows]

    def due_on(self, key: str) -> date:
        """The deadline of the item of one record."""
        ((due_on,),) = self.city.con.execute(
            "SELECT due_on FROM shuyuan.ledger.item_states WHERE record_key = ? AND rule_id = ?", [key, RULE]
        ).fetchall()
        return due_on

    def ledger(self) -> list[tuple]:
        """Everything the ledger holds."""
        rows = []
        for table in ("batches", "orders", "items", "events"):
            rows += self.city.con.execute(f"FROM shuyuan.ledger.{table} ORDER BY ALL").fetchall()
        return rows

    @contextmanager
    def undone(self) -> Iterator[Any]:
        """A cursor of the ledger's owner; whatever it changes is put back at the end."""
        tables = ("batches", *TABLES)
        with self.city.server.session("owner") as cursor:
            cursor.execute("".join(f"create temp table honest_{t} as table ledger.{t};" for t in tables))
            try:
                yield cursor
            finally:
                back = "delete from ledger.{t}; insert into ledger.{t} table honest_{t}; drop table honest_{t};"
                cursor.execute("begin;" + "".join(back.format(t=t) for t in tables) + "commit")
