"""The one policy pass: what every asset carries for Dagster's UI, put on once, after the graph is built.

Freshness here is the operator's light (when was this last rebuilt?); whether a department is late by law is a rule on
its delivery's as-of date.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from catalog import Catalog, Cycle

# Wall-clock windows in which an operator expects a pool to have been rebuilt: the cycle plus a long weekend.
WINDOWS = {
    Cycle.daily: timedelta(days=4),
    Cycle.every_day: timedelta(days=2),
    Cycle.weekly: timedelta(days=11),
    Cycle.monthly: timedelta(days=40),
    Cycle.quarterly: timedelta(days=110),
    Cycle.yearly: timedelta(days=400),
}
KINDS = {"pool": {"ducklake"}, "base": {"ducklake"}, "thematic": {"ducklake", "sql"}, "publish": {"postgres"}}


def apply_policy(catalog: Catalog, assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Put owner, kinds, tags, table address and freshness on every asset."""

    def policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        layer = spec.key.path[0]
        tags = {"shuyuan/layer": layer}
        owner = "data_bureau"
        window = timedelta(days=4)
        if layer == "pool":
            resource = catalog.resources[".".join(spec.key.path[1:])]
            owner = resource.department
            window = WINDOWS[resource.cycle]
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
