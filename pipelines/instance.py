"""The Dagster instance of one installation: its storage in our PostgreSQL, its home under ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus

from resources.city import City

CONFIG = Path(__file__).resolve().parents[1] / "dagster.yaml"
DRIVER = {"shuyuan/driver": "cli"}
ALIVE = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def prepare_home(city: City) -> dict[str, str]:
    """Put dagster.yaml into the home; returns the variables Dagster's own processes need."""
    folder = city.home.root / "dagster"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(CONFIG, folder / "dagster.yaml")
    return {
        "DAGSTER_HOME": str(folder),
        "SHUYUAN_DAGSTER_URL": city.server.url("pipeline", "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@contextmanager
def open_instance(city: City) -> Iterator[DagsterInstance]:
    """The instance for runs of this process."""
    variables = prepare_home(city)
    os.environ.update(variables)  # noqa: TID251  # dagster.yaml names the URL by variable: a secret stays out of files
    with DagsterInstance.from_config(variables["DAGSTER_HOME"]) as instance:
        yield instance


def sweep(instance: DagsterInstance) -> int:
    """Mark runs of `shuyuan run` that were killed as failed; the caller holds the run lock, so none is alive.

    Without it a run killed by SIGKILL stays STARTED for ever and keeps its slots.
    """
    dead = instance.get_runs(dg.RunsFilter(statuses=ALIVE, tags=DRIVER))
    for run in dead:
        instance.report_run_failed(run, "the process of this run ended without a word; swept by the next run")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(dead)
