"""The composition root: catalogue and settings in, one Dagster code location out.

Nothing is read when this module is imported; `defs` is resolved when Dagster loads the location.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import date

import dagster as dg
import duckdb
import psycopg2

from assets.graph import build_assets
from assets.graph_pools import PASS
from assets.passing import Pass
from catalog import Catalog, load_catalog
from pipelines.installation import RUN_LOCK, open_city
from pipelines.jobs import TIME_ZONE, WHOLE, build_department_jobs, build_jobs, build_schedules
from pipelines.policy import apply_policy
from pipelines.pull_jobs import PREFIX, build_pull_jobs, build_pull_schedules
from pipelines.send_jobs import JOB, build_send_jobs, build_send_schedules
from pipelines.sensors import landing_sensor
from pipelines.settings import Settings
from resources import clock
from resources.city import City
from resources.home import Home


def pass_resource(
    opened: Callable[[dg.InitResourceContext, date], AbstractContextManager[Pass]],
) -> dg.ResourceDefinition:
    """The pass as a Dagster resource; its only configuration is the business day."""

    @dg.resource(
        config_schema={
            "as_of": dg.Field(str, is_required=False, description="business day, YYYY-MM-DD; default today")
        },
        description="the opened city and the business day it is taken to",
    )
    def city_pass(context: dg.InitResourceContext) -> Iterator[Pass]:
        stated = context.resource_config.get("as_of")
        with opened(context, date.fromisoformat(stated) if stated else clock.today()) as current:
            yield current

    return city_pass


def build_defs(
    settings: Settings | None = None,
    *,
    catalog: Catalog | None = None,
    opened: Callable[[dg.InitResourceContext, date], AbstractContextManager[Pass]] | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of the catalogue; tests and `shuyuan run` override parts."""
    settings = settings or Settings()
    catalog = catalog or load_catalog(settings.catalog)

    @contextmanager
    def own_pass(context: dg.InitResourceContext, as_of: date) -> Iterator[Pass]:
        run = context.run
        with ExitStack() as opened_now:

            def enter() -> City:
                city = opened_now.enter_context(open_city(settings, catalog))
                # A pull or a sending and a pass do not disturb each other.
                if run is None or not (run.job_name.startswith(PREFIX) or run.job_name == JOB):
                    opened_now.enter_context(city.server.lock(RUN_LOCK))
                return city

            def reopen() -> None:
                with suppress(psycopg2.Error, duckdb.Error):  # the old one may be gone with its server
                    opened_now.pop_all().close()
                current.city = enter()

            author, whole = (run.run_id, run.job_name == WHOLE) if run else ("unknown", False)
            current = Pass(enter(), as_of, author=author, whole=whole, reopen=reopen)
            yield current

    departments = build_department_jobs(catalog)
    return dg.Definitions(
        assets=apply_policy(catalog, build_assets(catalog)),
        jobs=[
            *build_jobs(),
            *departments.values(),
            *build_pull_jobs(catalog, settings.vault()),
            *build_send_jobs(catalog, settings.vault()),
        ],
        schedules=[
            *build_pull_schedules(catalog, TIME_ZONE),
            *build_send_schedules(catalog, TIME_ZONE),
            *build_schedules(),
        ],
        sensors=[landing_sensor(Home(settings.home).landing, departments)],
        resources={PASS: pass_resource(opened or own_pass)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location `workspace.yaml` and `[tool.dg]` name."""
    return build_defs()
