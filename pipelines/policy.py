"""The one policy pass: what every asset carries for Dagster's UI, put on once, after the graph is built.

Freshness here is the operator's light (when was this last rebuilt?); whether a department is late by law is a rule on
its delivery's as-of date.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from catalog import Catalog, Cycle, Resource
from quality_checks.punctuality import max_age

WEEKEND = timedelta(days=3)  # a long one: rest days pass before a department that keeps office hours delivers
HANDOVER = timedelta(days=1)  # between the hour of one day's delivery and that of the next
KINDS = {"pool": {"ducklake"}, "base": {"ducklake"}, "thematic": {"ducklake", "sql"}, "publish": {"postgres"}}


def window_of(resource: Resource) -> timedelta:
    """How long an operator waits for a pool to be made again: the age its delivery may have, and rest days."""
    age = max_age(resource)
    if age.minutes:
        return timedelta(minutes=age.minutes)
    rest = WEEKEND if age.working_days or resource.cycle is not Cycle.every_day else HANDOVER
    return timedelta(days=age.days + age.working_days) + rest


def apply_policy(catalog: Catalog, assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Put owner, kinds, tags, table address and freshness on every asset."""

    def policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        layer = spec.key.path[0]
        tags = {"shuyuan/layer": layer}
        owner = "data_bureau"
        window = timedelta(days=1) + WEEKEND
        if layer == "pool":
            resource = catalog.resources[".".join(spec.key.path[1:])]
            owner = resource.department
            window = window_of(resource)
            tags |= {"shuyuan/cycle": resource.cycle.value, "shuyuan/mode": resource.mode}
        elif layer == "base":
            owner = catalog.libraries[spec.key.path[1]].lead
        elif layer == "thematic":
            owner = catalog.thematic[".".join(spec.key.path[1:])].lead
        table = spec.metadata.get("dagster/table_name")
        return spec.replace_attributes(
            owners=[f"team:{owner}"],
            kinds=KINDS.get(layer, {"python"}),
            tags={**spec.tags, **tags},
            metadata={**spec.metadata, **({"dagster/uri": f"shuyuan://{table}"} if table else {})},
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=window),
        )

    return list(dg.map_asset_specs(policy, assets))
