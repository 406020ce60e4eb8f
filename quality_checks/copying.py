"""When two sources that share errors count as one: weights of pairs, and the groups that follow from them.

How often one source repeats the errors of another is counted in `quality_checks.independence`; here is the judgement,
in plain numbers. Independent sources repeat errors as well: both may still hold what was true last year. How many of
the errors of one source another repeats by chance is learned from how it repeats those of third sources: the median
share, never taken below `LEAST_CHANCE`. The weight of a pair is the logarithm of the odds that the errors are copied
(`COPIED` of them) rather than repeated by chance; from `ENOUGH` on two sources are one group. Few errors never reach
it: then nothing is said.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

COPIED = 0.8  # share of its errors that a copier is taken to have copied, as in the paper
LEAST_CHANCE, MOST_CHANCE = 0.3, 0.9  # bounds of the share that chance explains
ENOUGH = 11.5  # odds of a hundred thousand to one
TELLING = 5  # errors of a third source from which a share can be learned


@dataclass(frozen=True, slots=True)
class Repeats:
    """How many of one source's errors another one repeats, and in which attributes."""

    errors: int = 0
    shared: int = 0
    attributes: tuple[int, ...] = ()


Directed = Mapping[tuple[int, int], Repeats]  # (whose errors, who repeats them), by the sources' index
Grouping = tuple[int, ...]  # of each source, by index, the smallest index of its group


@dataclass(frozen=True, slots=True)
class Judged:
    """The direction of a pair that weighs more: `other` repeats the errors of `one`, `expected` of them by chance."""

    one: int
    other: int
    seen: Repeats
    expected: float
    weight: float


def judge(repeats: Directed, one: int, other: int) -> Judged:
    """Who of two sources more likely has its errors from the other; who has none says nothing about that."""
    found = []
    for way in [way for way in ((one, other), (other, one)) if way in repeats] or [(one, other)]:
        seen, by_chance = repeats.get(way, Repeats()), chance(repeats, *way)
        found.append(Judged(*way, seen, seen.errors * by_chance, weight(seen, by_chance)))
    return max(found, key=lambda judged: judged.weight)


def chance(repeats: Directed, one: int, other: int) -> float:
    """Share of the errors of `one` that `other` would repeat by chance: as it repeats those of third sources."""
    shares = [
        seen.shared / seen.errors
        for (third, who), seen in repeats.items()
        if who == other and third != one and seen.errors >= TELLING
    ]
    return min(MOST_CHANCE, max([LEAST_CHANCE, *([statistics.median(shares)] if shares else [])]))


def weight(seen: Repeats, by_chance: float) -> float:
    """Logarithm of the odds for copying; below zero the sources are more likely independent."""
    copied = math.log((COPIED + (1 - COPIED) * by_chance) / by_chance)
    return seen.shared * copied + (seen.errors - seen.shared) * math.log(1 - COPIED)


def common(groupings: Sequence[Grouping]) -> Grouping:
    """Groups of those that are together in every grouping."""
    first: dict[tuple[int, ...], int] = {}
    return tuple(first.setdefault(all_of, index) for index, all_of in enumerate(zip(*groupings, strict=True)))


def grouped(repeats: Directed, start: Grouping, count: int) -> Grouping:
    """The declared groups, and the pairs that weigh enough joined to them, the heaviest first.

    Two groups stay apart where a source of one and a source of the other are as clearly independent of one another.
    """
    weights = {pair: judge(repeats, *pair).weight for pair in {(min(way), max(way)) for way in repeats}}
    groups = {index: {other for other in range(count) if start[other] == start[index]} for index in range(count)}
    for (one, other), found in sorted(weights.items(), key=lambda found: (-found[1], found[0])):
        if found < ENOUGH:
            break
        joined = groups[one] | groups[other]
        if any(weights.get((min(a, b), max(a, b)), 0) <= -ENOUGH for a in groups[one] for b in groups[other]):
            continue
        groups.update(dict.fromkeys(joined, joined))
    return tuple(min(groups[index]) for index in range(count))


def components(count: int, links: Iterable[tuple[int, int]]) -> Grouping:
    """Groups of sources that links connect, directly or over others."""
    groups = {index: {index} for index in range(count)}
    for one, other in links:
        joined = groups[one] | groups[other]
        groups.update(dict.fromkeys(joined, joined))
    return tuple(min(groups[index]) for index in range(count))
