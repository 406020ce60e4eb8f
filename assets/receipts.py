"""Receipts of files that departments hand in: written before the ledger holds what they say, shown afterwards.

A kill between the two leaves the receipt under a hidden name: whoever takes the same file again shows it, when the
ledger has it, or writes it anew.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from assets.notice_files import harmless


def hidden(receipt: Path) -> Path:
    """Where a receipt stands until it may be shown."""
    return receipt.with_name(f".{receipt.name}.part")


def unfinished(receipt: Path) -> list[Path]:
    """What killed imports left of this receipt, on whatever day: `outbox/<department>/<day>/`."""
    return list(receipt.parent.parent.glob(f"*/{hidden(receipt).name}"))


def show(partials: Iterable[Path]) -> None:
    """Give hidden receipts their names."""
    for partial in partials:
        partial.replace(partial.with_name(partial.name.removeprefix(".").removesuffix(".part")))


def taken_before(receipt: Path, titles: Sequence[str], file: str) -> None:
    """The receipt of a file that comes again on a later day; of the same day the first one stands."""
    if receipt.exists():
        return
    receipt.parent.mkdir(parents=True, exist_ok=True)
    with hidden(receipt).open("w", encoding="utf-8-sig", newline="") as text:
        told = (harmless(file), "", "", "taken_before", "此前已接收,未作改动", "taken before: nothing changed")
        csv.writer(text).writerows([titles, told])
    show([hidden(receipt)])
