"""Real servers on loopback for the tests of sources: OpenSSH, MariaDB, an S3 server, HTTP(S).

Each is started by a test, in a folder of its own with its own keys and port, and stopped with it.
"""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
MARIADBD = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ready: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come up within {seconds} s"
        time.sleep(0.05)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def process(command: list[str], folder: Path, **more: object) -> Iterator[subprocess.Popen]:
    with (folder / "server.log").open("ab") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **more)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@dataclass(frozen=True)
class Ssh:
    """An OpenSSH server that serves `files`; `host_key` is its public key, `key` a private key it lets in."""

    port: int
    files: Path
    host_key: str
    key: Path
    user: str

    def url(self, pattern: str) -> str:
        return f"sftp://127.0.0.1:{self.port}{self.files}/{pattern}"


@contextmanager
def ssh_server(folder: Path) -> Iterator[Ssh]:
    assert SSHD is not None
    folder.mkdir(mode=0o700)
    for name in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    files = folder / "files"
    files.mkdir()
    port = free_port()
    shutil.copy(folder / "login.pub", folder / "authorized")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nLogLevel VERBOSE\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # its privilege separation folder
    with process([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], folder):
        until(lambda: listening(port), "sshd")
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        yield Ssh(port, files, host_key, folder / "login", pwd.getpwuid(os.getuid()).pw_name)


@dataclass(frozen=True)
class Maria:
    """A MariaDB server with the database `register` and its reader `city`."""

    port: int
    socket: Path
    ca_file: Path
    password: str = "quiet water"

    def run(self, sql: str) -> None:
        subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", "-S", str(self.socket), "register"],
            input=sql, text=True, check=True, capture_output=True,
        )  # fmt: skip


@contextmanager
def mariadb_server(folder: Path) -> Iterator[Maria]:
    assert MARIADBD is not None
    folder.mkdir(mode=0o700)
    data, port = folder / "data", free_port()
    user = pwd.getpwuid(os.getuid()).pw_name
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db",
         "--auth-root-authentication-method=normal"], check=True, capture_output=True,
    )  # fmt: skip
    authority, ca_file = certificate(folder)
    command = [
        MARIADBD, "--no-defaults", f"--datadir={data}", f"--user={user}", f"--socket={folder}/s", f"--port={port}",
        "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M", f"--ssl-cert={authority}",
        f"--ssl-key={authority}", f"--ssl-ca={ca_file}",
    ]  # fmt: skip
    with process(command, folder):
        until(lambda: listening(port) and (folder / "s").exists(), "mariadbd", 60)
        server = Maria(port, folder / "s", ca_file)
        first = f"create database register character set utf8mb4; create user city identified by '{server.password}';"
        subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", "-S", str(server.socket)],
            input=f"{first} grant select on register.* to city;", text=True, check=True, capture_output=True,
        )  # fmt: skip
        yield server


@dataclass(frozen=True)
class S3:
    """An S3 server that checks signatures; `files` are its buckets as folders."""

    endpoint: str
    files: Path
    key_id: str = "CITYKEYID"
    secret_key: str = "a-secret-of-forty-characters-0123456789ab"


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    files, port = folder / "buckets", free_port()
    files.mkdir(parents=True)
    server = S3(f"http://127.0.0.1:{port}", files)
    environment = {"NANIO_ACCESS_KEY": server.key_id, "NANIO_SECRET_KEY": server.secret_key}
    command = [sys.executable, "-m", "nanio", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with process([*command, "--data-dir", str(files)], folder, env=environment):
        until(lambda: listening(port), "the S3 server")
        yield server


@dataclass
class Web:
    """An HTTP(S) server over `files`. `faults` are statuses it answers with before it serves again; `asked` counts."""

    url: str
    files: Path
    ca_file: Path | None
    user: str | None = None
    password: str = "old river"
    faults: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    logins: set[str | None] = field(default_factory=set)  # what requests brought to be let in
    elsewhere: str = ""  # where it sends those who may enter
    versions: bool = True  # whether answers say when a file was written


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, web: Web, *arguments: object, **named: object) -> None:
        self.web = web
        super().__init__(*arguments, directory=str(web.files), **named)

    def send_head(self):  # of HEAD and GET alike
        self.web.asked.append(f"{self.command} {self.path}")
        self.web.logins.add(self.headers.get("Authorization"))
        if self.web.faults:
            return self.send_error(self.web.faults.pop(0))
        word = base64.b64encode(f"{self.web.user}:{self.web.password}".encode()).decode()
        if self.web.user and self.headers.get("Authorization") != f"Basic {word}":
            return self.send_error(401)
        if self.web.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.web.elsewhere)
            return self.end_headers()
        return super().send_head()

    def send_header(self, keyword: str, value: str) -> None:
        if self.web.versions or keyword != "Last-Modified":
            super().send_header(keyword, value)

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def web_server(folder: Path, *, user: str | None = None, tls: bool = False) -> Iterator[Web]:
    files = folder / "files"
    files.mkdir(parents=True)
    web = Web("", files, None, user)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, web))
    if tls:
        chain, web.ca_file = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    web.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Key and certificate of 127.0.0.1 in one file, and the CA that signed it."""
    authority = trustme.CA()
    chain, ca_file = folder / "server.pem", folder / "ca.pem"
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(chain))
    authority.cert_pem.write_to_path(str(ca_file))
    return chain, ca_file
