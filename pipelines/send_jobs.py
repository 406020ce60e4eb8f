"""Notices on their way, as Dagster runs it: one job that sends what waits, every ten minutes; none without channels."""

from collections.abc import Sequence

import dagster as dg

from assets import sending
from assets.graph_pools import PASS
from assets.settling import settle
from catalog import Catalog
from resources.failures import PermanentError, TransientError
from resources.secrets import Vault

JOB = "send_notices"
SHOWN = ("department", "kind", "address", "file", "state", "attempts", "message")


def build_send_jobs(catalog: Catalog, vault: Vault) -> list[dg.JobDefinition]:
    """The job, unless neither a department nor the bureau has a channel."""
    return [_send_job(vault)] if _with_channels(catalog) else []


def build_send_schedules(catalog: Catalog, time_zone: str) -> list[dg.ScheduleDefinition]:
    """Every ten minutes of the working day: what a pass has written is on its way soon after."""
    if not _with_channels(catalog):
        return []
    return [
        dg.ScheduleDefinition(
            name=JOB,
            job_name=JOB,
            cron_schedule="*/10 6-20 * * *",
            execution_timezone=time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    ]


def _with_channels(catalog: Catalog) -> bool:
    return bool(catalog.jurisdiction.channels) or any(one.channels for one in catalog.departments.values())


def _send_job(vault: Vault) -> dg.JobDefinition:
    @dg.op(name="send", required_resource_keys={PASS}, out=dg.Out(dg.Nothing))
    def send(context: dg.OpExecutionContext) -> None:
        """Send what waits; a failure asks for a retry or ends the run, by its class, when all has been tried."""
        done = sending.send(getattr(context.resources, PASS).city, vault)
        context.add_output_metadata({"sendings": _table_of(done)})
        failed = [one for one in done if one.state in ("waiting", "failed")]
        if failed:
            kind = TransientError if any(one.state == "waiting" for one in failed) else PermanentError
            settle(context, kind("\n".join(f"{one.file}: {one.message}" for one in failed)))

    @dg.job(name=JOB, executor_def=dg.in_process_executor, description="notices that wait go to departments' channels")
    def sends() -> None:
        send()

    return sends


def _table_of(done: Sequence[sending.Sending]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord({name: getattr(one, name) for name in SHOWN}) for one in done],
        schema=dg.TableSchema([dg.TableColumn(name) for name in SHOWN]),
    )
