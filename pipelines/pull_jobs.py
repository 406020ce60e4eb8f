"""Pulls as Dagster runs them: one job and one schedule per department that has sources."""

from collections.abc import Sequence

import dagster as dg

from assets import pulls
from assets.graph_pools import PASS
from assets.settling import settle
from catalog import Catalog, Cycle
from resources import clock
from resources.failures import PermanentError, TransientError
from resources.secrets import Vault

PREFIX = "pull_"
SHOWN = ("resource", "source", "outcome", "files", "still_written", "why")


def build_pull_jobs(catalog: Catalog, vault: Vault) -> list[dg.JobDefinition]:
    """One job per department with sources: what is due by the cycle comes into landing, where the sensor finds it."""
    return [_pull_job(department, vault) for department in _with_sources(catalog)]


def build_pull_schedules(catalog: Catalog, time_zone: str) -> list[dg.ScheduleDefinition]:
    """Each department's sources before the city's morning pass and every three hours of the day, a minute apart; all
    day long every hour or every five minutes where one of its cycles wants that.

    A source is asked until something new came in the present period of its resource's cycle: `pulls.due`.
    """
    return [
        dg.ScheduleDefinition(
            name=f"{PREFIX}{department}",
            job_name=f"{PREFIX}{department}",
            cron_schedule=_times(catalog, department, number % 60),
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for number, department in enumerate(_with_sources(catalog))
    ]


def _times(catalog: Catalog, department: str, minute: int) -> str:
    cycles = {resource.cycle for resource in catalog.of_department(department) if resource.source}
    if Cycle.real_time in cycles:
        return "*/5 * * * *"
    return f"{minute} * * * *" if Cycle.hourly in cycles else f"{minute} 5-17/3 * * *"


def _with_sources(catalog: Catalog) -> list[str]:
    return sorted({resource.department for resource in catalog.resources.values() if resource.source})


def _pull_job(department: str, vault: Vault) -> dg.JobDefinition:
    @dg.op(name=f"bring_{department}", required_resource_keys={PASS}, out=dg.Out(dg.Nothing))
    def bring(context: dg.OpExecutionContext) -> None:
        """Pull what is due; when all has been tried, a failure asks for a retry or ends the run, by its class."""
        city = getattr(context.resources, PASS).city
        due = [one for one in pulls.due(city, clock.today()) if one.department == department]
        done = pulls.pull(city, due, vault)
        context.add_output_metadata({"sources": _table_of(done)})
        failed = [one for one in done if one.failure]
        if failed:
            kind = TransientError if any(one.transient for one in failed) else PermanentError
            settle(context, kind("\n".join(one.failure for one in failed)))

    @dg.job(
        name=f"{PREFIX}{department}",
        executor_def=dg.in_process_executor,
        description=f"what is new at {department}'s own places comes into its landing folder",
    )
    def pull() -> None:
        bring()

    return pull


def _table_of(done: Sequence[pulls.Pulled]) -> dg.TableMetadataValue:
    rows = [
        (one.resource, one.source, one.outcome, ", ".join(one.files), ", ".join(one.waiting), one.failure)
        for one in done
    ]
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(SHOWN, row, strict=True))) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in SHOWN]),
    )
