"""How the report site writes a word, a number, a share and a file's reason: small functions the templates call.

Add a function here when two templates need the same piece of text. Words live in `assets.report_words`, pictures in
`assets.report_charts`, and which figure stands on which page is the business of `assets.reports`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assets import report_charts, report_words
from assets.report_scores import Ratio, counted_share, points
from assets.report_words import Word
from catalog.indicators import DIMENSIONS, INDICATORS
from quality_checks.indicators import STATEMENTS

TEMPLATES = Path(__file__).with_name("templates")
# An ID number of 15 or 18 characters or a mobile number, wherever a file name or a reason may have carried one in.
_PERSONAL = re.compile(r"(?<![0-9A-Za-z])(\d{17}[0-9Xx]|\d{15}|1[3-9]\d{9})(?![0-9A-Za-z])")
_BANDS = ((0.0, "s0"), (0.001, "s1"), (0.01, "s2"), (0.05, "s3"))  # failed share up to ..., shade of the cell
_BOTH = Markup('<span lang="zh-CN">{}</span><span lang="en">{}</span>')
_WORD = Markup('<span class="word"{}>{}</span>')
_NOTE = Markup(' title="{}"')
WORDS = {
    "severity": report_words.SEVERITIES,
    "dimension": report_words.DIMENSIONS,
    "verdict": report_words.VERDICTS,
    "quarantine": report_words.QUARANTINE,
    "feed": report_words.FEEDS,
    "cycle": report_words.CYCLES,
    "mode": report_words.MODES,
    "due": report_words.DUE,
    "sharing": report_words.SHARING,
    "turn": report_words.TURNS,
    "outcome": report_words.OUTCOMES,
    "otherwise": report_words.OTHERWISE,
    "cause": report_words.CAUSES,
}


def environment() -> Environment:
    """The templates with everything they may call; escaping on, an unknown name an error."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        t=both,
        tip=tip,
        plural=plural,
        word=labelled,
        charts=report_charts,
        dimensions=DIMENSIONS,
        indicators=INDICATORS,
        statements=STATEMENTS,
    )
    env.filters.update(n=number, clean=redact, failing=failing_share, passing=passing_share, band=band, width=width)
    env.filters.update(points=points, share=share, counted=counted_share)
    return env


@lru_cache(maxsize=4096)  # labels come again on every page
def both(zh: str, en: str) -> Markup:
    """One text in both languages; the style sheet decides which is seen."""
    return _BOTH.format(zh, en)


def tip(zh: str, en: str) -> str:
    """A tooltip: an attribute cannot follow the page's language, so it says both."""
    return f"{zh} · {en}"


@cache
def labelled(kind: str, name: str) -> Markup:
    """The word for a value of `kind`, its meaning in a tooltip."""
    said: Word = report_words.word(WORDS[kind], name)
    note = _NOTE.format(tip(said.zh_note, said.en_note)) if said.zh_note else ""
    return _WORD.format(note, both(said.zh, said.en))


def number(value: int | None) -> str:
    """A count with thousands separated; what is not known is a dash, never a zero."""
    return "—" if value is None else f"{value:,}"


def plural(count: int, one: str, many: str) -> str:
    """A count with its English noun."""
    return f"{count:,} {one if count == 1 else many}"


def redact(text: str) -> str:
    """`text` with anything shaped like an ID or mobile number masked but for its first three characters."""
    return _PERSONAL.sub(lambda found: found[0][:3] + "*" * (len(found[0]) - 3), text)


def failing_share(ratio: Ratio | None) -> str:
    """Failed of applicable. Rounding never turns a failure into 0.00 % nor a lone pass into 100 %."""
    return share(ratio.failed, ratio.applicable) if ratio else "—"


def passing_share(ratio: Ratio | None) -> str:
    """Passed of applicable, by the same rounding."""
    return share(ratio.applicable - ratio.failed, ratio.applicable) if ratio else "—"


def band(ratio: Ratio | None) -> str:
    """The shade of a score cell."""
    if ratio is None or ratio.applicable == 0:
        return "none"
    failed = ratio.failed / ratio.applicable
    return next((name for limit, name in _BANDS if failed <= limit), "s4")


def width(ratio: Ratio) -> str:
    """The length of a bar in percent: at least 1 when anything failed, so that it can be seen."""
    if not ratio.failed or not ratio.applicable:
        return "0"
    return f"{max(1.0, 100 * ratio.failed / ratio.applicable):.1f}"


def share(part: int, whole: int) -> str:
    """A count's part of the whole in percent; a part is never rounded to none nor to all."""
    if whole == 0:
        return "—"
    if part in (0, whole):
        return "0 %" if part == 0 else "100 %"
    hundredths = (20_000 * part + whole) // (2 * whole)  # of a percent, rounded half up, in whole numbers
    if hundredths == 0:
        return "<0.01 %"
    return ">99.99 %" if hundredths == 10_000 else f"{hundredths // 100}.{hundredths % 100:02d} %"
