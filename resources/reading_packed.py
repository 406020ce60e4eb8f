"""What a delivered file really is, in the reader's child process: gzip and zip around it, and its format by content.

Nothing is unpacked under a name from inside an archive, never more than the limit is written, and an archive holds
exactly one file of data (or the files of one Shapefile).
"""

from __future__ import annotations

import gzip
import lzma
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from catalog.layout import SHEET_KINDS, TEXT_KINDS, Kind
from resources.landed import kind_of
from resources.reading import EMPTY, Work
from resources.reading_text import CHUNK, HEAD

OLE_MAGIC = b"\xd0\xcf\x11\xe0"  # the container of .xls and of workbooks with a password
ZIP_MAGIC = b"PK\x03\x04"
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
ENCRYPTED = 0x1
MEMBERS = 10_000  # entries of a zip that are looked at
NOISE = ("__MACOSX/", ".")  # what archivers add by themselves
# What zipfile raises on damaged bytes.
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
)
SHAPE_PARTS = ("shp", "dbf", "shx", "prj", "cpg")


def unpacked(work: Work, path: Path, packing: str, kind: Kind | None) -> tuple[Path, Kind]:
    """The file to read and its format: as declared, else as its content or the name inside the zip shows.

    Raises:
        RefusedError: not readable as what it is packed in, too large, or not one file of data.
    """
    if packing == "gz":
        path = _gunzipped(work, path)
    elif packing == "zip":
        path, kind = _unzipped(work, path, kind)
    if kind is None:
        raise work.refuse("extension", "its name does not say its format; declare the resource's layout.kind")
    if not path.stat().st_size:
        raise work.refuse("empty", "holds no byte; a delivery needs a header and at least one record")
    return path, _by_content(work, path, kind)


def _by_content(work: Work, path: Path, kind: Kind) -> Kind:
    """The format its first bytes prove, which is noted where the name says another."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if kind == "shapefile":
        return kind
    found: Kind = kind
    if head.startswith(OLE_MAGIC):
        _refuse_password(work, path)
        found = "xls"
    elif head.startswith(ZIP_MAGIC) and kind != "xlsx":
        if kind != "xls" and not _is_workbook(path):
            raise work.refuse("unreadable", f"is a zip archive inside, not {kind}; deliver it as .zip")
        found = "xlsx"
    elif head.startswith(PARQUET_MAGIC):
        found = "parquet"
    elif head.startswith(GZIP_MAGIC):
        raise work.refuse("unreadable", f"is gzip inside, not {kind}; deliver it once packed, as .gz")
    elif kind in SHEET_KINDS and not head.startswith(ZIP_MAGIC):
        found = _text_named_sheet(work, head, kind)
    if found != kind and not (kind == "tsv" and found == "csv"):
        work.note("kind_detected", f"is {found} by its content, though its name or layout says {kind}; read as {found}")
    return found


def _text_named_sheet(work: Work, head: bytes, kind: Kind) -> Kind:
    """Text that was saved under a workbook's name: CSV is read as such, a web page is not."""
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").replace(b"\x00", b"")[:200].lower()
    if start.startswith(b"<"):
        raise work.refuse(
            "unreadable", f"is a web page or XML saved as .{kind}; open it, save it as .xlsx and deliver it again"
        )
    printable = all(byte >= 0x20 or byte in b"\t\r\n" for byte in start)
    if not start or not printable or b"\n" not in head.replace(b"\r", b"\n"):
        raise work.refuse(
            "unreadable", f"not readable as an {kind.upper()} workbook; open it, save it as .xlsx and deliver it again"
        )
    return TEXT_KINDS[0]


def _refuse_password(work: Work, path: Path) -> None:
    with path.open("rb") as file:
        content = file.read(CHUNK)
        file.seek(max(0, path.stat().st_size - CHUNK))
        content += file.read(CHUNK)
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise work.refuse("password", "the workbook has a password; save it without and deliver it again")


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except DAMAGED_ZIP:
        return False


def _gunzipped(work: Work, path: Path) -> Path:
    target = work.folder / "unpacked"
    try:
        with gzip.open(path) as packed:
            _write(work, packed, target)
    except EOFError:
        raise work.refuse("truncated", "the gzip file is cut off before its end; deliver it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise work.refuse("unreadable", "not readable as gzip; deliver it again") from None
    return target


def _unzipped(work: Work, path: Path, kind: Kind | None) -> tuple[Path, Kind | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(work, archive)
            shapes = {_ending(one.filename): one for one in members if _ending(one.filename) in SHAPE_PARTS}
            if "shp" in shapes or kind == "shapefile":
                return _shape_parts(work, archive, members, shapes), "shapefile"
            if len(members) != 1:
                raise work.refuse("zip_content", f"holds {len(members)} files; allowed: one file of data in a zip")
            with archive.open(members[0]) as packed:
                _write(work, packed, work.folder / "unpacked")
            return work.folder / "unpacked", kind or kind_of(members[0].filename)
    except EOFError:
        raise work.refuse("truncated", "the zip archive is cut off before its end; deliver it again") from None
    except DAMAGED_ZIP:
        raise work.refuse("unreadable", "not readable as zip; deliver it again") from None


def _shape_parts(
    work: Work, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], shapes: dict[str, zipfile.ZipInfo]
) -> Path:
    """The parts of one Shapefile, under names of our own; gives the .shp."""
    if missing := [part for part in ("shp", "dbf") if part not in shapes]:
        raise work.refuse("zip_content", f"lacks .{missing[0]}; a Shapefile needs .shp and .dbf (.shx, .prj, .cpg)")
    if sum(_ending(one.filename) == "shp" for one in members) > 1:
        raise work.refuse("zip_content", "holds several Shapefiles; allowed: one in a zip")
    for part, member in shapes.items():
        with archive.open(member) as packed:
            _write(work, packed, work.folder / f"unpacked.{part}")
    return work.folder / "unpacked.shp"


def _members(work: Work, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of data in a zip.

    Raises:
        RefusedError: a name leaves the archive, or a file has a password.
    """
    entries = archive.infolist()
    if len(entries) > MEMBERS:
        raise work.refuse("zip_content", f"holds {len(entries)} files; allowed: one file of data in a zip")
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":":
            raise work.refuse("zip_content", "holds a file whose name leads out of the archive; nothing was unpacked")
        if entry.flag_bits & ENCRYPTED:
            raise work.refuse("password", "the zip archive has a password; pack it without and deliver it again")
    return [
        entry
        for entry in entries
        if not entry.is_dir() and not entry.filename.startswith(NOISE) and not _base(entry.filename).startswith(".")
    ]


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _ending(name: str) -> str:
    return name.lower().rpartition(".")[2]


def _write(work: Work, packed: _Readable, target: Path) -> None:
    """Unpack one file, never more than the limit."""
    written = 0
    with target.open("wb") as out:
        while chunk := packed.read(1_000_000):
            written += len(chunk)
            if written > work.unpacked_limit:
                raise work.refuse("too_large", f"unpacks to more than {work.unpacked_limit} bytes, the limit")
            out.write(chunk)
    if not written:
        raise work.refuse("empty", f"holds nothing; {EMPTY}")
