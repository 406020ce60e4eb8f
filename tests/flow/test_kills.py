"""Killed anywhere and run again, a city ends in the state of an undisturbed run; and so it does after damage.

The small city's second day is killed whenever tests run, the fourth of the whole one (corrections, relapses, replies to
orders) in the soak.
"""

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from conftest import SMALL_CATALOGUE
from files import copied
from source_servers import until

from flow.conftest import FOUR_DAYS
from flow.helpers import CATALOGUE, command, contents, environment, opened, rows, shuyuan
from resources.verify import verify

pytestmark = pytest.mark.flow


def kill_during_a_run(home, kind: str, moment: Callable[[], object], **settings: str) -> None:
    """Start a run and, when the moment has come, SIGKILL it or the PostgreSQL server under it."""
    process = subprocess.Popen(
        command("run"), env=environment(home, **settings), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    moment()
    if kind == "run":
        process.kill()
    else:
        while not (servers := postgres_of(home)) and process.poll() is None:
            time.sleep(0.1)  # the run is slower to start than usual
        assert servers, "no server to kill"
        for server in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode != 0, "the kill came too late"


def postgres_of(home) -> list[int]:
    """The server processes of this home, the postmaster first."""
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    if not pid_file.exists():
        return []
    postmaster = int(pid_file.read_text().split()[0])
    if not psutil.pid_exists(postmaster):
        return []
    return [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]


def run_again(home, **settings: str) -> None:
    """A run that must start within 10 s, whatever was killed before it."""
    began = time.monotonic()
    again = subprocess.Popen(
        command("run"), env=environment(home, **settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        first_word = again.stderr.readline().decode()
        waited = time.monotonic() - began
        _, errors = again.communicate(timeout=600)
    finally:
        again.kill()
    assert again.returncode == 0, first_word + errors.decode()[-3000:]
    assert waited < 10, "the next run must start within 10 s"


SMALL = {"SHUYUAN_CATALOG": str(SMALL_CATALOGUE)}
HEADERS = {
    "public_security/resident_registration": "id_number,name,sex,birth_date,marital_status,household_size",
    "civil_affairs/marriage_registration": "id_number,name,marital_status,registered_on",
    "market_regulation/enterprise_registration": "uscc,name,legal_person_id,registered_capital,established_on",
}
NUMBERS = [f"3415021980{1 + n % 9:02}{1 + n:02}0011" for n in range(28)]  # no check digit is right: nor need it be


def deliver(home, day: str, residents: list[str], marriages: list[str], enterprises: list[str]) -> None:
    for (place, header), lines in zip(HEADERS.items(), (residents, marriages, enterprises), strict=True):
        file = home / "landing" / place / f"{day}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([header, *lines, ""]))
        file.with_name(f"{file.name}.manifest.json").write_text("{}")


def first_day(home) -> None:
    """Wrong birth dates, names and states that differ, a record too short, a person of too many enterprises."""
    born = [f"1980-{n[10:12]}-{n[12:14]}" for n in NUMBERS]
    residents = [
        f"{number},第{n}人,{1 + n % 2},{'1999-01-01' if n % 4 == 0 else born[n]},{10 * (1 + n % 2)},3"
        for n, number in enumerate(NUMBERS)
    ]
    marriages = [f"{number},第{n - n % 5}人,20,2026-10-01" for n, number in enumerate(NUMBERS[5:20], 5)]
    enterprises = [f"9134150{n}MA2N000000,企业{n},{NUMBERS[0]},5,2020-01-05" for n in range(7)]
    deliver(home, "20261102", residents, [*marriages, "1,2"], enterprises)


def second_day(home) -> None:
    """Half of the birth dates corrected, a person gone, a newcomer, an objection to what remains."""
    pool = home / "archive" / "public_security"
    [first] = [file for file in pool.rglob("*20261102*") if not file.name.endswith(".json")]
    residents = first.read_text().splitlines()[1:]
    for n in range(0, 28, 8):
        residents[n] = residents[n].replace("1999-01-01", f"1980-{NUMBERS[n][10:12]}-{NUMBERS[n][12:14]}")
    residents[3:4] = ["341502199003071235,新人,1,1990-03-07,20,1"]
    deliver(
        home,
        "20261103",
        residents,
        [f"{NUMBERS[0]},第0人,40,2026-11-03"],
        [f"9134150{7}MA2N000000,企业7,,5,2020-01-05"],
    )
    [notice] = (home / "outbox" / "public_security").rglob("notice.csv")
    items = [row["item_id 工单项编号"] for row in csv.DictReader(notice.open(encoding="utf-8-sig"))]
    replies = home / "landing" / "public_security" / "feedback" / "20261103.csv"
    replies.parent.mkdir(parents=True)
    replies.write_text(
        "\n".join(["item_id,reply,explanation", *(f"{item},objection,户籍底册如此" for item in items[-3:]), ""])
    )


@pytest.fixture(scope="module")
def small_days(tmp_path_factory):
    """The small city before its second day; after it, undisturbed; and what it holds then."""
    before = tmp_path_factory.mktemp("before") / "home"
    first_day(before)
    shuyuan(before, "run", **SMALL)
    second_day(before)
    after = copied(before, tmp_path_factory.mktemp("after") / "home")
    shuyuan(after, "run", **SMALL)
    with opened(after, SMALL_CATALOGUE) as city:
        states = rows(city, "SELECT DISTINCT state FROM shuyuan.ledger.item_states ORDER BY 1")
        assert {"verified_as_suggested", "objection_raised"} <= {state for (state,) in states}
        return before, after, contents(city)


def appeared(pattern: str, home, delay: float) -> None:
    """Wait for a trace of a stage in the home, and a moment longer."""
    until(lambda: any(home.glob(pattern)), pattern, 120)
    time.sleep(delay)


def test_a_run_killed_between_stages_and_its_server_killed_in_the_next_ends_in_the_same_state(small_days, tmp_path):
    """In the checks of the pools, after the thematic tables, and in the ledger; a little later each."""
    before, _, expected = small_days
    home = copied(before, tmp_path / "home")
    chance = random.Random(1)
    for kind, trace in (
        ("run", "validations/2026-11-03/*.json"),
        ("postgres", "validations/2026-11-03/thematic.*.json"),
        ("run", "outbox/public_security/2026-11-03/*receipt-*"),
    ):
        kill_during_a_run(home, kind, partial(appeared, trace, home, chance.uniform(0, 0.2)), **SMALL)
    run_again(home, **SMALL)
    with opened(home, SMALL_CATALOGUE) as city:
        assert contents(city) == expected
        assert verify(city) == []


SAID = (  # what a repaired library and its findings say, whatever the day
    (
        "SELECT count(*), bit_xor(hash(said)) FROM (SELECT COLUMNS(lambda c: c NOT LIKE '%\\_as\\_of' ESCAPE '\\'"
        " AND c <> '_believed_from') FROM base.population) said"
    ),
    (
        "SELECT count(*), bit_xor(hash(said)) FROM"
        " (SELECT * EXCLUDE (delivery_id, last_seen, reason) FROM quality.findings) said"
    ),
)


def lost_and_damaged_files_come_back(home, department: str, catalog=CATALOGUE, **settings: str) -> None:
    """A file of a pool is removed, one of a library cut: both are named, and their tables rebuilt from the archive."""
    with opened(home, catalog) as city:
        before, values = contents(city), [rows(city, said) for said in SAID]
        pool = sorted(city.lake.files(department))
        library = sorted(name for name in city.lake.files("city") if "population" in name)
    lost, cut = (next((home / "lake").rglob(Path(name).name)) for name in (pool[-1], library[0]))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    named = shuyuan(home, "verify", check=False, **settings)
    assert named.returncode == 1
    assert "missing_file" in named.stdout
    assert "damaged_file" in named.stdout
    repaired = shuyuan(home, "verify", "--repair", **settings)
    assert "rebuilt" in repaired.stderr
    sound = json.loads(shuyuan(home, "verify", "--json", **settings).stdout)
    assert {damage["kind"] for damage in sound["damages"]} <= {"missing_history"}
    with opened(home, catalog) as city:
        after = contents(city)
        # Since when it was believed is lost with the library's file, and a rebuild looks at every comparison anew.
        times = {"base.population", "quality.findings"}
        assert {table for table in before if after[table] != before[table]} <= times
        assert [rows(city, said) for said in SAID] == values


def test_a_lost_and_a_damaged_lake_file_are_named_and_rebuilt_from_the_archive(small_days):
    lost_and_damaged_files_come_back(small_days[1], "civil_affairs", SMALL_CATALOGUE, **SMALL)


@pytest.mark.soak
def test_lost_and_damaged_files_of_a_whole_city_are_named_and_rebuilt(four_days, tmp_path):
    lost_and_damaged_files_come_back(copied(four_days[0], tmp_path / "home"), "education")


@pytest.fixture(scope="session")
def fourth_day(tmp_path_factory):
    """The city of four days before its fourth, what it is after it, and how many seconds that took."""
    home = tmp_path_factory.mktemp("three_days") / "home"
    shuyuan(home, "demo", *FOUR_DAYS.split())
    shuyuan(home, "run", "--as-of", "2026-11-04")
    undisturbed = copied(home, tmp_path_factory.mktemp("undisturbed") / "home")
    began = time.monotonic()
    shuyuan(undisturbed, "run")
    took = time.monotonic() - began
    with opened(undisturbed) as city:
        return home, contents(city), took


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kinds", "seed"),
    [(("run", "postgres"), 1), *(((kind,), seed) for seed in range(100, 120) for kind in ("run", "postgres"))],
)
def test_twenty_kills_of_each_kind_end_in_the_same_state(fourth_day, tmp_path, kinds, seed):
    before, expected, took = fourth_day
    home = copied(before, tmp_path / "home")
    chance = random.Random(seed)
    for kind in kinds:
        kill_during_a_run(home, kind, partial(time.sleep, chance.uniform(0.1, 0.9 / len(kinds)) * took))
    run_again(home)
    with opened(home) as city:
        assert contents(city) == expected
        assert verify(city) == []
