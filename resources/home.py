"""The folders of one city's state, all below one root that nobody else may enter.

Add a folder here when a stage needs a place of its own. What the files in it mean belongs to the stage.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FOLDERS = (
    "landing",
    "archive",
    "lake",
    "outbox",
    "reports",
    "validations",
    "tmp",
    "inflight",
    "postgres",
)


@dataclass(frozen=True)
class Home:
    """The root folder of one city's state and the folders below it."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Home:
        """The home at `root`; what is missing is created, readable by the owner alone (0700).

        A folder that already holds somebody else's things keeps its own mode: `shuyuan doctor` speaks of it.
        """
        home = cls(root.resolve())
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = {path.name for path in home.root.iterdir()}
        if not there or there & set(FOLDERS):
            home.root.chmod(0o700)
        for name in FOLDERS:
            (home.root / name).mkdir(mode=0o700, exist_ok=True)
        return home

    @property
    def landing(self) -> Path:
        """Where departments put their files: `<department>/<resource>/<file>`."""
        return self.root / "landing"

    @property
    def archive(self) -> Path:
        """Every delivery as it arrived; the lake can be rebuilt from it."""
        return self.root / "archive"

    @property
    def lake(self) -> Path:
        """Parquet files of the lake, one folder per catalog."""
        return self.root / "lake"

    @property
    def outbox(self) -> Path:
        """Notices for departments: `<department>/<date>/`."""
        return self.root / "outbox"

    @property
    def reports(self) -> Path:
        """The report site."""
        return self.root / "reports"

    @property
    def validations(self) -> Path:
        """Great Expectations' results as JSON, without values."""
        return self.root / "validations"

    @property
    def tmp(self) -> Path:
        """Spill files; see `scratch`."""
        return self.root / "tmp"

    @property
    def inflight(self) -> Path:
        """Lake commits under way, one folder each; see `resources.guard`."""
        return self.root / "inflight"

    @property
    def postgres(self) -> Path:
        """The embedded cluster, its passwords and locks."""
        return self.root / "postgres"

    def pseudonym_key(self) -> str:
        """A secret of this home: an id made with it is the same in every file, and nobody else can try values on it."""
        file = self.root / "pseudonyms.key"
        with suppress(FileExistsError):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as opened:
                opened.write(secrets.token_hex(32))
        return file.read_text()


@contextmanager
def file_lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock on a file; yields whether it was taken. The kernel frees it when the process dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield take_lock(handle, shared=shared, wait=wait)
    finally:
        os.close(handle)


def take_lock(handle: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file (or change the lock it has); False when another process holds it and `wait` is off."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def scratch(home: Home) -> Iterator[Path]:
    """A folder of this process below `home.tmp`, gone at the end; those of dead processes are wiped first.

    Spill files hold personal data in clear: a killed process must not leave them behind for long.
    """
    for lock in home.tmp.glob("*.lock"):
        with file_lock(lock, wait=False) as dead:
            if dead:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
    folder = home.tmp / f"{os.getpid()}-{os.urandom(4).hex()}"
    with file_lock(folder.with_suffix(".lock")):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".lock").unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Write everything of the file system that holds `folder` to the disk, data and names."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed", str(folder))
    finally:
        os.close(handle)
