"""One step of the correction loop in a process of its own, for a test that kills it.

    python tests/loop_step.py HOME STEP

Says `ready` when the city is open and the step begins.
"""

from __future__ import annotations

import sys
from pathlib import Path

from correction_loop import DAYS

from assets.corrections import advance
from assets.feedback import take
from assets.notices import issue
from catalog.load import load_catalog
from quality_checks import macros
from resources.city import City

STEPS = {
    "notices": lambda city: issue(city, DAYS[0], author="test"),
    "replies": lambda city: take(city, DAYS[0], author="test"),
    "reverification": lambda city: advance(city, DAYS[1], author="test"),
}


def main(home: str, step: str) -> None:
    catalog = load_catalog(Path(__file__).parent / "small_catalogue")
    with City.open(Path(home), catalog, prelude=macros.SQL, threads=1) as city:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        STEPS[step](city)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
