"""The two classes of failure, and nothing else: what may heal by itself, and what somebody must mend.

A failure is one of the two by its class. Only a `TransientError` is tried again, here (with `stamina`) and by Dagster;
everything else, an unknown error too, is permanent: trying again would hide it and load the other side.
"""

from __future__ import annotations


class TransientError(Exception):
    """The world was not ready: network, time limit, a lock, a server that starts. The same call may work later."""


class PermanentError(Exception):
    """Somebody must change something first: a password, an address, a missing table, the catalogue, a disk."""
