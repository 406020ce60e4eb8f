"""What one evaluation of one rule came to: numerator and denominator, never only a ratio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RuleResult:
    """One rule evaluated on one resource in one pass.

    `applicable` counts the rows the rule applies to, `failed` those of them that violate it, of which up to `tolerated`
    let the table pass. A rule whose SQL fails has
    `state` "error" with the database's `message`: that is neither a pass nor bad data.
    """

    department: str
    resource: str
    rule_id: str
    dimension: str
    indicator: str
    severity: str
    applicable: int
    failed: int
    state: Literal["ok", "error"] = "ok"
    message: str = ""
    tolerated: int = 0


def redact(message: str) -> str:
    """A database error as far as it quotes nothing: what stands in quotes, and after, may be a record's value."""
    told = re.split(r"['\"\n]", message, maxsplit=1)
    return re.sub(r"\d{4,}", "…", told[0]) + "…" * (len(told) > 1)
