"""Text of any encoding as UTF-8, in the reader's child process.

What an encoding is: declared, or shown by a byte order mark, or UTF-16 by its zero bytes, else UTF-8 where that is
strictly right, else GB18030. A file that is neither, or partly one and partly the other, is refused by line and byte.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from resources.reading import Work

CHUNK = 8_000_000
HEAD = 4096
TRANSCODED = "utf8.txt"
BOM = codecs.BOM_UTF8
MIXED_SHARE = 0.02  # of the lines with Chinese: so many may by chance be right UTF-8 in a file of GB18030
CHINESE = 3  # characters of a line from which on chance does not make it right UTF-8


def readable(work: Work, path: Path) -> Path:
    """The file itself when it may be UTF-8, else a copy in UTF-8: what its first bytes or the layout say otherwise.

    Raises:
        RefusedError: it is not in the encoding declared or shown.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    declared = work.layout.get("encoding")
    encoding = codecs.lookup(declared).name if declared else _shown(head)
    if encoding in {"utf-8", "utf-8-sig", "ascii"}:
        return path
    try:
        return _transcoded(work, path, encoding)
    except UnicodeDecodeError as error:
        said = "declared" if declared else "as its first bytes show"
        raise work.refuse("encoding", f"not in {encoding}, {said}: wrong at {place(path, error.start)}") from None


def _shown(head: bytes) -> str:
    """The encoding that the first bytes show; utf-8 when they show none."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > half * 0.3 and even <= half * 0.02:
        return "utf-16-le"
    if even > half * 0.3 and odd <= half * 0.02:
        return "utf-16-be"
    return "utf-8"


def as_utf8(work: Work, path: Path) -> Path:
    """The same file when it is strict UTF-8, else a copy transcoded from GB18030, which is noted.

    Raises:
        RefusedError: it is neither, or both; the message names line and byte.
    """
    if path == work.folder / TRANSCODED or (text := readable(work, path)) != path:
        return work.folder / TRANSCODED
    try:
        for _ in decoded(text, "utf-8"):
            pass
    except UnicodeDecodeError as error:
        wrong = place(text, error.start)
    else:
        return text
    if "encoding" in work.layout:
        raise work.refuse("encoding", f"not in {work.layout['encoding']}, as declared: wrong at {wrong}")
    try:
        target = _transcoded(work, text, "gb18030")
    except UnicodeDecodeError as error:
        raise work.refuse(
            "encoding", f"neither UTF-8 (wrong at {wrong}) nor GB18030 (wrong at {place(text, error.start)})"
        ) from None
    _refuse_mixed(work, text)
    work.note("encoding", f"read as GB18030, because it is not UTF-8 (at {wrong})")
    return target


def _refuse_mixed(work: Work, path: Path) -> None:
    """Refuse a file with lines of UTF-8 among lines of another encoding: GB18030 would turn the former to nonsense."""
    lines = {True: 0, False: 0}
    first = {True: 0, False: 0}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.isascii():
                continue
            right = _chinese_utf8(line)
            lines[right] += 1
            first[right] = first[right] or number
    if lines[True] > MIXED_SHARE * (lines[True] + lines[False]):
        raise work.refuse(
            "encoding",
            f"line {first[True]} is UTF-8 and line {first[False]} is not: several encodings in one file; "
            "write it in one and deliver it again",
        )


def _chinese_utf8(line: bytes) -> bool:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    beyond = [char for char in text if not char.isascii()]
    return len(beyond) >= CHINESE and all("\u2000" <= char <= "\u9fff" or char >= "\uff00" for char in beyond)


def _transcoded(work: Work, path: Path, encoding: str) -> Path:
    target = work.folder / TRANSCODED
    with target.open("w", encoding="utf-8", newline="") as out:
        for number, piece in enumerate(decoded(path, encoding)):
            out.write(piece if number else piece.removeprefix("\ufeff"))
    return target


def decoded(path: Path, encoding: str) -> Iterator[str]:
    """The file's text in pieces; a decoding error's `start` is the position in the file."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with path.open("rb") as file:
        at = 0
        while True:
            chunk = file.read(CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                yield decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                error.start += at - pending
                raise
            if not chunk:
                return
            at += len(chunk)


def place(path: Path, at: int) -> str:
    """Line and byte of a position, for a message."""
    line, left = 1, at
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, CHUNK))):
            line += chunk.count(b"\n")
            left -= len(chunk)
    return f"line {line}, byte {at}"
