"""Records of delimited text one by one, in the reader's child process: what DuckDB refuses, and broken parts apart.

`split` cuts lines into records of any dialect; `Sorting` writes the readable ones to a staging file and sets the others
aside with line and reason. Both stream: a file of any length takes the memory of its longest record.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

from resources.reading import Work, literal, quoted

RECORD_LIMIT = 2_000_000  # characters of a record; DuckDB by itself takes lines of 2 MB
LINE_LIMIT = 32_000_000  # characters of one line, more are not looked at
OWN_LINES = 16_000_000  # bytes of a line in files that this module wrote itself


@dataclass(frozen=True)
class Dialect:
    """How records and fields are told apart. No `quote`: nothing is quoted; `escape` = `quote`: quotes are doubled;
    no `line_end`: any of the three.
    """

    delimiter: str
    quote: str = '"'
    escape: str = '"'
    line_end: str = ""

    def scan(self, path: Path, width: int, *, header: bool = False, line_limit: int = 0) -> str:
        """`read_csv` with everything said: nothing is sniffed, every column is text named c0, c1, …"""
        columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(width))
        size = f"max_line_size = {line_limit}, buffer_size = {line_limit}" if line_limit else f"buffer_size = {BUFFER}"
        return (
            f"read_csv({literal(path)}, auto_detect = false, header = {header}, delim = {literal(self.delimiter)}, "
            f"quote = {literal(self.quote)}, escape = {literal(self.escape)}, strict_mode = true, {size}, "
            f"columns = {{{columns}}})"
        )


BAD_COLUMNS = 5
BUFFER = 4_000_000  # bytes: with DuckDB's own 32 MB a large file takes twice the memory, and no less time
OWN = Dialect(",")


class Record(NamedTuple):
    """One record: the lines it begins and ends in and its fields, or the problem that leaves only its text.

    With both, the fields are those of a record in which a quote inside a value is neither doubled nor escaped.
    """

    line: int
    end: int
    fields: list[str] | None
    problem: str
    text: str


class OpenQuoteError(Exception):
    """A quote is left open over several lines: nobody can say which records it swallowed."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


class _Cut:
    """A record in the making, fed line by line; `kind` to quotes inside a value that no delimiter follows."""

    def __init__(self, dialect: Dialect, *, kind: bool = False) -> None:
        self._kind = kind
        self._delimiter = dialect.delimiter
        self._quote = dialect.quote
        self._escape = dialect.escape if dialect.escape != dialect.quote else ""
        self._marks = re.compile("[" + re.escape(dialect.quote + self._escape) + "]") if dialect.quote else None
        special = (dialect.delimiter, self._escape, *filter(None, [dialect.quote]))
        self._escaped = re.compile(re.escape(self._escape) + "(" + "|".join(map(re.escape, special)) + ")")
        self._blank = "" if dialect.delimiter.startswith(" ") else " "
        self._value: list[str] = []
        self._inside = False
        self.fields: list[str] = []

    def feed(self, body: str, end: str) -> bool:
        """Take a line; true when the record ends with it.

        Raises:
            ValueError: something stands after a closing quote.
        """
        at = 0
        while True:
            if not self._inside:
                at = self._open(body, at)
            if self._inside:
                at = self._close(body, at)
                if at < 0:
                    self._value.append(end)
                    return False
            if at >= len(body):
                return True
            at += len(self._delimiter)

    def _open(self, body: str, at: int) -> int:
        """The end of an unquoted field, or the place after the quote that opens one."""
        start = at
        while self._blank and body.startswith(self._blank, start):
            start += 1
        if self._quote and body.startswith(self._quote, start):
            self._inside, self._value = True, []
            return start + 1
        end = self._next(body, at)
        text = body[at:end]
        if self._escape and self._escape in text:
            text = self._escaped.sub(r"\1", text)
        self.fields.append(text)
        return end

    def _next(self, body: str, at: int) -> int:
        """Where the next delimiter stands that is not escaped."""
        end = body.find(self._delimiter, at)
        while self._escape and end > at and (end - len(body[at:end].rstrip(self._escape)) - at) % 2:
            end = body.find(self._delimiter, end + 1)
        return len(body) if end < 0 else end

    def _close(self, body: str, at: int) -> int:
        """The end of a quoted field, -1 when the line ends within it."""
        assert self._marks is not None  # noqa: S101  # a quote was found
        while mark := self._marks.search(body, at):
            here = mark.start()
            after = body[here + 1 : here + 2]
            self._value.append(body[at:here])
            at = here + 2
            if body[here] == self._escape:
                escaped = after and after in {self._quote, self._escape}
                self._value.append(after if escaped else self._escape)
                at = here + 2 if escaped else here + 1
            elif not self._escape and after == self._quote:
                self._value.append(self._quote)
            elif (end := self._end(body, here + 1)) >= 0:
                self.fields.append("".join(self._value))
                self._inside = False
                return end
            elif self._kind:
                self._value.append(self._quote)
                at = here + 1
            else:
                raise ValueError(f"something stands after a closing {self._quote}")
        self._value.append(body[at:])
        return -1

    def _end(self, body: str, at: int) -> int:
        """Where the field ends if a quote before `at` closes it, -1 if it cannot."""
        while self._blank and body.startswith(self._blank, at):
            at += 1
        return at if at >= len(body) or body.startswith(self._delimiter, at) else -1


def split(lines: Iterable[str], dialect: Dialect, first_line: int = 1) -> Iterator[Record]:
    """Every record of the lines (with their ends), blank lines left out.

    Raises:
        OpenQuoteError: a quote opened in one line is not rightly closed in a later one.
    """
    marks = set(dialect.quote + dialect.escape)
    held: list[str] = []
    cut, began, size = _Cut(dialect), 0, 0
    for number, text in enumerate(lines, first_line):
        body = text.removesuffix(dialect.line_end) if dialect.line_end else text.rstrip("\r\n")
        if not held:
            if not marks.intersection(body) or len(body) > RECORD_LIMIT:
                yield from _plain(number, body, dialect.delimiter)
                continue
            cut, began, size = _Cut(dialect), number, 0
        held.append(text)
        size += len(text)
        try:
            ended = cut.feed(body, text[len(body) :])
        except ValueError as error:
            if len(held) > 1:
                raise OpenQuoteError(began, str(error)) from None
            kind = _Cut(dialect, kind=True)
            yield Record(began, number, kind.fields if kind.feed(body, "") else None, str(error), body)
            held = []
            continue
        if ended:
            yield Record(began, number, cut.fields, "", "")
            held = []
        elif size > RECORD_LIMIT:
            raise OpenQuoteError(began, f"a quote is not closed within {RECORD_LIMIT} characters")
    if held:
        raise OpenQuoteError(began, "a quote is not closed before the file ends")


def _plain(line: int, body: str, delimiter: str) -> Iterator[Record]:
    """A line without quotes; none when it is blank."""
    if len(body) > RECORD_LIMIT:
        yield Record(line, line, None, f"longer than {RECORD_LIMIT} characters", body[:RECORD_LIMIT])
    elif body.strip(" \t"):
        yield Record(line, line, body.split(delimiter), "", "")


class Sorting:
    """Readable records to one file, the others to another; records are numbered from 1 in the order they come."""

    def __init__(self, work: Work, names: Sequence[str], width: int) -> None:
        self._work = work
        self._names = [name.strip() for name in names]
        self._width = width
        self._good = work.folder / "good.csv"
        self._bad = work.folder / "bad.csv"
        self._files = [path.open("w", encoding="utf-8", newline="") for path in (self._good, self._bad)]
        self._good_rows, self._bad_rows = (
            own_writer(file, columns) for file, columns in zip(self._files, (width + 1, BAD_COLUMNS), strict=True)
        )
        self._assumed = 0
        self.total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def take_record(self, record: Record) -> None:
        """A record of a text: a quote inside a value is taken as part of it where the number of fields is right."""
        if record.fields is not None and (not record.problem or len(record.fields) == self._width):
            self._assumed += bool(record.problem)
            self.take(record.line, record.fields)
        else:
            code = "record_size" if record.problem.startswith("longer") else "quoting"
            self.broken(record.line, code, record.problem, record.text)

    def take(self, line: int, fields: Sequence[str]) -> None:
        """A record: staged when it has the header's number of fields and is not the header again."""
        self.total += 1
        if len(fields) != self._width:
            problem = f"{len(fields)} fields; the header has {self._width}"
            self._set_aside(line, "field_count", problem, fields)
        elif self._names and fields[0].strip() == self._names[0] and [f.strip() for f in fields] == self._names:
            self._set_aside(line, "repeated_header", "the header again", fields)
        else:
            self._good_rows.writerow([self.total, *fields])

    def broken(self, line: int, code: str, problem: str, text: str) -> None:
        """A record that has no fields."""
        self.total += 1
        self._set_aside(line, code, problem, text)

    def _set_aside(self, line: int, code: str, problem: str, content: Any) -> None:
        self._work.bad_rows += 1
        reason = f"{self._work.name}: record {self.total}, line {line}: {problem}"
        self._bad_rows.writerow([self.total, line, code, reason, json.dumps(content, ensure_ascii=False)])

    def stage(self, places: dict[str, int]) -> int:
        """Write the staging files, after everything was taken; the number of readable records.

        Raises:
            RefusedError: no record is readable.
        """
        work = self._work
        self.__exit__(None, None, None)
        if self.total and self.total == work.bad_rows:
            raise work.refuse(
                "field_count", f"none of its {self.total} records is readable with the header's {self._width} fields"
            )
        if self._assumed:
            work.note(
                "quotes_assumed",
                f"{self._assumed} records hold a quote inside a value that is not doubled; it was read as part of it",
            )
        picked = ", ".join(f"c{at + 1} as {quoted(column)}" for column, at in places.items())
        if work.bad_rows:
            work.numbered = True
            picked = f"c0::bigint as _row, {picked}"
            stage_bad(work, self._bad)
        good = OWN.scan(self._good, self._width + 1, header=True, line_limit=OWN_LINES)
        return work.stage(f"select {picked} from {good}") if self.total else 0


def own_writer(file: TextIO, columns: int) -> Any:
    """A writer of a file of ours, its header first: by that DuckDB knows the line end, whatever a value holds."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([f"c{i}" for i in range(columns)])
    return writer


def stage_bad(work: Work, bad: Path) -> None:
    """Records set aside, as the file that goes into quarantine."""
    scan = OWN.scan(bad, BAD_COLUMNS, header=True, line_limit=OWN_LINES)
    work.con.execute(
        "copy (select c0::bigint as row_number, c1::bigint as line, c2 as reason_code, c3 as reason, c4 as content "
        f"from {scan}) to {literal(work.bad_file)} (format parquet)"
    )
    work.note("field_count", f"records not readable with the header's fields, put in quarantine: {work.bad_rows}")
