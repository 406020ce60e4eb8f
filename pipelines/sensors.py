"""What starts a run by itself: a delivery that is complete in a department's landing folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def waiting(landing: Path, department: str) -> dict[str, list[str]]:
    """Complete files of one department by resource, each as name, size and time: what a run would find new.

    A file counts once its manifest is there; others are taken by the daily run, which can wait and look twice.
    """
    found: dict[str, list[str]] = {}
    for manifest in sorted((landing / department).glob("*/*.manifest.json")):
        stem = manifest.name.removesuffix(".manifest.json")
        data = [p for p in manifest.parent.glob(f"{stem}.*") if p != manifest and not p.name.endswith(".part")]
        found.setdefault(manifest.parent.name, []).extend(
            f"{p.name}:{stat.st_size}:{stat.st_mtime_ns}" for p in sorted(data) for stat in [p.stat()]
        )
    return {resource: files for resource, files in found.items() if files}


def landing_sensor(landing: Path, jobs: Mapping[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """One run of its department's job for new complete deliveries; the same files never start two runs."""

    @dg.sensor(
        name="landing",
        minimum_interval_seconds=15,
        jobs=list(jobs.values()),
        description="starts a department's job when its landing folder holds a complete new delivery",
    )
    def sense() -> Iterator[dg.RunRequest | dg.SkipReason]:
        started = False
        for department, job in jobs.items():
            files = waiting(landing, department)
            if not files:
                continue
            digest = hashlib.sha256("\n".join(f for names in files.values() for f in names).encode()).hexdigest()
            started = True
            yield dg.RunRequest(
                run_key=f"{department}:{digest}",
                job_name=job.name,
                tags={"shuyuan/department": department, "shuyuan/files": str(sum(map(len, files.values())))},
            )
        if not started:
            yield dg.SkipReason("no complete delivery is waiting in landing")

    return sense
