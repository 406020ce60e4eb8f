"""What people decided about identities, replayed: which keys are one entity, which records belong to whom.

Decisions are append-only events (`ops.identity_decisions`); later ones go before earlier ones about the same thing. A
merge makes one entity's key an alias of another's, a split gives it back, and whatever was merged into it before stays
with it. They are stronger than any model and than numbers that a resource declares to be one entity's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["same", "different", "merge", "split", "relink"]
FOUNDED = "#"  # how the key of an entity begins that nobody has a number for


@dataclass(frozen=True)
class Decision:
    """One event. `record` is `<department>.<resource>|<record key>`; a merge makes `other_key` part of `entity_key`."""

    action: Action
    record: str = ""
    content: str = ""  # what a record said that is known by its place in a delivery alone; of relink the model's id
    entity_key: str = ""
    other_key: str = ""


@dataclass(frozen=True)
class Standing:
    """What all decisions come to.

    `merged` maps a key to the one it was merged into; `apart` are keys that were split off and stand for themselves,
    whatever a resource declares. `same` maps a record and its content to an entity, `different` holds pairs that a
    model may not link. `relinked` are models that somebody asked to look at the links of earlier ones again.
    """

    merged: Mapping[str, str] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()
    same: Mapping[tuple[str, str], str] = field(default_factory=dict)
    different: frozenset[tuple[str, str, str]] = frozenset()
    relinked: frozenset[str] = frozenset()

    def survivor(self, key: str) -> str:
        """The key that stands for `key` today."""
        while key in self.merged:
            key = self.merged[key]
        return key


def replay(decisions: Iterable[Decision]) -> Standing:
    """What the decisions, oldest first, come to. One that says nothing new changes nothing."""
    merged: dict[str, str] = {}
    apart: set[str] = set()
    same: dict[tuple[str, str], str] = {}
    different: set[tuple[str, str, str]] = set()
    relinked: set[str] = set()
    for one in decisions:
        record = (one.record, one.content)
        if one.action == "merge":
            into, gone = Standing(merged).survivor(one.entity_key), Standing(merged).survivor(one.other_key)
            if into != gone:
                merged[gone] = into
                apart.discard(gone)
        elif one.action == "split":
            merged.pop(one.other_key, None)
            apart.add(one.other_key)
        elif one.action == "same":
            same[record] = one.entity_key
            different.discard((*record, one.entity_key))
        elif one.action == "different":
            different.add((*record, one.entity_key))
            if same.get(record) == one.entity_key:
                del same[record]
        else:
            relinked.add(one.content)
    return Standing(merged, frozenset(apart), same, frozenset(different), frozenset(relinked))
