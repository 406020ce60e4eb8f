"""Increments through the stages of real days: files delivered, late and again, entities merged and split by people.

Whatever happens, the increment of each day is what a full build would come to, every past belief stays as it was
recorded, and it does not matter which department's files came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_increment import ANNA, BO, FIRST, MARRIAGES, RESIDENTS, SHORT_ANNA, Marked, World, marked
from test_pools import deliver

from assets import delivery_book, identity, identity_cases, increment, pools
from resources import believed
from resources.city import City

CEN = "341502199203033353"
PEOPLE = st.sampled_from([ANNA, BO, CEN, SHORT_ANNA, f"{BO} "])
HEADERS = {
    RESIDENTS: "id_number,name,sex,birth_date,marital_status,household_size",
    MARRIAGES: "id_number,name,marital_status,registered_on",
}
DEPARTMENTS = ("public_security", "civil_affairs")


@dataclass(frozen=True)
class Stated:
    """A file with one line per person; its as-of date is so many days before the day on which it comes."""

    resource: str
    mode: str
    late: int
    lines: dict[str, str]


@dataclass(frozen=True)
class Again:
    """A delivery of before, the n-th, is delivered once more, taken back, or its file read again."""

    number: int
    how: str


@dataclass(frozen=True)
class Merged:
    """A person says that two are one."""

    survivor: str
    other: str


@dataclass(frozen=True)
class Split:
    """A person says that this one is somebody else after all."""

    key: str


@dataclass
class Days:
    """What was recorded in the course of some days: what was believed at the end of each, and who was told of what."""

    believed: dict[date, list[tuple[object, ...]]] = field(default_factory=dict)
    told: list[list[tuple[object, ...]]] = field(default_factory=list)


names, states = st.sampled_from(["张三", "李四", ""]), st.sampled_from(["10", "20", ""])
lines = {
    RESIDENTS: st.tuples(names, st.sampled_from("12"), st.sampled_from(["1980-01-01", "1990-02-02"]), states).map(
        lambda drawn: ",".join([*drawn, ""])
    ),
    MARRIAGES: st.tuples(names, states).map(lambda drawn: ",".join([*drawn, "2020-01-01"])),
}
stated = st.sampled_from([RESIDENTS, MARRIAGES]).flatmap(
    lambda resource: st.builds(
        Stated,
        st.just(resource),
        st.sampled_from(["full", "incremental", "incremental"]),
        st.integers(0, 2),
        st.dictionaries(PEOPLE, lines[resource], min_size=1, max_size=4),
    )
)
whom = st.sampled_from([ANNA, BO, CEN])
happenings = st.one_of(
    stated,
    stated,
    st.builds(Again, st.integers(0, 9), st.sampled_from(["delivered", "taken back", "read"])),
    st.permutations([ANNA, BO, CEN]).map(lambda drawn: Merged(*drawn[:2])),
    st.builds(Split, whom),
    marked,
)
campaigns = st.lists(
    st.tuples(st.booleans(), st.lists(happenings, min_size=1, max_size=4)), min_size=2, max_size=4
)  # fmt: skip


class Stages:
    """A world in which what happens takes the way through landing, pools and links."""

    def __init__(self, world: World) -> None:
        self.world, self.city = world, world.city
        self.sent: list[tuple[Stated, date]] = []

    def empty(self) -> None:
        self.world.empty()
        self.sent.clear()
        for department in DEPARTMENTS:
            wipe = "; ".join(f"DELETE FROM {department}.{table}" for table in ("_quarantine", "_removed"))
            self.city.commit(department, lambda con, wipe=wipe: con.execute(wipe), author="test")  # type: ignore[misc]
        with self.city.server.session("owner") as cursor:
            for table in ("rebuilds", "delivery_actions", "deliveries", "profiles", "identity_decisions"):
                cursor.execute(f"delete from ops.{table}")

    def live(self, days: Sequence[tuple[bool, Sequence[Any]]], order: Sequence[str], *, check: bool) -> Days:
        """Let the days pass from nothing, the departments' files coming in that order; `check`: against full builds."""
        self.empty()
        day, lived = FIRST, Days()
        self._build(day, lived, check=check)
        for next_day, happened in days:
            day += timedelta(next_day)
            for department in order:
                for what in happened:
                    self._state(what, department, day)
                pools.load(self.city, department, day, author="test")
            for what in happened:
                self._decide(what)
            self._build(day, lived, check=check)
        return lived

    def _state(self, what: Any, department: str, day: date) -> None:
        """What of it concerns the department's deliveries."""
        if isinstance(what, Stated) and what.resource.startswith(department):
            self._send(what, day - timedelta(what.late))
        if isinstance(what, Again):
            mine = [(one, as_of) for one, as_of in self.sent if one.resource.startswith(department)]
            if mine and what.how == "delivered":
                self._send(*mine[what.number % len(mine)])
            elif mine:
                self._take_again(department, what)

    def _send(self, one: Stated, as_of: date) -> None:
        content = "\n".join([HEADERS[one.resource], *(f"{person},{line}" for person, line in one.lines.items()), ""])
        self.sent.append((one, as_of))
        place, name = one.resource.replace(".", "/"), f"{len(self.sent)}.csv"
        deliver(self.city, place, content, as_of=f"{as_of}", mode=one.mode, name=name)

    def _take_again(self, department: str, what: Again) -> None:
        with self.city.server.session() as cursor:
            cursor.execute(
                "select delivery_id from ops.deliveries where department = %s and state = 'pooled'"
                " order by as_of, registered_at",
                (department,),
            )
            pooled = [row[0] for row in cursor.fetchall()]
        if pooled:
            chosen = pooled[what.number % len(pooled)]
            if what.how == "read":
                delivery_book.replay(self.city, chosen, actor="test")
            else:
                delivery_book.reject(self.city, chosen, "by hand", actor="test")

    def _decide(self, what: Any) -> None:
        library, told = self.world.library, {"by": "test", "reason": "seen"}
        try:
            match what:
                case Merged(survivor, other):
                    identity_cases.merge(self.city, library, survivor, other, **told)
                case Split(key):
                    identity_cases.split(self.city, library, key, **told)
                case Marked():
                    self.world.happen(what, FIRST)
        except identity_cases.CaseError:
            pass  # nothing was decided: an entity that is not there, or is one with the other already

    def _build(self, day: date, lived: Days, *, check: bool) -> None:
        identity.resolve(self.city, self.world.library, day, author="test")
        built = self.world.build(day)
        assert built.told == "full: first build" or built.told.startswith("increment"), built.told
        lived.believed[day], told = self.world.rows("base.population"), self.world.told()
        lived.told.append([tuple(row) for row in told])
        if check:
            again = self.world.build(day, full=True)
            assert again.changed == 0
            assert (self.world.rows("base.population"), self.world.told()) == (lived.believed[day], told)
            assert [(r.rule_id, r.resource, r.applicable, r.failed) for r in built.results] == [
                (r.rule_id, r.resource, r.applicable, r.failed) for r in again.results
            ]


@pytest.fixture
def stages(small_city: City, monkeypatch: pytest.MonkeyPatch) -> Stages:
    monkeypatch.setattr(increment, "SHARE", 10.0)  # a handful of persons: any change touches a third
    believed.define(small_city.con, small_city.catalog)
    return Stages(World(small_city))


def all_days_hold(stages: Stages, days: Sequence[tuple[bool, Sequence[Any]]]) -> None:
    """Increments, beliefs and the order of the departments."""
    lived = stages.live(days, DEPARTMENTS, check=True)
    for day, rows in lived.believed.items():
        believed_then = f"(SELECT * EXCLUDE (_believed_to) FROM as_believed.population('{day}'))"
        assert stages.world.rows(believed_then) == rows
    other = stages.live(days, DEPARTMENTS[::-1], check=False)
    assert (other.believed, other.told) == (lived.believed, lived.told)


SETTINGS: dict[str, Any] = {  # shrinking would replay days for minutes
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],
    "print_blob": True,
}


def test_corrections_merges_splits_late_and_replayed_deliveries_are_as_full_builds_whatever_the_order(
    stages: Stages,
) -> None:
    anna, bo = "张三,1,1980-01-01,10,", "李四,1,1990-02-02,10,"
    corrected, married = "李四,1,1980-01-01,20,", "李四,20,2020-01-01"
    blocked = Marked(((RESIDENTS, ANNA, "name", "block"),), 0)
    first = Stated(RESIDENTS, "full", 0, {ANNA: anna, BO: bo}), Stated(MARRIAGES, "full", 0, {SHORT_ANNA: married})
    days: list[tuple[bool, list[Any]]] = [
        (True, [*first]),
        (True, [Stated(RESIDENTS, "incremental", 0, {ANNA: corrected}), Merged(ANNA, BO)]),
        (
            False,
            [Stated(MARRIAGES, "incremental", 2, {CEN: married}), Again(0, "delivered"), Again(0, "read"), blocked],
        ),
        (True, [Split(BO), Again(1, "taken back"), replace(blocked, excepted=1)]),
    ]
    all_days_hold(stages, days)
    with stages.city.server.session() as cursor:
        cursor.execute("select action from ops.identity_decisions order by 1")
        assert cursor.fetchall() == [("merge",), ("split",)]


@pytest.mark.soak
@settings(max_examples=200, **SETTINGS)
@given(days=campaigns)
def test_two_hundred_campaigns_are_as_full_builds_whatever_the_order(
    stages: Stages, days: list[tuple[bool, list[Any]]]
) -> None:
    all_days_hold(stages, days)
