"""One step of the correction loop in a process of its own, for a test that kills it.

    python tests/loop_step.py HOME STEP

Says `ready` when the city is open and the step begins, and `done` after each of its acts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from correction_loop import DAYS

from assets import disputes, order_book, order_rulings, requests
from assets.corrections import advance
from assets.disputes import Word
from assets.feedback import take
from assets.notices import issue
from assets.order_book import Act
from assets.order_rulings import Ruling
from catalog.load import load_catalog
from quality_checks import macros
from resources.city import City

ORDER = "20261102-0001"
PARTY, BUREAU = "public_security", "city"
Step = Callable[[City], Any]


def ruled(what: Callable[..., Any], day: date, *more: Any) -> Step:
    """What the bureau rules on the order."""
    return lambda city: what(city, Ruling("officer", "因故", day, (ORDER,)), *more)


def done(what: Callable[..., Any], day: date, *more: Any) -> Step:
    """What a person does to the order."""
    return lambda city: what(city, Act(ORDER, "officer", "因故", day), *more)


def opened(place: int) -> Step:
    """A dispute about one of the objections, by the number of its item."""

    def act(city: City) -> Any:
        with city.server.session() as cursor:
            cursor.execute("select distinct item_id from ledger.events where event = 'objection_raised' order by 1")
            return disputes.open_dispute(city, cursor.fetchall()[place][0], Word(PARTY, "底册如此", "张", DAYS[1]))

    return act


def said(what: Callable[..., Any], number: int, *more: Any, party: str = PARTY) -> Step:
    """What a party says in a dispute, or the bureau enters."""
    dispute = f"D20261103-{number:04d}"
    return lambda city: what(city, dispute, *more, Word(party, "见原件", "李", DAYS[1], "档案"))


# What is asked for one act after the other: whoever was killed begins with the one that did not end.
STEPS: dict[str, list[Step]] = {
    "notices": [lambda city: issue(city, DAYS[0], author="test")],
    "replies": [lambda city: take(city, DAYS[0], author="test")],
    "reverification": [lambda city: advance(city, DAYS[1], author="test")],
    "requests": [lambda city: requests.take(city, DAYS[0], author="test")],
    "withdrawn requests": [
        lambda city: requests.withdraw(
            city, "R20261102-0001", "看错了", department="civil_affairs", actor="李", as_of=DAYS[1]
        )
    ],
    "disputes": [
        *(opened(place) for place in range(3)),
        said(disputes.state, 1),
        said(disputes.escalate, 1),
        said(disputes.decide, 1, "upheld", party=BUREAU),
        said(disputes.escalate, 2),
        said(disputes.decide, 2, "rejected", party=BUREAU),
        said(disputes.withdraw, 3),
    ],
    "rulings": [
        ruled(order_rulings.hold, DAYS[0]),
        ruled(order_rulings.release, DAYS[1]),
        done(order_book.extend, DAYS[1], 3),
        done(order_book.escalate, DAYS[1]),
        ruled(order_rulings.accept, DAYS[2], DAYS[9]),
        ruled(order_rulings.enforce, DAYS[3]),
        done(order_book.withdraw, DAYS[3]),
    ],
}


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(home: str, step: str) -> None:
    catalog = load_catalog(Path(__file__).parent / "small_catalogue")
    with City.open(Path(home), catalog, prelude=macros.SQL, threads=1) as city:
        say("ready")
        for act in STEPS[step]:
            act(city)
            say("done")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
