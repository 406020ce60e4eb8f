"""Great Expectations' side of a rule: one metric, one expectation, and the way GX reads from DuckDB.

Imported by the runner alone, when a suite runs: importing Great Expectations takes four seconds. Every rule of a table
is one aggregate of the same query, so a suite costs one scan; results hold counts, never values.
"""

from __future__ import annotations

from typing import Any, ClassVar

import duckdb_engine
import sqlalchemy as sa
from duckdb import DuckDBPyConnection
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.pool import StaticPool

from quality_checks.macros import name
from quality_checks.verdicts import TIMES

FAILED = 2**32  # what a failing row adds to the sum, beside the 1 that every row the rule applies to adds


class RuleCounts(TableMetricProvider):  # type: ignore[misc]
    """Records a rule applies to and records that break it, in one number: the rule's SQL is evaluated once a record.

    Where the records have been judged already, `judged` is the column of verdicts in a table whose every row stands
    for `_times` records.
    """

    metric_name = "rule.counts"
    value_keys = ("when", "that", "judged")

    @metric_partial(  # type: ignore[untyped-decorator]
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,  # noqa: N805  # GX makes it a class method
        execution_engine: SqlAlchemyExecutionEngine,  # noqa: ARG002
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],  # noqa: ARG002
        runtime_configuration: dict[str, Any],  # noqa: ARG002
    ) -> tuple[sa.ColumnElement[int], dict[str, Any], dict[str, Any]]:
        when, that = metric_value_kwargs["when"], metric_value_kwargs["that"]
        if judged := metric_value_kwargs["judged"]:
            counted = f"((NOT {name(judged)})::BIGINT * {FAILED} + 1) * {TIMES}"
        else:
            counted = f"(NOT ({that}))::BIGINT * {FAILED} + 1"
            if when != "true":
                counted = f"CASE WHEN ({when}) THEN {counted} END"
        return sa.literal_column(f"sum({counted})"), metric_domain_kwargs, {}


class ExpectRecordsToObeyRule(BatchExpectation):  # type: ignore[misc]
    """Expect every record for which `when` is true and `that` is not null to make `that` true.

    `tolerance` is the share of them that may fail, `judged` where their verdicts stand already.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("rule.counts",)
    success_keys: ClassVar[tuple[str, ...]] = ("when", "that", "tolerance", "judged")

    when: str
    that: str
    tolerance: float = 0.0
    judged: str = ""

    def _get_success_kwarg(self, key: str, default: Any = None) -> Any:
        """A field: GX writes the whole expectation as a configuration anew for each key it asks."""
        return getattr(self, key, default)

    def _get_domain_kwargs(self) -> dict[str, Any]:
        return {key: getattr(self, key, None) for key in self.domain_keys}

    def _get_success_kwargs(self) -> dict[str, Any]:
        return {key: getattr(self, key, None) for key in (*self.success_keys, *self.domain_keys)}

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002
        execution_engine: SqlAlchemyExecutionEngine | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        failed, applicable = divmod(int(metrics["rule.counts"] or 0), FAILED)
        success = failed <= applicable * self.tolerance
        return {"success": success, "result": {"element_count": applicable, "unexpected_count": failed}}


class ExpectRecords(ExpectRecordsToObeyRule):
    """Expect at least one record; `observed_value` is their number."""

    when: str = "true"
    that: str = "true"

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        records = int(metrics["rule.counts"] or 0) % FAILED
        return {"success": records > 0, "result": {"observed_value": records}}


class _Lent(duckdb_engine.ConnectionWrapper):
    """A connection that stays open when SQLAlchemy is done with it: it is the city's."""

    def close(self) -> None:
        """Leave it open."""


def engine_on(con: DuckDBPyConnection) -> sa.Engine:
    """An SQLAlchemy engine on this very connection, where the macros and attached catalogs are.

    Results are fetched before the connection is given back: GX reads them after that, and would find none.
    """
    engine = sa.create_engine("duckdb://", creator=lambda: _Lent(con), poolclass=StaticPool)
    plain = engine.dialect.execution_ctx_cls

    class Buffered(plain):  # type: ignore[misc,valid-type]
        def post_exec(self) -> None:
            super().post_exec()
            if self.cursor.description is not None:
                rows = self.cursor.fetchall()
                self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(self.cursor, initial_buffer=rows)

    engine.dialect.execution_ctx_cls = Buffered
    return engine
