"""The landing folder: which files in it are deliveries, and which of them are complete.

A file counts when its manifest is there, or when two looks a second apart find it unchanged and its format whole
(gzip trailer, zip directory, Parquet footer, final newline), or when nobody has touched it for a minute: then what is
wrong with it is for the reader to say. `*.part`, names that begin with a dot (unfinished transfers) and the folders
with replies and requests are not deliveries. Registering and archiving is `assets.deliveries`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from catalog.layout import Kind
from resources import clock
from resources.landed import Packing, kind_of, packing_of, suffix_of

MANIFEST = ".manifest.json"
NOT_DELIVERIES = ("feedback", "requests")  # folders of a department whose files are its replies and its requests
FRESH = 60.0  # seconds since the last write
PATIENCE = 10.0  # seconds a fresh and incomplete file is watched
LOOK = 1.0  # seconds between two looks
CHUNK = 1_000_000


@dataclass(frozen=True)
class Arrival:
    """A file in landing. `place` are the folders it lies in; `ordinary` is false for links and devices.

    What is not `readable`, a file or a whole folder, is no delivery yet: nobody can say what it holds.
    """

    path: Path
    place: tuple[str, ...]
    manifest: Path | None
    ordinary: bool
    readable: bool = True

    @property
    def shown(self) -> str:
        """The file's name as text whatever bytes it holds."""
        return shown(self.path)

    @property
    def packing(self) -> Packing:
        return packing_of(self.path.name)

    @property
    def kind(self) -> Kind | None:
        """The format its name states, if it is one we read; inside a zip it may be anything."""
        return kind_of(self.path.name)

    @property
    def suffix(self) -> str:
        """What the archived file's name ends in: `.csv.gz`."""
        return suffix_of(self.path.name)

    def state(self) -> tuple[int, int]:
        """What a second look compares: bytes and time of the last write (ns)."""
        found = self.path.lstat()
        return found.st_size, found.st_mtime_ns

    def complete(self) -> bool:
        """Whether the format's end is there."""
        if not self.path.stat().st_size:
            return False
        if self.packing == "gz":
            return _gzip_ends(self.path)
        if self.packing == "zip" or self.kind == "xlsx":
            return zipfile.is_zipfile(self.path)
        if self.kind is None or self.kind == "xls":
            return True
        ends = {"parquet": (b"PAR1",), "json": (b"]", b"}"), "geojson": (b"}",)}.get(self.kind, (b"\n", b"\r"))
        end = _last_bytes(self.path, 64)
        return (end.rstrip() if self.kind in {"json", "geojson"} else end).rstrip(b"\x00").endswith(ends)


def settled(landing: Path, patience: float = PATIENCE) -> tuple[list[Arrival], int]:
    """Complete arrivals, oldest first, and how many files must wait.

    Takes a second when fresh files came without manifest, up to `patience` seconds when one of them is incomplete: one
    that nobody touched all that time is taken as it is, for the reader to say what it lacks.
    """
    start = time.monotonic()
    since: dict[Path, tuple[tuple[int, int], float]] = {}  # last known state and when it was first seen
    while True:
        now = time.monotonic()
        arrivals = [arrival for arrival in _arrivals(landing, ()) if arrival.readable]
        waiting: set[Path] = set()
        for arrival in filter(_undecided, arrivals):
            state = arrival.state()
            if arrival.path not in since or since[arrival.path][0] != state:
                since[arrival.path] = (state, now)
            quiet = now - since[arrival.path][1]
            if quiet < LOOK or (quiet < patience and not arrival.complete()):
                waiting.add(arrival.path)
        if not waiting or now - start > patience + LOOK:
            found = [arrival for arrival in arrivals if arrival.path not in waiting]
            return sorted(found, key=lambda a: (a.state()[1], a.path)), len(waiting)
        time.sleep(LOOK)


def at_rest(path: Path, patience: float = PATIENCE) -> bool:
    """Whether a file a person put down is whole: its format's end is there, or nobody touched it for so many seconds.

    One that is still being written is waited for, not much longer than that.
    """
    start = time.monotonic()
    one = Arrival(path, (), None, ordinary=True)
    while not one.complete():
        if clock.now().timestamp() - one.state()[1] / 1e9 >= patience:
            return True
        if time.monotonic() - start > patience + LOOK:
            return False
        time.sleep(LOOK)
    return True


def handed_in(folder: Path) -> list[Path]:
    """Files in a folder of replies or requests, by name; not what a program keeps there while it writes one."""
    return [path for path in _put_down(folder) if _open_to_us(path, os.R_OK)]


def _put_down(folder: Path) -> list[Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() and _open_to_us(folder, os.R_OK | os.X_OK) else []
    return [
        path for path in files
        if not path.name.startswith((".", "~$")) and path.suffix != ".part" and path.is_file() and not path.is_symlink()
    ]  # fmt: skip


def shown(path: Path) -> str:
    """The file's name as text whatever bytes it holds."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def unreadable(landing: Path) -> list[str]:
    """Files and folders, below landing, that this process may not read."""
    files = ["/".join((*one.place, one.shown)) for one in _arrivals(landing, ()) if not one.readable]
    for folder in (place for name in NOT_DELIVERIES for place in landing.glob(f"*/{name}")):
        closed = [path for path in [folder, *_put_down(folder)] if not _open_to_us(path, os.R_OK)]
        files += ["/".join((*path.parent.relative_to(landing).parts, shown(path))) for path in closed]
    return sorted(files)


def look(landing: Path, before: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """One look that does not wait: complete files, and all files, each with its state, by path below landing.

    `before` is what the look before this one saw, a few seconds ago or more. A file is complete by the rules of
    `settled`; what nobody has touched for a minute is, too.
    """
    complete, every = {}, {}
    with suppress(FileNotFoundError):  # a run took a file away meanwhile, or there is no landing folder yet
        for arrival in (one for one in _arrivals(landing, ()) if one.readable):
            path = f"{'/'.join(arrival.place)}/{arrival.shown}"
            try:
                every[path] = ":".join(map(str, arrival.state()))
                if not _undecided(arrival) or (before.get(path) == every[path] and arrival.complete()):
                    complete[path] = every[path]
            except FileNotFoundError:
                continue
    return complete, every


def _undecided(arrival: Arrival) -> bool:
    age = clock.now().timestamp() - arrival.state()[1] / 1e9
    return arrival.manifest is None and arrival.ordinary and age < FRESH


def _arrivals(folder: Path, place: tuple[str, ...]) -> Iterator[Arrival]:
    """Every file below landing that is a delivery or wants to be one; links are not followed."""
    if not _open_to_us(folder, os.R_OK | os.X_OK):
        yield Arrival(folder, place[:-1], None, ordinary=True, readable=False)
        return
    with os.scandir(folder) as entries:
        named = {entry.name: entry for entry in entries}
    for name, entry in named.items():
        if entry.is_dir(follow_symlinks=False):
            if len(place) != 1 or name not in NOT_DELIVERIES:
                yield from _arrivals(Path(entry.path), (*place, name))
        elif not (name.startswith(".") or name.endswith((".part", MANIFEST))):
            beside = next((c for c in manifest_names(name) if c in named), None)
            ordinary = stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
            manifest = folder / beside if beside else None
            readable = all(_open_to_us(file, os.R_OK) for file in (Path(entry.path), manifest) if file and ordinary)
            yield Arrival(Path(entry.path), place, manifest, ordinary, readable)


def _open_to_us(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=True) or not path.exists()


def manifest_names(name: str) -> Sequence[str]:
    """`a.csv.gz` may be described by `a.csv.gz.manifest.json`, `a.csv.manifest.json` or `a.manifest.json`."""
    unpacked = name.removesuffix(".gz").removesuffix(".zip")
    return [f"{base}{MANIFEST}" for base in (name, unpacked, unpacked.rpartition(".")[0])]


def _gzip_ends(path: Path) -> bool:
    """Whether the compressed stream comes to its end; damaged data counts as ended, waiting would not mend it."""
    stream = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while not stream.eof and (chunk := file.read(CHUNK)):
            try:
                while chunk and not stream.eof:
                    stream.decompress(chunk, CHUNK)
                    chunk = stream.unconsumed_tail
            except zlib.error:
                return True
    return stream.eof


def _last_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hex: by it a file is known again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
