"""The time of day. Nothing else in the project asks the machine what time it is.

Business dates (`as_of`) come from deliveries, not from here.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The present moment with China's offset, +08:00."""
    return datetime.now(ZONE)  # noqa: TID251  # the one place


def today() -> date:
    """The present date in China."""
    return now().date()
