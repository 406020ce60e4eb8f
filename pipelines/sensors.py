"""What starts a run by itself: a delivery that is complete in a department's landing folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.landing import look

SECONDS = 5  # between two ticks: a file is whole at its second look, so a run begins within 30 s, on a busy machine too


@dataclass
class Seen:
    """What the sensor remembers between two ticks, in its cursor.

    `files` are the states of the files it saw last, by path below landing; `asked` the digest of the files each
    department's last run was asked for; `runs` how many. The number makes a run key its own when the very same file
    comes again later: Dagster never runs the same key twice.
    """

    files: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None) -> Seen:
        return cls(**json.loads(cursor)) if cursor else cls()

    def written(self) -> str:
        return json.dumps(self.__dict__)


def landing_sensor(landing: Path, jobs: Mapping[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """One run of its department's job for new complete deliveries; the same files never start two runs while they lie
    there, and start one again when they come again.
    """

    @dg.sensor(
        name="landing",
        minimum_interval_seconds=SECONDS,
        jobs=list(jobs.values()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="starts a department's job when its landing folder holds a complete new delivery",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = Seen.read(context.cursor)
        complete, seen.files = look(landing, seen.files)
        requests = list(_requests(complete, jobs, seen))
        reason = None if requests else "no complete new delivery is in landing"
        return dg.SensorResult(requests or None, skip_reason=reason, cursor=seen.written())

    return sense


def _requests(
    complete: Mapping[str, str], jobs: Mapping[str, UnresolvedAssetJobDefinition], seen: Seen
) -> Iterator[dg.RunRequest]:
    for department, job in jobs.items():
        files = sorted(f"{path}:{state}" for path, state in complete.items() if path.startswith(f"{department}/"))
        if not files:
            seen.asked.pop(department, None)
            continue
        digest = hashlib.sha256("\n".join(files).encode()).hexdigest()
        if seen.asked.get(department) == digest:
            continue
        seen.asked[department] = digest
        seen.runs[department] = seen.runs.get(department, 0) + 1
        yield dg.RunRequest(
            run_key=f"{department}:{seen.runs[department]}:{digest}",
            job_name=job.name,
            tags={"shuyuan/department": department, "shuyuan/files": str(len(files))},
        )
