"""The Dagster instance of one installation: its storage in our PostgreSQL, its home under ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from dagster import DagsterInstance, DagsterRunStatus

from pipelines.settings import Settings

CONFIG = Path(__file__).resolve().parents[1] / "dagster.yaml"
DRIVER = {"shuyuan/driver": "cli"}
ALIVE = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def prepare_home(settings: Settings) -> Path:
    """Write dagster.yaml for this home into it; returns the folder, Dagster's DAGSTER_HOME."""
    folder = settings.home / "dagster"
    folder.mkdir(mode=0o700, exist_ok=True)
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    for storage in ("run_storage", "event_log_storage", "schedule_storage"):
        reached: dict[str, object] = {"home": str(settings.home)}
        if settings.postgres_url:
            reached["postgres_url"] = {"env": "SHUYUAN_POSTGRES_URL"}  # a secret stays out of files
        config[storage]["config"] = reached
    partial = folder / "dagster.yaml.part"
    partial.write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    partial.replace(folder / "dagster.yaml")
    return folder


@contextmanager
def open_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance for runs of this process."""
    with DagsterInstance.from_config(str(prepare_home(settings))) as instance:
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
