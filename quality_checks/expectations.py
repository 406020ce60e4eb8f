"""Great Expectations' side of a rule: its plug-ins for DuckDB, and an expectation for what it has none for.

Imported by the runner alone, when a suite runs: importing Great Expectations takes four seconds. Every rule of a table
is one aggregate of the same query; results hold counts, never values.

A pass has judged the records before, and lets each expectation judge the counts (`judged`). A stock Great Expectations
runs the same suite on `DuckDB`, an execution engine of ours. It resolves metrics in rounds and aggregates those of one
round in one query; so ours, and the count of rows, wait for the round of the stock ones.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import duckdb_engine
import sqlalchemy as sa
from duckdb import DuckDBPyConnection
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics import ColumnMapMetricProvider, column_condition_partial
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.validator.metric_configuration import MetricConfiguration
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.pool import StaticPool

from catalog.expect import KINDS
from quality_checks.suites import applied

COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}
FAILED = 2**32  # what a failing row adds to the sum, beside the 1 that every row the rule applies to adds


class DuckDB(SqlAlchemyExecutionEngine):  # type: ignore[misc]
    """Great Expectations' engine for DuckDB: the metrics below are its own, all others those of any SQL database."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        super().__init__(engine=engine_on(con), create_temp_table=False)


class ColumnTypes(TableMetricProvider):  # type: ignore[misc]
    """Names and DuckDB types of the relation's columns. The stock one lists all tables of all attached databases."""

    metric_name = "table.column_types"
    value_keys = ("include_nested",)
    default_kwarg_values: ClassVar[dict[str, Any]] = {"include_nested": True}

    @metric_value(engine=DuckDB)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, execution_engine: DuckDB, **_: Any) -> list[dict[str, str]]:  # noqa: N805
        relation = execution_engine.batch_manager.active_batch_data.selectable
        with execution_engine.engine.connect() as connection:
            found = connection.execute(sa.select(sa.text("*")).select_from(relation).limit(0))
            return [{"name": column[0], "type": str(column[1])} for column in found.cursor.description]


class _Aggregate(TableMetricProvider):  # type: ignore[misc]
    """An aggregate of the relation that waits for the round of the stock expectations."""

    @classmethod
    def _get_evaluation_dependencies(cls, metric: MetricConfiguration, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = dict(super()._get_evaluation_dependencies(metric, *args, **kwargs))
        if metric.metric_name == f"{cls.metric_name}.aggregate_fn":
            found["rule.round"] = MetricConfiguration("rule.round", metric.metric_domain_kwargs)
        return found


class Round(TableMetricProvider):  # type: ignore[misc]
    """Nothing but a place in the order of metrics: beside the conditions of stock expectations."""

    metric_name = "rule.round"

    @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, **_: Any) -> bool:  # noqa: N805
        return True

    @classmethod
    def _get_evaluation_dependencies(cls, metric: MetricConfiguration, *_: Any, **__: Any) -> dict[str, Any]:
        return {"table.columns": MetricConfiguration("table.columns", metric.metric_domain_kwargs)}


class RowCount(_Aggregate):
    """Rows of the relation, counted in the query of the rules."""

    metric_name = "table.row_count"

    @metric_partial(  # type: ignore[untyped-decorator]
        engine=DuckDB,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,  # noqa: N805  # GX makes it a class method
        metric_domain_kwargs: dict[str, Any],
        **_: Any,
    ) -> tuple[sa.ColumnElement[int], dict[str, Any], dict[str, Any]]:
        return sa.func.count(), metric_domain_kwargs, {}


_RANGE = ("min_value", "max_value", "strict_min", "strict_max")
_LIKES = ("like_pattern_list", "escape")
# Stock expectations about one column that join the rules' query: name -> metric and the keys of its arguments.
STOCK: dict[str, tuple[str, tuple[str, ...]]] = {
    "expect_column_values_to_not_be_null": ("nonnull", ()),
    "expect_column_values_to_be_null": ("null", ()),
    "expect_column_values_to_be_in_set": ("in_set", ("value_set",)),
    "expect_column_values_to_not_be_in_set": ("not_in_set", ("value_set",)),
    "expect_column_values_to_be_between": ("between", _RANGE),
    "expect_column_value_lengths_to_be_between": ("value_length.between", _RANGE),
    "expect_column_value_lengths_to_equal": ("value_length.equals", ("value",)),
    "expect_column_values_to_match_regex": ("match_regex", ("regex",)),
    "expect_column_values_to_not_match_regex": ("not_match_regex", ("regex",)),
    "expect_column_values_to_match_regex_list": ("match_regex_list", ("regex_list", "match_on")),
    "expect_column_values_to_not_match_regex_list": ("not_match_regex_list", ("regex_list",)),
    "expect_column_values_to_match_like_pattern": ("match_like_pattern", ("like_pattern", "escape")),
    "expect_column_values_to_not_match_like_pattern": ("not_match_like_pattern", ("like_pattern", "escape")),
    "expect_column_values_to_match_like_pattern_list": ("match_like_pattern_list", (*_LIKES, "match_on")),
    "expect_column_values_to_not_match_like_pattern_list": ("not_match_like_pattern_list", _LIKES),
}


def _predicate(expectation: str, column: str, told: dict[str, Any]) -> str:
    """What the stock expectation asks of a record, as SQL."""
    stated = {key: told[key] for key in STOCK[expectation][1] if told.get(key) is not None}
    expected = KINDS[expectation].model_construct(**{"type": expectation, **stated})
    return applied("true", str(expected.predicate(column)))


def _in_duckdb(expectation: str, metric: str, keys: tuple[str, ...]) -> type:
    """The condition of a stock expectation in DuckDB: the same predicate that our own pass collects records by.

    Of the stock conditions those of patterns fail there, those of lengths wait for a query of their own, and bounds
    are compared as doubles.
    """

    class Condition(ColumnMapMetricProvider):  # type: ignore[misc]
        condition_metric_name = f"column_values.{metric}"
        condition_value_keys = keys
        filter_column_isnull = not expectation.endswith("_null")

        @column_condition_partial(engine=DuckDB)  # type: ignore[untyped-decorator]
        def _sqlalchemy(cls, column: sa.ColumnClause[Any], **told: Any) -> sa.ColumnElement[bool]:  # noqa: N805
            return sa.literal_column(_predicate(expectation, column.name, told))

        @classmethod
        def _get_evaluation_dependencies(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
            found = dict(super()._get_evaluation_dependencies(*args, **kwargs))
            found.pop("table.row_count", None)  # nobody reads it, and waiting for it would cost a query of its own
            return found

    return Condition


for _stock, (_metric, _keys) in STOCK.items():
    _in_duckdb(_stock, _metric, _keys)


class RuleCounts(_Aggregate):
    """Rows a rule applies to and rows that break it, in one number: the rule's SQL is evaluated once per row."""

    metric_name = "rule.counts"
    value_keys = ("when", "that")

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
        kept = applied(**metric_value_kwargs)
        return sa.literal_column(f"sum((NOT {kept})::BIGINT * {FAILED} + 1)"), metric_domain_kwargs, {}


class _Fields:
    """An expectation that reads its fields: GX writes the whole of it as a configuration anew for each key it asks."""

    domain_keys: ClassVar[tuple[str, ...]]
    success_keys: ClassVar[tuple[str, ...]]

    def _get_success_kwarg(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)

    def _get_domain_kwargs(self) -> dict[str, Any]:
        return {key: getattr(self, key, None) for key in self.domain_keys}

    def _get_success_kwargs(self) -> dict[str, Any]:
        return {key: getattr(self, key, None) for key in (*self.success_keys, *self.domain_keys)}


for _impl in map(get_expectation_impl, STOCK):  # GX makes these itself, by their names
    _impl._get_success_kwarg = _Fields._get_success_kwarg
    _impl._get_domain_kwargs = _Fields._get_domain_kwargs
    _impl._get_success_kwargs = _Fields._get_success_kwargs


class ExpectRecordsToObeyRule(_Fields, BatchExpectation):  # type: ignore[misc]
    """Expect every record for which `when` is true and `that` is not null to make `that` true.

    `tolerance` is the share of them that may fail.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("rule.counts",)
    success_keys: ClassVar[tuple[str, ...]] = ("when", "that", "tolerance")

    when: str
    that: str
    tolerance: float = 0.0

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002
        execution_engine: SqlAlchemyExecutionEngine | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        failed, applicable = divmod(int(metrics["rule.counts"] or 0), FAILED)
        success = failed <= int(Decimal(str(self.tolerance)) * applicable)
        return {"success": success, "result": {"element_count": applicable, "unexpected_count": failed}}


def judged(expectation: Any, *, rows: int, applicable: int, failed: int, missing: int = 0) -> Any:
    """Great Expectations' result of one expectation from counts of records: its own judgement, nothing is queried.

    Of `rows` records the rule says something about `applicable`, of which `failed` break it; `missing` have no value.
    """
    metric = getattr(expectation, "map_metric", None)
    metrics = {
        "table.row_count": rows,
        "rule.counts": failed * FAILED + applicable,
        "column_values.nonnull.unexpected_count": missing,
        f"{metric}.unexpected_count": failed,
        f"{metric}.unexpected_values": [],
    }
    return expectation._build_evr(expectation._validate(metrics, {"result_format": COUNTS_ONLY}))


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
