"""Real servers on loopback that notices are sent to: a mail server that speaks STARTTLS, and a webhook's receiver."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from source_servers import certificate


@dataclass
class Mail:
    """A mail server; `received` are the messages it took, `faults` answers it gives to DATA before it takes more."""

    port: int
    ca_file: Path
    user: str = "city"
    password: str = "old harbour"
    received: list[Message] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802  # its name for the hook
        if self.faults:
            return self.faults.pop(0)
        self.received.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"


@contextmanager
def mail_server(folder: Path) -> Iterator[Mail]:
    folder.mkdir(exist_ok=True)
    chain, ca_file = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mail = Mail(port, ca_file)

    def let_in(_server, _session, _envelope, _mechanism, given) -> AuthResult:
        known = (given.login, given.password) == (mail.user.encode(), mail.password.encode())
        return AuthResult(success=known, handled=False)

    server = Controller(
        mail, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True, authenticator=let_in,
        auth_required=True,
    )  # fmt: skip
    server.start()
    try:
        yield mail
    finally:
        server.stop()


@dataclass
class Hook:
    """A webhook's receiver: `received` are headers and bodies, `faults` statuses it answers before it takes any."""

    url: str = ""
    ca_file: Path | None = None
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)


@contextmanager
def hook_server(folder: Path) -> Iterator[Hook]:
    folder.mkdir(exist_ok=True)
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # its name for the method
            body = self.rfile.read(int(self.headers["content-length"]))
            status = hook.faults.pop(0) if hook.faults else 204
            if status == 204:
                hook.received.append((dict(self.headers), body))
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chain, hook.ca_file = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    hook.url = f"https://127.0.0.1:{server.server_port}/notices"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
