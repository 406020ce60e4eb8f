"""The landing sensor: a complete file starts its department's job within 30 seconds, a half-written one never does."""

import json
import os
import time
from pathlib import Path

import dagster as dg
import pytest

from assets.landing import FRESH
from pipelines.sensors import SECONDS, landing_sensor


class Ticks:
    """The sensor evaluated tick after tick, its cursor kept as Dagster's daemon keeps it."""

    def __init__(self, landing: Path, *departments: str) -> None:
        jobs = {name: dg.define_asset_job(f"department_{name}") for name in departments}
        self.sensor, self.cursor = landing_sensor(landing, jobs), None

    def __call__(self, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
        tick = self.sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=self.cursor))
        self.cursor = tick.cursor
        assert bool(tick.run_requests) != bool(tick.skip_message)
        return list(tick.run_requests or [])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "tax" / "arrears"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def tick(tmp_path, instance):
    ticks = Ticks(tmp_path, "civil_affairs", "tax")
    return lambda: ticks(instance)


def test_two_ticks_are_enough_for_a_complete_file_without_manifest(folder, tick):
    (folder / "today.csv").write_text("a\n1\n")
    assert tick() == []
    [request] = tick()
    assert request.job_name == "department_tax"
    assert 3 * (SECONDS + 5) <= 30  # it may arrive right after a look; the daemon's own turn takes up to 5 s


def test_a_manifest_or_an_old_time_needs_one_tick(folder, tick):
    (folder / "a.csv").write_text("a\n1\n")
    (folder / "a.csv.manifest.json").write_text(json.dumps({"rows": 1}))
    assert len(tick()) == 1
    renamed = folder / "b.csv.part"
    renamed.write_text("a\n1\n")
    os.utime(renamed, (time.time() - FRESH - 1,) * 2)
    assert tick() == []
    renamed.rename(folder / "b.csv")
    assert len(tick()) == 1


@pytest.mark.parametrize("rest", ["2,b\n", "2,b\n3,c"])
def test_a_file_being_written_starts_nothing_until_its_end_is_there(folder, tick, rest):
    with (folder / "grows.csv").open("w") as file:
        for written in ("a,b\n", "1,a", "\n", rest):
            file.write(written)
            file.flush()
            assert tick() == []
        if not rest.endswith("\n"):
            assert tick() == []  # stands still, but in the middle of a record
            file.write("\n")
            file.flush()
            assert tick() == []
    assert len(tick()) == 1


def test_a_tick_does_not_wait(folder, tick):
    (folder / "half.csv").write_text("a\n1")
    began = time.monotonic()
    tick()
    assert time.monotonic() - began < 0.5


def test_the_same_files_start_one_run_while_they_lie_there_and_another_when_they_come_again(folder, tick):
    file = folder / "today.csv"
    manifest = folder / "today.manifest.json"

    def deliver() -> None:
        file.write_text("a\n1\n")
        os.utime(file, ns=(1_700_000_000_000_000_000,) * 2)  # a sender that keeps the file's time
        manifest.write_text("{}")

    deliver()
    [first] = tick()
    assert tick() == []
    file.unlink()
    manifest.unlink()
    assert tick() == []
    deliver()
    [again] = tick()
    assert first.run_key != again.run_key


def test_a_tick_that_was_not_remembered_asks_with_the_same_key(folder, tmp_path, instance):
    (folder / "today.csv").write_text("a\n1\n")
    (folder / "today.manifest.json").write_text("{}")
    one, other = (Ticks(tmp_path, "tax")(instance) for _ in range(2))
    assert one[0].run_key == other[0].run_key


def test_a_landing_folder_that_is_not_there_yet_is_no_error(tmp_path, instance):
    assert Ticks(tmp_path / "none", "tax")(instance) == []
