"""Who says what of an entity, told in one character per source (多源比对), where all who speak say the same.

`<attribute>_said` has one character per source that supplies the attribute, in the order of their names:
`A` agrees and was compared, `D` differs and was compared, `a` and `d` agree and differ but are not compared with the
value that stands (they have its rank or a better one, are its department, it is in doubt, …), `-` says nothing. Where
no value may stand, whoever says something differs.

Entities whose sources agree as they write, nearly all, need no look at the values: who spoke is a number with one bit
per source, who won is in the standing, and the few combinations of both are worked out once each. The others are
`quality_checks.disputes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from catalog.models import Attribute
from quality_checks.macros import name
from quality_checks.sources import (
    INDEX_BIT,
    MAX_INDEX,
    RANK_BIT,
    Source,
    authority_ranks,
    by_index,
    listed_ranks,
    suppliers,
    voices,
)

LETTERS = "-adAD"  # by the number of what a source says: nothing, agrees, differs, and both of them compared
AGREES, DIFFERS, COMPARED = 1, 2, 2  # a letter is AGREES or DIFFERS, and COMPARED more where it was compared
WORD = 60  # sources whose bits stand in one BIGINT
_RANK, _DOUBT, _MUTE = 12, 19, 20  # bits of a winner: its index stands below


class Mask(NamedTuple):
    """A column of bits: `word` of those that speak as authority in their time (`n`), or of the others (`m`)."""

    kind: str
    word: int
    attribute: str

    @property
    def column(self) -> str:
        return name(f"{self.kind}{self.word}_{self.attribute}")


def masks(witnesses: Sequence[Source], attribute: str) -> list[Mask]:
    """The columns that tell who spoke of the attribute."""
    stating = suppliers(witnesses, attribute)
    kinds = ["m"] if all(source.fixed_rank(attribute) is not None for source in stating) else ["m", "n"]
    return [Mask(kind, word, attribute) for kind in kinds for word in range((len(stating) + WORD - 1) // WORD)]


def bit(source: Source, mask: Mask, stating: Sequence[Source]) -> str | None:
    """The source's bit of the column as SQL over its records, where the value is there; None where it never has one."""
    place = [one.index for one in stating].index(source.index)
    if place // WORD != mask.word:
        return None
    value, fixed = f"{1 << place % WORD}::BIGINT", source.fixed_rank(mask.attribute)
    said = f"{name('v_' + mask.attribute)} IS NOT NULL"
    if fixed is None:
        ranks = authority_ranks(source.library.attributes[mask.attribute])
        said += f" AND ({source.rank(mask.attribute)}) {'<' if mask.kind == 'n' else '>='} {ranks}"
    return f"CASE WHEN {said} THEN {value} END" if fixed is None or mask.kind == "m" else None


def winner(standing: str) -> str:
    """Muteness, doubt, rank and index of a standing, as one small number."""
    return f"((({standing}) >> {RANK_BIT} << {_RANK}) | ((({standing}) >> {INDEX_BIT}) & {MAX_INDEX}))::INTEGER"


def departments(witnesses: Sequence[Source]) -> list[str]:
    """Names of the sources' departments, by index."""
    return [source.resource.department for source in witnesses]


def below(source: Source, attribute: str) -> int:
    """The rank of the source's records that are not an authority's."""
    stated = source.library.attributes[attribute]
    named = [place for place, origin in enumerate(stated.substitutes) if source.speaks_as(origin)]
    return authority_ranks(stated) + (named[0] if named else len(stated.substitutes))


def grounds_sql(witnesses: Sequence[Source], attribute: str, entities: str) -> str:
    """One row per combination of who spoke and who won, where all say the same: the columns of `masks`, `winner`,
    `source` (department of the value that stands), `outcome`, `said`.
    """
    stated = witnesses[0].library.attributes[attribute]
    columns = ", ".join(mask.column for mask in masks(witnesses, attribute))
    letters = " || ".join(_letters(witnesses, attribute, stated))
    return (
        f"SELECT {columns}, winner, CASE WHEN winner >> {_MUTE} = 0 THEN"
        f" ({by_index(departments(witnesses))})[(winner & {MAX_INDEX}) + 1] END AS source,"
        f" {_outcome(witnesses, attribute, stated)} AS outcome, {letters} AS said FROM"
        f" (SELECT DISTINCT {columns}, {winner(name('k_' + attribute))} AS winner FROM {entities}"
        f" WHERE {name('k_' + attribute)} IS NOT NULL)"
    )


def _spoke(witnesses: Sequence[Source], attribute: str) -> Iterator[tuple[Source, dict[str, str]]]:
    """Each supplier and whether it spoke, as SQL, by kind of column."""
    for place, source in enumerate(suppliers(witnesses, attribute)):
        here = [mask for mask in masks(witnesses, attribute) if mask.word == place // WORD]
        yield source, {m.kind: f"coalesce(({m.column} >> {place % WORD}) & 1 = 1, false)" for m in here}


def _letters(witnesses: Sequence[Source], attribute: str, stated: Attribute) -> Iterator[str]:
    first, listed = authority_ranks(stated), listed_ranks(stated)
    for source, spoke in _spoke(witnesses, attribute):
        rank = below(source, attribute)
        own = ", ".join(str(w.index) for w in witnesses if w.resource.department == source.resource.department)
        compared = (
            f"winner >> {_DOUBT} = 0 AND ((winner >> {_RANK}) & 127) < {min(rank, listed)}"
            f" AND (winner & {MAX_INDEX}) NOT IN ({own}) AND {spoke['m']}"
        )
        never = stated.compare is None or rank < first or source.fixed_rank(attribute) in range(first)
        yield (
            f"CASE WHEN NOT ({' OR '.join(spoke.values())}) THEN '-' WHEN winner >> {_MUTE} = 1 THEN 'd'"
            + ("" if never else f" WHEN {compared} THEN 'A'")
            + " ELSE 'a' END"
        )


def _outcome(witnesses: Sequence[Source], attribute: str, stated: Attribute) -> str:
    spoken = voices(witnesses, attribute)
    by_voice: dict[str, list[str]] = {}
    for source, spoke in _spoke(witnesses, attribute):
        by_voice.setdefault(spoken[source.index], []).extend(spoke.values())
    heard = " + ".join(f"({' OR '.join(spoke)})::INTEGER" for spoke in by_voice.values())
    return outcome_sql(stated, f"(winner >> {_RANK}) & 127", f"winner >> {_MUTE} = 1", f"{heard} = 1", None)


def outcome_sql(stated: Attribute, rank: str, mute: str, alone: str, split: str | None) -> str:
    """How the value came to stand: see docs/architecture.md. `split` is SQL for the outcome where voices differ."""
    first, listed = authority_ranks(stated), listed_ranks(stated)
    agreed = f"CASE WHEN {alone} THEN 'single' ELSE 'agreed' END"
    substitute = f"WHEN ({rank}) >= {first} AND ({rank}) < {listed} THEN 'substitute'" if listed > first else ""
    return f"CASE WHEN {mute} THEN NULL {substitute} ELSE {f'coalesce({split}, {agreed})' if split else agreed} END"
