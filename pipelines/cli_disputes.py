"""`shuyuan requests …` and `shuyuan disputes …`: doubts of data users, and what parties do not agree on."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from pipelines.cli_corrections import in_city, tell_rows
from pipelines.cli_options import Day, Json, number_of, one_of

requests_app = typer.Typer(
    no_args_is_help=True, help="Requests 校核申请: a data user doubts a value (Order 809 art. 26)."
)
disputes_app = typer.Typer(no_args_is_help=True, help="Disputes 争议 about objections, on four levels (art. 28).")

Applicant = Annotated[str, typer.Option("--department", help="whose request it is")]
Department = Annotated[str | None, typer.Option("--department", help="only what this department may see")]
Number = Annotated[str, typer.Argument(parser=number_of, metavar="NUMBER", help="as in the list, e.g. R20261102-0001")]
Dispute = Annotated[
    str, typer.Argument(parser=number_of, metavar="NUMBER", help="as in `disputes list`, e.g. D20261105-0001")
]
Reason = Annotated[str, typer.Option("--reason", help="why; kept in the ledger")]
Text = Annotated[str, typer.Option("--text", help="what the party has to say; kept in the ledger, the other reads it")]
Evidence = Annotated[str | None, typer.Option("--evidence", help="file number, register, decision")]
Party = Annotated[str, typer.Option("--party", help="a department that is a party, or city: the bureau")]
By = Annotated[str | None, typer.Option("--by", help="the person; default the user of this machine")]
State = Annotated[str, typer.Option("--state", help="open, closed or all")]


@requests_app.command("raise")
def raise_(
    department: Applicant,
    evidence: Annotated[str, typer.Option("--evidence", help="what shows that the value is doubtful")],
    doubted: Annotated[str, typer.Option("--doubted", help="the value as it stands; empty: it is missing")] = "",
    proposed: Annotated[str | None, typer.Option("--proposed", help="the value it should be, if known")] = None,
    library: Annotated[str | None, typer.Option("--library", help="with --key and --attribute")] = None,
    key: Annotated[str | None, typer.Option("--key", help="of the entity, or its id")] = None,
    attribute: Annotated[str | None, typer.Option("--attribute")] = None,
    resource: Annotated[str | None, typer.Option("--resource", help="with --record and --column")] = None,
    record: Annotated[str | None, typer.Option("--record", help="its record key")] = None,
    column: Annotated[str | None, typer.Option("--column")] = None,
    reference_date: Annotated[str | None, typer.Option("--reference-date", help="default --as-of")] = None,
    reason: Annotated[str | None, typer.Option("--reason")] = None,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Doubt one value: of a library's entity, or of a resource's record. The next pass notifies its authority."""
    from assets import requests
    from pipelines.console import emit_json, err

    row = {
        "library": library, "key": key, "attribute": attribute, "resource": resource, "record_key": record,
        "column": column, "doubted": doubted, "proposed": proposed, "reference_date": reference_date,
        "reason": reason, "evidence": evidence, "by": by or getpass.getuser(),
    }  # fmt: skip
    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        [told] = requests.raise_requests(city, department, [row], day, author=f"cli:{getpass.getuser()}")
    if not told.number:
        raise typer.BadParameter(told.en)
    if as_json:
        emit_json(asdict(told))
        return
    err.print(told.en)


@requests_app.command("import")
def import_requests(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a CSV, one request a row")],
    department: Applicant,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Take in a file of requests; the receipt names every row that was refused and why."""
    from assets import requests
    from pipelines.console import emit_json, err

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        receipt = requests.import_file(city, path, department, day, author=f"cli:{getpass.getuser()}")
    if as_json:
        emit_json(asdict(receipt))
        return
    again = " (taken before: nothing changed)" if receipt.repeated else ""
    err.print(
        f"{receipt.raised:,} raised, {len(receipt.rows) - receipt.raised:,} not{again}; receipt: {receipt.path}",
        soft_wrap=True,
    )
    tell_rows([(row.place, row.en) for row in receipt.rows if row.outcome != "raised"])


@requests_app.command("list")
def list_requests(department: Department = None, state: State = "open", as_json: Json = False) -> None:
    """One line per request; of a department those it raised and those it is asked by."""
    from assets import requests
    from pipelines.console import emit_table

    with in_city(None) as (city, _):
        one_of("--department", department, city.catalog.departments)
        one_of("--state", state, get_args(requests.State))
        rows = requests.list_requests(city, department=department, state=state)  # type: ignore[arg-type]  # checked
    emit_table([asdict(row) for row in rows], title=f"requests {state}", as_json=as_json)


@requests_app.command("show")
def show_request(number: Number, department: Department = None, as_json: Json = False) -> None:
    """One request with its values, what happened to it, and its disputes."""
    from assets import requests
    from pipelines.console import emit_json, emit_table

    with in_city(None) as (city, _):
        one_of("--department", department, city.catalog.departments)
        shown = requests.show_request(city, number, department=department)
    row = asdict(shown["request"])
    if as_json:
        emit_json({**shown, "request": row})
        return
    values = {**row, **shown["values"][0]}
    emit_table([{"field": field, "value": value} for field, value in values.items()], title=number)
    emit_table(shown["events"], title="what happened")
    if shown["disputes"]:
        emit_table(shown["disputes"], title="disputes")


@requests_app.command("withdraw")
def withdraw_request(
    number: Number, department: Applicant, reason: Reason, by: By = None, as_of: Day = None, as_json: Json = False
) -> None:
    """Take a request back: the value is no longer marked, its authority owes nothing."""
    from assets import requests

    with in_city(as_of) as (city, day):
        one_of("--department", department, city.catalog.departments)
        row = requests.withdraw(
            city, number, reason, department=department, actor=by or getpass.getuser(), as_of=day
        )  # fmt: skip
    _tell(asdict(row), f"{number}: withdrawn", as_json)


@disputes_app.command("list")
def list_disputes(department: Department = None, state: State = "open", as_json: Json = False) -> None:
    """One line per dispute: between whom, about what, on which level."""
    from assets import dispute_book
    from pipelines.console import emit_table

    with in_city(None) as (city, _):
        one_of("--department", department, city.catalog.departments)
        one_of("--state", state, get_args(dispute_book.State))
        rows = dispute_book.list_disputes(city, department=department, state=state)  # type: ignore[arg-type]  # checked
    emit_table([asdict(row) for row in rows], title=f"disputes {state}", as_json=as_json)


@disputes_app.command("show")
def show_dispute(number: Dispute, department: Department = None, as_json: Json = False) -> None:
    """One dispute with every statement and decision."""
    from assets import dispute_book
    from assets.disputes import UnknownDisputeError
    from pipelines.console import emit_json, emit_table

    with in_city(None) as (city, _):
        one_of("--department", department, city.catalog.departments)
        found = dispute_book.list_disputes(city, department=department, state="all", number=number)
        if not found:
            raise UnknownDisputeError(f"dispute {number}: there is none of that number")
        events = [asdict(one) for one in dispute_book.statements(city, number)]
    if as_json:
        emit_json({"dispute": asdict(found[0]), "events": events})
        return
    emit_table([{"field": field, "value": value} for field, value in asdict(found[0]).items()], title=number)
    emit_table(events, title="what was said and decided")


@disputes_app.command("open")
def open_dispute(
    item: Annotated[str, typer.Argument(help="an item id, as in `orders show`, or a request's number")],
    party: Party,
    text: Text,
    evidence: Evidence = None,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Open a dispute about an objection that is pending, or that was rejected and its department contests."""
    from assets import disputes, requests

    with _acting(party, text, evidence, by, as_of) as (city, word):
        found = requests.list_requests(city, state="all", number=item)
        row = disputes.open_dispute(city, found[0].item_id if found else item, word)
    _tell(asdict(row), f"{row.dispute_number}: opened on level {row.level}, {row.state}", as_json)


@disputes_app.command("state")
def state_in_dispute(
    number: Dispute,
    party: Party,
    text: Text,
    evidence: Evidence = None,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Keep a party's statement with its evidence."""
    from assets import disputes

    with _acting(party, text, evidence, by, as_of) as (city, word):
        row = disputes.state(city, number, word)
    _tell(asdict(row), f"{number}: stated", as_json)


@disputes_app.command("escalate")
def escalate_dispute(
    number: Dispute,
    party: Party,
    text: Text,
    to: Annotated[str | None, typer.Option("--to", help="authority, superior, government; default the next")] = None,
    evidence: Evidence = None,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """Take a dispute further: negotiation, authority, common superior (across levels or regions), government."""
    from assets import disputes

    with _acting(party, text, evidence, by, as_of) as (city, word):
        row = disputes.escalate(city, number, word, to)
    _tell(asdict(row), f"{number}: level {row.level}, {row.state}", as_json)


@disputes_app.command("decide")
def decide_dispute(
    number: Dispute,
    outcome: Annotated[str, typer.Argument(help="upheld (the value stands) or rejected (it is to be corrected)")],
    text: Text,
    rule_version: Annotated[
        int | None, typer.Option("--rule-version", help="of an upheld one: this version of the rule will judge again")
    ] = None,
    evidence: Evidence = None,
    by: By = None,
    as_of: Day = None,
    as_json: Json = False,
) -> None:
    """End a dispute by what its level decided; the bureau enters it."""
    from assets import disputes

    with _acting("city", text, evidence, by, as_of) as (city, word):
        row = disputes.decide(city, number, outcome, word, rule_version=rule_version)
    _tell(asdict(row), f"{number}: {row.state} on level {row.level}", as_json)


@disputes_app.command("withdraw")
def withdraw_dispute(
    number: Dispute, party: Party, text: Text, by: By = None, as_of: Day = None, as_json: Json = False
) -> None:
    """The department gives its objection up; it owes the correction."""
    from assets import disputes

    with _acting(party, text, None, by, as_of) as (city, word):
        row = disputes.withdraw(city, number, word)
    _tell(asdict(row), f"{number}: withdrawn", as_json)


@contextmanager
def _acting(
    party: str, text: str, evidence: str | None, by: str | None, as_of: str | None
) -> Iterator[tuple[Any, Any]]:
    """The city, and who says what."""
    from assets.disputes import Word
    from assets.sending import BUREAU

    with in_city(as_of) as (city, day):
        one_of("--party", party, [*city.catalog.departments, BUREAU])
        yield city, Word(party, text, by or getpass.getuser(), day, evidence)


def _tell(row: dict[str, Any], said: str, as_json: bool) -> None:
    from pipelines.console import emit_json, err

    if as_json:
        emit_json(row)
        return
    err.print(said)
