"""An explanation as a screen of text: two or three lines an attribute, or the whole story of one."""

from __future__ import annotations

from collections.abc import Iterator

from assets.explanation import AttributeStory, Explanation, Finding, Statement, Version
from assets.report_words import OUTCOMES
from catalog.load import Catalog

INDENT = "    "
FEW = 3  # silent resources that the short form names
LONG = 40  # characters of a value that the short form shows


def told(catalog: Catalog, found: Explanation, *, whole: bool = False) -> str:
    """The explanation as lines; `whole` tells everything of each attribute."""
    lines = [*_head(found), ""]
    for story in found.attributes:
        lines += _whole(catalog, story) if whole else _short(catalog, story)
    if found.findings:
        lines += ["", f"open findings on these values: {len(found.findings)}"]
        lines += [INDENT + _finding(one) for one in found.findings]
    return "\n".join(lines)


def _head(found: Explanation) -> Iterator[str]:
    yield f"{found.title} {found.library}: {found.key}"
    life = [f"began {found.began_on}"] if found.began_on else []
    life += [f"ended {found.ended_on}"] if found.ended_on else []
    speaking = "1 record speaks of it" if found.sources == 1 else f"{found.sources} records speak of it"
    if not found.sources:
        speaking = "nobody speaks of it any more"
    yield "; ".join([f"entity {found.entity_id}", speaking, *life, f"believed so since {found.believed_from}"])
    for link in found.links:
        what = "key" if link["kind"] == "key" else f"record of {link['department']}.{link['resource']}"
        sure = f", probability {link['probability']:.3f}" if link["probability"] is not None else ""
        yield f"also {what} {link['key']}: {link['how']}{sure}, since {link['since']}"
    if found.blocked:
        yield f"kept out by findings of severity block: records of {', '.join(found.blocked)}"


def _title(story: AttributeStory) -> str:
    value = "nothing" if story.value is None else _value(story)
    outcome = f"{story.outcome} {OUTCOMES[story.outcome].zh}: " if story.outcome else ""
    return f"{story.attribute} {story.title} = {value}    {outcome}{story.why}"


def _value(one: AttributeStory | Statement | Version, *, longest: int | None = None) -> str:
    """The value, and of a code what it means."""
    value = str(one.value)
    shown = f"{value[:longest]}…" if longest and len(value) > longest else value
    return f"{shown} {one.meaning}" if one.meaning else shown


def _short(catalog: Catalog, story: AttributeStory) -> Iterator[str]:
    yield _title(story)
    if not story.statements:
        return
    first, *others = story.statements
    if story.value is not None:
        yield f"{INDENT}{_where(catalog, first)}; {_checked(first)}"
    else:
        others = list(story.statements)
    agree = sorted({one.department for one in others if one.stance == "agrees"})
    differ = [f"{one.resource} {_value(one, longest=LONG)}{_doubt(one)}" for one in others if one.stance == "differs"]
    said = [f"agree: {', '.join(agree)}"] if agree else []
    said += [f"differ: {', '.join(differ)}"] if differ else []
    said += [f"silent: {_few(story.silent)}"] if story.silent else []
    if said:
        yield INDENT + " | ".join(said)
    if len(story.versions) > 1:
        yield INDENT + "before: " + _version(story.versions[1])


def _whole(catalog: Catalog, story: AttributeStory) -> Iterator[str]:
    yield _title(story)
    yield "stated now:"
    for one in story.statements:
        yield f"{INDENT}{_value(one)}{_doubt(one)}    {one.stance}; {_where(catalog, one)}"
        yield f"{INDENT}{INDENT}record {one.record_key}, delivery {one.delivery_id}"
        yield f"{INDENT}{INDENT}{_checked(one, named=True)}"
    if story.silent:
        yield f"{INDENT}nothing    {', '.join(story.silent)}"
    yield "believed:"
    yield from (INDENT + _version(one) for one in story.versions)


def _where(catalog: Catalog, one: Statement) -> str:
    title = catalog.departments[one.department].title.zh
    place = f"{one.file_name} row {one.row}" if one.file_name else f"row {one.row}"
    return f"{title} {one.resource}, as of {one.as_of}, {place}"


def _few(resources: tuple[str, ...]) -> str:
    return ", ".join(resources) if len(resources) <= FEW else f"{len(resources)} other resources"


def _checked(one: Statement, *, named: bool = False) -> str:
    kept = f"keeps {len(one.kept)} rule{'' if len(one.kept) == 1 else 's'}"
    if named and one.kept:
        kept = f"keeps {', '.join(one.kept)}"
    return f"breaks {', '.join(one.broken)}; {kept}" if one.broken else kept


def _doubt(one: Statement) -> str:
    return " (doubted by a finding)" if one.doubted else ""


def _version(one: Version) -> str:
    value = "nothing" if one.value is None else _value(one)
    said = f" from {one.source} as of {one.as_of}, {one.outcome}" if one.source else ""
    until = f"until {one.believed_to}" if one.believed_to else "to this day"
    return f"{value}{said}; believed from {one.believed_from} {until}"


def _finding(one: Finding) -> str:
    order = f"; order {one.order_number} {one.state}, due {one.due_on}" if one.order_number else ""
    where = f"{one.resource} record {one.record_key}, {one.column}"
    return f"{one.rule_id} ({one.severity}) {where}, since {one.first_seen}{order}"
