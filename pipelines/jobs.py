"""Named jobs and their schedules: the whole city, one department's intake, the monthly report.

Add a job here when people need a stable thing to launch; what runs inside belongs to `assets`.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.graph_pools import pool_key
from catalog import Catalog

TIME_ZONE = "Asia/Shanghai"
WHOLE = "city"  # the job that is a whole pass


def build_jobs() -> list[UnresolvedAssetJobDefinition]:
    """The city's jobs: everything, and the report alone."""
    return [
        dg.define_asset_job(
            WHOLE,
            dg.AssetSelection.all(),
            executor_def=dg.in_process_executor,
            description="every new delivery through pools, libraries, corrections and products to the reports",
        ),
        dg.define_asset_job(
            "reports",
            dg.AssetSelection.assets(["quality", "scores"]) | dg.AssetSelection.groups("publish", "reports"),
            executor_def=dg.in_process_executor,
            description="scores, products and reports anew from what the libraries hold",
        ),
    ]


def build_department_jobs(catalog: Catalog) -> dict[str, UnresolvedAssetJobDefinition]:
    """One intake job per department that delivers, by department."""
    register = dg.AssetSelection.assets(["ops", "deliveries"])
    return {
        name: dg.define_asset_job(
            f"department_{name}",
            register | dg.AssetSelection.assets(*(pool_key(resource) for resource in resources)),
            executor_def=dg.in_process_executor,
            description=f"{department.title.zh}: its new deliveries into its pool, checked",
        )
        for name, department in catalog.departments.items()
        if (resources := catalog.of_department(name))
    }


def build_schedules() -> list[dg.ScheduleDefinition]:
    """The city every morning; the report on the first of each month."""
    return [
        dg.ScheduleDefinition(
            name=name,
            job_name=job,
            cron_schedule=cron,
            execution_timezone=TIME_ZONE,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for name, job, cron in (("daily", WHOLE, "0 6 * * *"), ("monthly", "reports", "0 7 1 * *"))
    ]
