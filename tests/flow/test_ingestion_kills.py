"""Forty deliveries taken in by a process that is killed at any moment: afterwards pools and register are as without."""

import json
import random
import signal
import subprocess
import sys
import time
from datetime import date, timedelta

import pytest
from conftest import THREADS

from catalog.load import load_catalog
from flow.helpers import ROOT, environment, rows
from resources.city import City
from resources.verify import verify

pytestmark = pytest.mark.flow
CATALOGUE = ROOT / "tests" / "small_catalogue"
LAST = date(2026, 11, 30)
TAKE_IN = f"""
import sys
from datetime import date
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from assets import deliveries, pools
from catalog.load import load_catalog
from resources.city import City
with City.open(Path(sys.argv[1]), load_catalog(Path({str(CATALOGUE)!r})), threads={THREADS}) as city:
    city.lake.apply_catalog()
    for wave in (1, 2):
        for manifest in Path(sys.argv[1]).glob(f"wave{{wave}}/*/*/*.json"):
            to = city.home.landing.joinpath(*manifest.parts[-3:])
            to.parent.mkdir(parents=True, exist_ok=True)
            file = manifest.with_name(manifest.name.removesuffix(".manifest.json"))
            if file.exists():
                to.write_text(manifest.read_text())
                file.rename(to.with_name(file.name))
            manifest.unlink()
        deliveries.register(city)
        for name in city.catalog.departments:
            pools.load(city, name, date(2026, 11, 30), author="test")
"""
COLUMNS = {
    "public_security/resident_registration": "id_number,name,sex,birth_date,marital_status,household_size",
    "civil_affairs/marriage_registration": "id_number,name,marital_status,registered_on",
    "market_regulation/enterprise_registration": "uscc,name,legal_person_id,registered_capital,established_on",
}
REGISTER = (
    "delivery_id, state, mode, as_of, rows_declared, rows_delivered, rows_pooled, rows_quarantined, rows_removed, "
    "schema_version, day_number, superseded_by, reasons::varchar"
)


def put_forty(home) -> None:
    """Full and incremental, late, repeated, refused, with repeated keys and records of another width."""
    dice = random.Random(5)
    for number in range(40):
        place, header = list(COLUMNS.items())[number % 3]
        width = header.count(",") + 1
        body = [
            ",".join([str(dice.randint(1, 200)), *(f"v{dice.randint(0, 9)}" for _ in range(width - 1))])
            for _ in range(300)
        ]
        if number % 5 == 0:
            body.append("1,2")
        day = number // 3 % 9
        folder = home / f"wave{1 + (day % 4 == 1)}" / place  # the second wave comes late
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.csv").write_text("\n".join([header, *body, ""]))
        manifest = {
            "as_of": str(date(2026, 11, 2) + timedelta(days=day)),
            "rows": len(body) + (number % 11 == 7),
        }
        if number % 4:
            manifest["mode"] = "incremental"
        (folder / f"{number}.csv.manifest.json").write_text(json.dumps(manifest))


def take_in(home) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", TAKE_IN, str(home)], env=environment(home), cwd=ROOT, stderr=subprocess.PIPE
    )


def taken(home) -> dict[str, list[tuple]]:
    """Pools, what stands beside them, and the register, without who and when."""
    with City.open(home, load_catalog(CATALOGUE), threads=THREADS) as city:
        tables = [place.replace("/", ".") for place in COLUMNS]
        tables += [f"{name}.{table}" for name in city.catalog.departments for table in ("_quarantine", "_removed")]
        found = {table: rows(city, f"from {table} order by all") for table in tables}
        found["register"] = rows(city, f"select {REGISTER} from shuyuan.ops.deliveries order by 1")
        found["profiles"] = rows(city, "from shuyuan.ops.profiles order by 1, 2")
        assert verify(city) == []
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    put_forty(home)
    began = time.monotonic()
    assert take_in(home).wait(300) == 0
    took = time.monotonic() - began
    found = taken(home)
    assert len(found["register"]) == 40
    assert {row[1] for row in found["register"]} == {"pooled", "superseded", "rejected"}
    return found, took


def killed_ends_as_undisturbed(home, undisturbed, seed: int) -> None:
    expected, took = undisturbed
    put_forty(home)
    process = take_in(home)
    time.sleep(random.Random(seed).uniform(0.2, 0.95) * took)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = take_in(home)
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors.decode()[-3000:]
    assert taken(home) == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_a_kill_during_ingestion_leaves_pools_and_register_as_without(tmp_path, undisturbed, seed):
    killed_ends_as_undisturbed(tmp_path / "home", undisturbed, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
def test_thirty_kills_during_ingestion_leave_pools_and_register_as_without(tmp_path, undisturbed, seed):
    killed_ends_as_undisturbed(tmp_path / "home", undisturbed, seed)
