"""What a failed pull means: each library's error as one sentence for people, transient or permanent.

Holds the reading of the errors of asyncssh, botocore, aiohttp and DuckDB's scanners. A sentence names the place, what
went wrong and what is allowed; it is our own wording, so that no secret and no value of a record gets into it.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import duckdb

from catalog.channels import WebhookChannel
from catalog.sources import FileSource, S3Source, SftpSource, Source
from resources.failures import PermanentError, TransientError


@dataclass(frozen=True)
class Meaning:
    """What an error means. `says` finishes the sentence that begins with the place."""

    says: str
    transient: bool = False


NETWORK = Meaning("does not answer: nobody listens there or the network is down", transient=True)
UNKNOWN_HOST = Meaning("its host name is not known to this machine's network", transient=True)
SILENT = Meaning("said nothing within the time limit", transient=True)
TLS = Meaning(
    "its certificate is not trusted or TLS is not offered: state the right ca_file, or have the server mended"
)
HOST_KEY = Meaning("shows a host key that is not one of host_keys: ask the department whether it changed its key")
MISSING = Meaning("is not there: check the address with the department")
DENIED = Meaning("may not be read by this user: ask the department for the right to read it")


def login(source: Source | WebhookChannel) -> Meaning:
    """Refused at the door; names user and where the secret is kept."""
    given = getattr(source, "credentials", None)
    if given is None:
        return Meaning("asks for a log-in: state credentials")
    stated = ", ".join(str(secret) for _, secret in given if secret)
    name = getattr(source, "user", None)
    user = f"user {name}" if name else "these credentials"
    return Meaning(f"refuses {user}: check the user and the secret in {stated}")


@contextmanager
def explained(place: str, source: FileSource | WebhookChannel) -> Iterator[None]:
    """Turn what a file system raises into a failure with a sentence.

    Raises:
        TransientError, PermanentError: naming `place`, why, and what is allowed.
    """
    try:
        yield
    except (TransientError, PermanentError) as known:
        if str(known).startswith(place):
            raise
        raise type(known)(f"{place}: {known}") from known
    except Exception as error:  # three libraries, no common base; unknown ones are permanent
        chain = list(_chain(error))
        for one in reversed(chain):  # the cause at the bottom says more than its wrappers
            meaning = _meaning(one, source)
            if meaning:
                _raise(place, meaning, error)
        raise PermanentError(f"{place}: {type(chain[-1]).__name__}: {_short(chain[-1])}") from error


def explain_table(place: str, source: Source, error: duckdb.Error) -> NoReturn:
    """Raise what DuckDB's scanner says of a database as a failure with a sentence."""
    said = str(error)
    for pattern, meaning in DATABASE:
        if pattern.search(said):
            _raise(place, meaning(source), error)
    raise PermanentError(f"{place}: {_short(error)}") from error


def _raise(place: str, meaning: Meaning, error: Exception) -> NoReturn:
    raise (TransientError if meaning.transient else PermanentError)(f"{place}: {meaning.says}") from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)


def _meaning(error: BaseException, source: FileSource | WebhookChannel) -> Meaning | None:
    if isinstance(source, SftpSource):
        found = _of_ssh(error, source)
    elif isinstance(source, S3Source):
        found = _of_s3(error, source)
    else:
        found = _of_http(error, source)
    return found or _of_system(error)


def _of_ssh(error: BaseException, source: SftpSource) -> Meaning | None:
    import asyncssh  # noqa: PLC0415  # loaded already: it raised

    for kind, meaning in (
        (asyncssh.HostKeyNotVerifiable, HOST_KEY),
        (asyncssh.PermissionDenied, login(source)),
        (asyncssh.KeyImportError, Meaning("the private key cannot be read: check it and its passphrase")),
        (asyncssh.KeyEncryptionError, Meaning("the private key needs its right passphrase")),
        (asyncssh.SFTPPermissionDenied, DENIED),
        (asyncssh.SFTPNoSuchFile, MISSING),
        (asyncssh.SFTPConnectionLost, NETWORK),
        (asyncssh.ConnectionLost, NETWORK),
        (asyncssh.DisconnectError, NETWORK),
    ):
        if isinstance(error, kind):
            return meaning
    return None


S3_LOGIN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401"}
S3_MISSING = {"NoSuchBucket", "NoSuchKey", "404"}


def _of_s3(error: BaseException, source: S3Source) -> Meaning | None:
    from botocore import exceptions  # noqa: PLC0415  # loaded already: it raised

    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        if code in S3_LOGIN:
            return login(source)
        if code in S3_MISSING:
            return MISSING
        return _of_status(status, login(source))
    if isinstance(error, exceptions.SSLError):
        return TLS
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        return SILENT
    return NETWORK if isinstance(error, exceptions.HTTPClientError) else None


def _of_http(error: BaseException, source: FileSource | WebhookChannel) -> Meaning | None:
    import aiohttp  # noqa: PLC0415  # loaded already: it raised

    if isinstance(error, aiohttp.ClientResponseError):
        return _of_status(error.status, login(source))
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return TLS
    return NETWORK if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError) else None


def _of_status(status: int, refused: Meaning) -> Meaning | None:
    if status in (404, 410):
        return MISSING
    if status == 401:
        return refused
    if status == 403:
        return DENIED
    if status in (408, 425, 429) or status >= 500:
        return Meaning(f"answers with status {status}: not ready", transient=True)
    return Meaning(f"answers with status {status}") if status >= 300 else None


UNREACHABLE = (errno.ENETDOWN, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH)


def _of_system(error: BaseException) -> Meaning | None:
    for kind, meaning in (
        (ssl.SSLError, TLS),
        (socket.gaierror, UNKNOWN_HOST),
        (TimeoutError, SILENT),
        (ConnectionError, NETWORK),
        (FileNotFoundError, MISSING),
        (PermissionError, DENIED),
    ):
        if isinstance(error, kind):
            return meaning
    return NETWORK if isinstance(error, OSError) and error.errno in UNREACHABLE else None


def _fixed(meaning: Meaning) -> Callable[[Any], Meaning]:
    return lambda _source: meaning


# What PostgreSQL (English and Chinese servers) and MariaDB say through DuckDB, first match counts.
DATABASE: tuple[tuple[re.Pattern[str], Callable[[Any], Meaning]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (r"certificate|\bSSL\b|\bTLS\b", _fixed(TLS)),
        (r"authentication failed|认证失败|no password supplied|Access denied for user.*using password", login),
        (r"role .* does not exist|角色.*不存在|no pg_hba.conf entry|pg_hba\.conf", login),
        (r"could not translate host name|Unknown server host|Unknown MySQL server host", _fixed(UNKNOWN_HOST)),
        (r"starting up|正在启动|shutting down|正在关闭|in recovery", _fixed(Meaning("is starting or stopping", True))),
        (r"too many (clients|connections)|remaining connection slots", _fixed(Meaning("has no free connection", True))),
        (r"permission denied|权限不够|denied to user|Access denied", _fixed(DENIED)),
        (r"does not exist|doesn't exist|不存在|Unknown (column|database|table)", _fixed(MISSING)),
        (r"refused|Can't connect|could not connect|connection to server|No such file or directory", _fixed(NETWORK)),
        (r"server closed the connection|gone away|Lost connection|Connection reset", _fixed(NETWORK)),
        (r"timeout|timed out|deadlock|lock wait", _fixed(SILENT)),
    )
)


def _short(error: BaseException) -> str:
    """The first line of an error nobody foresaw, cut: it may not carry a record."""
    return (str(error).strip().splitlines() or [""])[0][:160]
