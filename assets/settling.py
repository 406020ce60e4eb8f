"""How a stage fails in Dagster: tried again when the failure may pass, for good when somebody must mend something.

A `RetryPolicy` would try everything again: a wrong password too, thousands of times. So each stage is wrapped, and
only a `TransientError` asks for a retry, by a run that can open the city anew (one that Dagster's daemon launched);
every other failure ends the step with `allow_retries=False`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from inspect import isgeneratorfunction
from typing import Any, NoReturn, ParamSpec, TypeVar

import dagster as dg
import duckdb
import psycopg2

from assets.passing import Pass
from resources.failures import PermanentError, TransientError

RETRIES = 2
WAIT_SECONDS = 30

Given = ParamSpec("Given")
Made = TypeVar("Made")


def settled(stage: Callable[..., Made]) -> Callable[..., Made]:
    """The stage with its failures sorted; it stands between the function and Dagster's decorator."""
    if isgeneratorfunction(stage):

        @functools.wraps(stage)
        def yielding(context: dg.AssetExecutionContext) -> Iterator[Any]:
            try:
                yield from stage(context)
            except Exception as error:  # noqa: BLE001  # sorted, and raised again
                settle(context, error)

        return yielding  # type: ignore[return-value]  # a generator for a generator

    @functools.wraps(stage)
    def returning(context: dg.AssetExecutionContext) -> Made:
        try:
            return stage(context)
        except Exception as error:  # noqa: BLE001  # sorted, and raised again
            settle(context, error)

    return returning


def settle(context: dg.AssetExecutionContext | dg.OpExecutionContext, error: Exception) -> NoReturn:
    """End the step, or ask for a retry on a city opened anew.

    Raises:
        RetryRequested: the failure may pass and attempts are left.
        Failure: it is permanent, or nothing can retry here.
    """
    if isinstance(error, dg.Failure):
        raise error
    if may_retry(context, error):
        current: Pass = context.resources.city_pass
        assert current.reopen is not None  # noqa: S101  # else nothing may be tried again
        current.reopen()  # first: Dagster writes down the retry in the same PostgreSQL
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=WAIT_SECONDS) from error
    raise dg.Failure(description=reason_of(error), allow_retries=False) from error


def may_retry(context: dg.AssetExecutionContext | dg.OpExecutionContext, error: Exception) -> bool:
    """Whether the failure may pass, attempts are left, and the run can open the city anew."""
    current: Pass = context.resources.city_pass
    return current.reopen is not None and context.retry_number < RETRIES and _transient(error, current)


def _transient(error: Exception, current: Pass) -> bool:
    """By its class; an error of a driver is when PostgreSQL went away under it."""
    if isinstance(error, duckdb.Error | psycopg2.Error):
        return not current.city.server.answers()
    return isinstance(error, TransientError)


def reason_of(error: Exception) -> str:
    """One line for people: our own failures speak for themselves, others may quote a record and are named only."""
    if isinstance(error, TransientError | PermanentError):
        return str(error)
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0][:300]}"
