"""What `assets.explain` tells of one entity of a library, as values; `assets.explain_text` makes its text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Statement:
    """What one record says of one attribute now. `stance`: agrees, differs, with the value believed.

    `meaning` is what the code list says of a value that is a code.
    """

    department: str
    resource: str
    value: str
    meaning: str | None
    stance: str
    doubted: bool
    record_key: str
    delivery_id: str
    file_name: str | None
    row: int
    as_of: date
    kept: tuple[str, ...]  # rules on the column that the record does not break
    broken: tuple[str, ...]  # … and with an open finding


@dataclass(frozen=True)
class Version:
    """What was believed of one attribute from one business day to another, null: to this day."""

    value: str | None
    meaning: str | None
    source: str | None
    as_of: date | None
    outcome: str | None
    believed_from: date
    believed_to: date | None


@dataclass(frozen=True)
class Finding:
    """An open finding on a record that speaks of the entity, and the correction order it stands in."""

    rule_id: str
    severity: str
    resource: str
    record_key: str
    column: str
    first_seen: date
    order_number: str | None
    state: str | None
    due_on: date | None


@dataclass(frozen=True)
class AttributeStory:
    """One attribute of the entity: what is believed and why, who says what, what was believed before."""

    attribute: str
    title: str
    value: str | None
    meaning: str | None
    outcome: str | None
    why: str
    statements: tuple[Statement, ...]  # the one believed first
    silent: tuple[str, ...]  # resources that supply the attribute and say nothing of it here
    versions: tuple[Version, ...]  # the newest first


@dataclass(frozen=True)
class Explanation:
    """One entity of a library, as it is believed now."""

    library: str
    title: str
    key: str
    entity_id: str
    sources: int
    began_on: date | None
    ended_on: date | None
    believed_from: date
    attributes: tuple[AttributeStory, ...]
    blocked: tuple[str, ...]  # resources with records that findings keep out
    links: tuple[dict[str, Any], ...]  # other keys and records that were found to be this entity
    findings: tuple[Finding, ...]
