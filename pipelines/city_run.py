"""`shuyuan run`: every business day that has something new, oldest first, each as one run of the city job.

A day that was left half way is made again first; nothing new means nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import date

import dagster as dg

from assets import deliveries, feedback, passes, pulls, requests, sending
from assets.graph import LAST_STEP
from assets.graph_pools import PASS, pool_key
from assets.passing import Figures, Pass
from catalog import Catalog, load_catalog
from pipelines.definitions import build_defs
from pipelines.failures import RunFailedError
from pipelines.installation import RUN_LOCK, open_city
from pipelines.instance import DRIVER, open_instance, sweep
from pipelines.settings import Settings
from pipelines.watcher import Watcher
from quality_checks import runner
from resources import clock
from resources.city import City


@dataclass
class RunSummary:
    """What `shuyuan run` did: one `Figures` a business day, and where to look."""

    registered: int = 0
    rejected: int = 0
    swept_runs: int = 0
    passes: dict[str, Figures] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    pulled: int = 0
    not_pulled: list[str] = field(default_factory=list)
    not_loaded: list[str] = field(default_factory=list)
    not_sent: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return {
            "registered": self.registered,
            "rejected": self.rejected,
            "swept_runs": self.swept_runs,
            "passes": {day: asdict(figures) for day, figures in self.passes.items()},
            "unreadable": self.unreadable,
            "pulled": self.pulled,
            "not_pulled": self.not_pulled,
            "not_loaded": self.not_loaded,
            "not_sent": self.not_sent,
            "totals": asdict(self.totals()),
        }

    def totals(self) -> Figures:
        """Sums of what happened, the last day's figures of what stands."""
        total = Figures()
        standing = {"findings_open", "orders_open", "orders_held", "orders_overdue", "report"}
        for figures in self.passes.values():
            for name, value in asdict(figures).items():
                setattr(total, name, value if name in standing else getattr(total, name) + value)
        return total


def run_city(
    settings: Settings,
    *,
    as_of: date | None = None,
    departments: Sequence[str] = (),
    pull: bool = True,
    full: bool = False,
    watcher: Watcher | None = None,
) -> RunSummary:
    """Take the city through every day with new deliveries, up to `as_of` if given; pull what is due first.

    `full` builds the libraries from all records, and makes the last day again when nothing is new.

    Raises:
        CatalogError: the catalogue cannot be used.
        RunFailedError: a stage failed; what was committed before stays, the day is made again next time.
    """
    watcher = watcher or Watcher()
    catalog = load_catalog(settings.catalog)
    unknown = sorted(set(departments) - set(catalog.departments))
    if unknown:
        known = ", ".join(catalog.departments)
        raise ValueError(f"unknown department: {', '.join(unknown)}; must be one of: {known}")
    summary = RunSummary()
    with open_city(settings, catalog) as city, city.server.lock(RUN_LOCK):
        if pull:
            _pull_due(city, settings, departments, summary, watcher)
        watcher.note("looking for new deliveries")
        found = deliveries.register(city)
        summary.registered, summary.rejected = found.registered, found.rejected
        summary.unreadable = list(found.unreadable)
        days = _due(city, as_of, departments)
        if full and not days and (last := passes.last_finished(city)):
            days = [last]
        if days:
            runner.prepare()
            with open_instance(settings) as instance:
                summary.swept_runs = sweep(instance)
                for day in days:
                    passes.start(city, day, departments)
                    pools = _pools_of(city, day, departments)
                    figures, failures = make_pass(city, day, pools, watcher, instance, full=full)
                    summary.passes[day.isoformat()] = figures
                    summary.not_loaded += failures
        watcher.note("sending notices")
        summary.not_sent = [f"{s.file}: {s.message}" for s in sending.send(city, settings.vault()) if s.message]
    return summary


def _pull_due(
    city: City, settings: Settings, departments: Sequence[str], summary: RunSummary, watcher: Watcher
) -> None:
    """A source that fails is told at the end; its delivery is missing, as when a department delivers nothing."""
    wanted = [one for one in pulls.due(city, clock.today()) if not departments or one.department in departments]
    for resource in wanted:
        watcher.note(f"pulling {resource.id}")
        for done in pulls.pull(city, [resource], settings.vault()):
            summary.pulled += len(done.files)
            summary.not_pulled += [done.failure] if done.failure else []


def _due(city: City, as_of: date | None, departments: Sequence[str]) -> list[date]:
    """Days to be made: with new deliveries or replies, left unfinished, and the stated day when it is ahead of all."""
    last = passes.last_finished(city)
    days = set(deliveries.due_passes(city, departments)) | feedback.waiting_days(city, last)
    days |= requests.waiting_days(city, last)
    if as_of:
        days = {day for day in days if day <= as_of}
        if max([*days, last or date.min]) < as_of:
            days.add(as_of)
    return sorted(days)


def _pools_of(city: City, day: date, departments: Sequence[str]) -> list[dg.AssetKey]:
    """Pools with a delivery that belongs to the pass."""
    taken_in = [city.catalog.resources.get(name) for name in passes.taken_in(city, day)]
    return [pool_key(r) for r in taken_in if r and (not departments or r.department in departments)]


def make_pass(
    city: City,
    day: date,
    pools: Sequence[dg.AssetKey],
    watcher: Watcher,
    instance: dg.DagsterInstance,
    *,
    full: bool = False,
) -> tuple[Figures, list[str]]:
    """Run the city job for `day`: the given pools and all that comes after pools; libraries from all records if `full`.

    Returns what it came to, and which departments could not be loaded and why.

    Raises:
        RunFailedError: a stage failed.
    """
    figures = Figures()
    failures: list[str] = []

    def opened(context: dg.InitResourceContext, as_of: date) -> AbstractContextManager[Pass]:
        author = context.run.run_id if context.run else "unknown"
        return nullcontext(Pass(city, as_of, author, watcher.step, figures, failures, full=full))

    job = build_defs(catalog=city.catalog, opened=opened).resolve_job_def("city")
    later = [key for key in job.asset_layer.executable_asset_keys if key.path[0] != "pool"]
    watcher.plan(day, len({key.path[1] for key in pools}) + _steps(city.catalog))
    result = job.execute_in_process(
        run_config={
            "resources": {PASS: {"config": {"as_of": day.isoformat()}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        instance=instance,
        asset_selection=[*pools, *later],
        tags={**DRIVER, "shuyuan/as_of": day.isoformat()},
        raise_on_error=False,
    )
    if not result.success and not (failures and _only_the_end_failed(result)):
        raise RunFailedError("\n".join([f"the pass to {day} failed:", *_reasons(result)]))
    return figures, failures


def _only_the_end_failed(result: dg.ExecuteInProcessResult) -> bool:
    """Whether every stage was made and the last one failed the run because a department could not be loaded."""
    failed = result.filter_events(lambda event: event.is_step_failure)
    return {event.step_key for event in failed} == {LAST_STEP}


def _steps(catalog: Catalog) -> int:
    """Units of progress after the pools."""
    return 8 + len(catalog.libraries) + len(catalog.thematic) + len(catalog.products)


def _reasons(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.filter_events(lambda event: event.is_step_failure):
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        yield f"  {event.step_key}: {error.message.strip() if error else 'no reason given'}"
