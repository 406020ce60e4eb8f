"""Runs a suite by Great Expectations inside DuckDB: counts per rule, and GX's own result as a document.

Great Expectations is imported here, when a suite runs, and nowhere else. Which rows failed is found by
`quality_checks.findings`: GX caps its lists and would keep personal values in them.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from duckdb import DuckDBPyConnection

from catalog.rules import Rule, Severity
from quality_checks.results import RuleResult
from quality_checks.suites import Suite
from quality_checks.verdicts import count, judge

_once = threading.Lock()
_SEVERITIES = {Severity.block: "critical", Severity.error: "warning", Severity.warn: "info", Severity.info: "info"}


@dataclass(frozen=True)
class Validation:
    """What one suite came to: a result per rule, and GX's suite result as JSON-ready values, counts only."""

    results: list[RuleResult]
    document: dict[str, Any]


def validate(con: DuckDBPyConnection, suite: Suite) -> Validation:
    """Judge the suite's records in one scan, then have all rules counted in one aggregate query over the verdicts.

    A rule that fails at run time becomes a result of state `error`; all others are evaluated. Leaves the verdicts for
    `quality_checks.findings.collect`. The connection must have the macros and no open transaction.
    """
    broken = judge(con, suite)  # does not need Great Expectations, which may still be on its way
    rules = [rule for rule in suite.rules if rule.id not in broken]
    gx_results = _run(con, rules)
    gx_results += [_not_run(_expectation(rule), broken[rule.id]) for rule in suite.rules if rule.id in broken]
    found = {one.expectation_config.meta.get("rule"): one for one in gx_results}
    return Validation([_result(suite, rule, found[rule.id]) for rule in suite.rules], _document(suite, gx_results))


def error_result(rule: Rule, department: str, resource: str, message: str) -> RuleResult:
    """The result of a rule that could not be evaluated."""
    return RuleResult(
        department, resource, rule.id, rule.dimension, rule.indicator, rule.severity.value, 0, 0, "error", message
    )


def prepare() -> None:
    """Import Great Expectations beside what the caller does next, so that the first suite need not wait for it."""
    threading.Thread(target=_gx, name="great_expectations", daemon=True).start()


def _gx() -> Any:
    with _once:
        return _context()


@cache
def _context() -> Any:
    """Great Expectations' context, made once a process."""
    return new_context()


def new_context() -> Any:
    """A context of Great Expectations': no analytics, no progress bars, nothing on disk."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # noqa: TID251  # GX reads it while it is imported
    gc.disable()  # a quarter of the import's time goes into looking for garbage among 280,000 new objects
    try:
        with _imported_when_used("scipy", "scipy.stats", "altair"):  # for three expectations about distributions
            import great_expectations

        import quality_checks.expectations  # noqa: F401  # and what it needs

        gc.freeze()  # they stay for as long as the process: no later search need go through them
    finally:
        gc.enable()

    for logger in ("great_expectations", "great_expectations.data_context.types.base"):  # the latter has its own level
        logging.getLogger(logger).setLevel(logging.WARNING)  # it tells of temporary folders
    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context


@contextmanager
def _imported_when_used(*modules: str) -> Iterator[None]:
    """Have what is imported meanwhile hold stand-ins of these modules, packages before their parts.

    They would take a third of the time of Great Expectations' import. What was imported before stays as it is.
    """
    lent = {module: _stand_in(module) for module in modules if module not in sys.modules}
    for module, lazy in lent.items():
        parent, _, part = module.rpartition(".")
        if parent in lent:
            setattr(lent[parent], part, lazy)
    sys.modules.update(lent)
    try:
        yield
    finally:
        for module in lent.keys() & sys.modules.keys():
            _give_back(module, lent[module])


def _stand_in(module: str) -> ModuleType:
    """What imports the module when something of it is asked for, not when it is named."""
    lazy = ModuleType(module)
    if "." not in module and (found := importlib.util.find_spec(module)):
        lazy.__path__ = list(found.submodule_search_locations or ())  # another thread may import a part of it

    def asked(name: str) -> Any:
        if name.startswith("__"):  # by the import itself
            raise AttributeError(name)
        _give_back(module, lazy)
        return getattr(importlib.import_module(module), name)

    lazy.__getattr__ = asked  # type: ignore[method-assign]
    return lazy


def _give_back(module: str, lazy: ModuleType) -> None:
    """Take a stand-in out of the way of whoever imports the module next."""
    if sys.modules.get(module) is lazy:
        del sys.modules[module]


def _expectation(rule: Rule) -> Any:
    _gx()
    from great_expectations.expectations.registry import get_expectation_impl

    from quality_checks.expectations import STOCK, ExpectRecordsToObeyRule

    meta = {
        "rule": rule.id,
        "version": rule.version,
        "severity": rule.severity.value,
        "dimension": rule.dimension,
        "indicator": rule.indicator,
        "standard": rule.standard,
        "column": rule.column,
        "source": rule.source,
        "owner": rule.owner,
        "tolerance": rule.tolerance.model_dump(mode="json") if rule.tolerance else None,
    }
    said = {"meta": meta, "severity": _SEVERITIES[rule.severity], "description": rule.en}
    if rule.expect and rule.expect.type in STOCK and rule.when == "true" and not rule.tolerance:
        return get_expectation_impl(rule.expect.type)(column=rule.column, **rule.expect.arguments(), **said)
    share = rule.tolerance.share if rule.tolerance else 0.0
    return ExpectRecordsToObeyRule(when=rule.when, that=rule.condition, tolerance=share, **said)


def _some_rows() -> Any:
    """Zero rows are never a pass."""
    _gx()
    from great_expectations.expectations import ExpectTableRowCountToBeBetween

    return ExpectTableRowCountToBeBetween(min_value=1, severity="warning")


def _run(con: DuckDBPyConnection, rules: Sequence[Rule]) -> list[Any]:
    """GX's result of each rule, and of there being records at all: its expectations judge what the scan counted."""
    _gx()
    from quality_checks.expectations import judged

    rows, counts = count(con, rules)
    results = [judged(_some_rows(), rows=rows, applicable=rows, failed=0)]
    for rule, (applicable, failed, missing) in zip(rules, counts, strict=True):
        results.append(judged(_expectation(rule), rows=rows, applicable=applicable, failed=failed, missing=missing))
    return results


def _gx_suite(suite: Suite, expectations: Sequence[Any]) -> Any:
    from great_expectations.core.expectation_suite import ExpectationSuite

    said = {"department": suite.department, "resource": suite.resource, "relation": suite.relation}
    return ExpectationSuite(name=suite.title, expectations=list(expectations), meta=said)


def exported(suite: Suite) -> dict[str, Any]:
    """The suite as GX's own JSON. A stock GX loads and runs it once `quality_checks.expectations` is imported, on its
    `DuckDB`, the query in `meta.relation` and a connection that has the macros of `quality_checks.macros`.
    """
    _gx()
    return dict(_gx_suite(suite, [_some_rows(), *map(_expectation, suite.rules)]).to_json_dict())


def _raised(gx_result: Any) -> str | None:
    """The message of the exception behind a GX result, None when there was none."""
    info = gx_result.exception_info
    if info.get("raised_exception") is False:
        return None
    nested = [info] if "exception_message" in info else list(info.values())
    messages = [str(one["exception_message"]) for one in nested]
    return messages[0] if messages else "unknown error"


def _not_run(expectation: Any, message: str) -> Any:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.validator.exception_info import ExceptionInfo

    return ExpectationValidationResult(
        success=False,
        exception_info=ExceptionInfo(exception_traceback="", exception_message=message),
        expectation_config=expectation.configuration,
    )


def _result(suite: Suite, rule: Rule, gx_result: Any) -> RuleResult:
    message = _raised(gx_result)
    if message is not None:
        return error_result(rule, suite.department, suite.resource, message)
    counted = gx_result.result
    applicable = counted["element_count"] - counted.get("missing_count", 0)
    return RuleResult(
        department=suite.department,
        resource=suite.resource,
        rule_id=rule.id,
        dimension=rule.dimension,
        indicator=rule.indicator,
        severity=rule.severity.value,
        applicable=applicable,
        failed=counted["unexpected_count"] or 0,  # a stock expectation counts None among no records
        tolerated=rule.tolerance.of(applicable) if rule.tolerance else 0,
    )


def _document(suite: Suite, gx_results: Sequence[Any]) -> dict[str, Any]:
    """GX's suite result as JSON, put together from its parts: GX itself would copy each of them four times."""
    from great_expectations import __version__
    from great_expectations.validator.validation_statistics import calc_validation_statistics

    counted = calc_validation_statistics(list(gx_results))
    return {
        "success": counted.success,
        "results": [one.to_json_dict() for one in gx_results],
        "suite_name": suite.title,
        "suite_parameters": {},
        "statistics": {
            "evaluated_expectations": counted.evaluated_expectations,
            "successful_expectations": counted.successful_expectations,
            "unsuccessful_expectations": counted.unsuccessful_expectations,
            "success_percent": counted.success_percent,
        },
        "meta": {"great_expectations_version": __version__},
        "id": None,
    }
