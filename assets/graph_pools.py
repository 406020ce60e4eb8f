"""What a pool's page in Dagster shows beside its counts: each delivery with its verdict, or why nothing was loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from assets import passes
from assets.passing import Pass
from assets.pooling import PoolResult
from assets.settling import reason_of
from catalog import Resource

COUNTS = ("delivered", "pooled", "quarantined", "removed")
PASS = "city_pass"  # noqa: S105  # the key of a Dagster resource


def pool_key(resource: Resource) -> dg.AssetKey:
    """Asset key of a resource's pool."""
    return dg.AssetKey(["pool", resource.department, resource.name])


def not_loaded(
    context: dg.AssetExecutionContext, department: str, chosen: Sequence[Resource], error: Exception
) -> Iterator[dg.MaterializeResult[None]]:
    """A department's pools keep their last good state and the pass goes on; its end fails the run and says why.

    Its checks fail unevaluated, and its deliveries are due again.
    """
    current: Pass = getattr(context.resources, PASS)
    reason = f"{department}: {reason_of(error)}"
    context.log.error(reason)
    current.failures.append(reason)
    passes.give_back(current.city, current.as_of, department)
    for resource in chosen:
        yield dg.MaterializeResult(
            asset_key=pool_key(resource),
            metadata={"not_loaded": f"keeps its last good state: {reason}"},
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    asset_key=check.asset_key,
                    passed=False,
                    severity=dg.AssetCheckSeverity.ERROR,
                    metadata={"not_evaluated": reason},
                )
                for check in context.selected_asset_check_keys
                if check.asset_key == pool_key(resource)
            ],
        )


def table_of(loaded: Sequence[PoolResult]) -> dg.TableMetadataValue:
    """Deliveries with verdict, counts and reasons, as Dagster's page of the pool shows them."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "delivery": one.delivery_id,
                    "as_of": str(one.as_of),
                    "mode": one.mode,
                    "verdict": one.state,
                    "delivered": one.rows_delivered,
                    "pooled": one.rows_pooled,
                    "quarantined": one.rows_quarantined,
                    "removed": one.rows_removed,
                    "reasons": "; ".join(reason["message"] for reason in one.reasons),
                }
            )
            for one in loaded
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn(name, "int" if name in COUNTS else "string")
                for name in ("delivery", "as_of", "mode", "verdict", *COUNTS, "reasons")
            ]
        ),
    )
