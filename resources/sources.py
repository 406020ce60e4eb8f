"""How files of a department are reached: SFTP, S3-compatible storage and HTTP(S), all through fsspec.

Holds opening each kind of place with what the catalogue states and nothing from this machine's user (no ssh agent, no
known_hosts, no AWS profile), what is known of a remote file, and copying one. Which failure means what is
`resources.source_failures`; what is new, and where it goes, is `assets.pulls`. Tables are `resources.source_tables`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from catalog.sources import FileSource, HttpSource, S3Source, SftpSource, Source, TableSource
from resources.failures import PermanentError
from resources.secrets import Vault
from resources.source_failures import explained

CONNECT_SECONDS = 15
SILENT_SECONDS = 60  # a server that says nothing for so long is given up
UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp")  # how transfer programs name what is under way


@dataclass(frozen=True)
class RemoteFile:
    """A file as its server describes it. `version` changes when it is written anew; empty when the server says nothing
    that would tell (then only the content does).
    """

    path: str
    name: str
    size: int | None
    modified: datetime | None
    version: str


@dataclass(frozen=True)
class Store:
    """An opened place that holds files; made by `reach`."""

    source: FileSource
    files: Any  # an fsspec file system
    place: str

    def listed(self) -> list[RemoteFile]:
        """Files that fit the address, by name; those under way by their name are left out.

        Raises:
            TransientError, PermanentError: the place cannot be listed; says where, why and what is allowed.
        """
        with explained(self.place, self.source):
            wanted = self._path()
            folder, _, pattern = wanted.rpartition("/")
            if not set(pattern) & set("*?"):
                return [self._described(self.files.info(wanted))]
            below = self.files.ls(folder, detail=True)
            fitting = [entry for entry in below if fnmatchcase(_name(entry["name"]), pattern)]
            fitting = [entry for entry in fitting if _finished(_name(entry["name"]))]
            if isinstance(self.source, HttpSource):  # a page of links tells names only
                fitting = [self.files.info(entry["name"]) for entry in fitting]
            return sorted(
                (self._described(entry) for entry in fitting if entry["type"] == "file"), key=lambda file: file.path
            )

    def look(self, file: RemoteFile) -> RemoteFile:
        """The same file as its server describes it now."""
        with explained(self.place, self.source):
            self.files.invalidate_cache()
            return self._described(self.files.info(file.path))

    def copy(self, file: RemoteFile, target: Path) -> None:
        """Copy the file's bytes to `target`, which may exist."""
        with explained(f"{self.place} {file.name}", self.source):
            self.files.get_file(file.path, str(target))

    def companion(self, file: RemoteFile, name: str) -> bytes | None:
        """A small file beside it, if there is one; over HTTP none is looked for, since any address may answer."""
        if isinstance(self.source, HttpSource):
            return None
        folder = file.path.rpartition("/")[0]
        with explained(f"{self.place} {name}", self.source):
            try:
                return bytes(self.files.cat_file(f"{folder}/{name}"))
            except FileNotFoundError:
                return None

    def _path(self) -> str:
        if isinstance(self.source, HttpSource):
            return self.source.url
        parts = urlsplit(self.source.url)
        return f"{parts.netloc if isinstance(self.source, S3Source) else ''}{unquote(parts.path)}"

    def _described(self, entry: dict[str, Any]) -> RemoteFile:
        modified = entry.get("mtime") or entry.get("LastModified") or _date(entry.get("Last-Modified"))
        size = entry.get("size")
        version = str(entry.get("ETag") or "").strip('"')
        if not version and modified:
            version = f"{modified.isoformat()}/{size}"
        return RemoteFile(entry["name"], _name(entry["name"]), size, modified, version)


def address(source: Source) -> str:
    """Where the source is, for people: no user, and no query, which may hold a token."""
    if isinstance(source, TableSource):
        port = f":{source.port}" if source.port else ""
        return f"{source.kind}://{source.host}{port}/{source.database} table {source.table}"
    return source.url.partition("?")[0] if isinstance(source, HttpSource) else source.url


def reach(source: FileSource, vault: Vault) -> Store:
    """Log in to the place. It is left when the store is collected: the file systems have no other way.

    Raises:
        TransientError, PermanentError: it cannot be entered; says where, why and what is allowed.
    """
    place = address(source)
    with explained(place, source):
        if isinstance(source, SftpSource):
            files = open_sftp(source, vault)
        elif isinstance(source, S3Source):
            files = _s3(source, vault)
        else:
            files = _http(source, vault)
    return Store(source, files, place)


def open_sftp(source: SftpSource, vault: Vault) -> Any:
    """Log in to an SSH server as the catalogue states it, with nothing of this machine's user; a file system."""
    import asyncssh  # noqa: PLC0415  # 0.3 s, only for those who pull
    from sshfs import SSHFileSystem  # noqa: PLC0415

    parts = urlsplit(source.url)
    host, port = parts.hostname or "", parts.port or 22
    login: dict[str, Any] = {"client_keys": None, "password": None}
    given = source.credentials
    if given.private_key:
        phrase = vault.reveal(given.passphrase) if given.passphrase else None
        login["client_keys"] = [asyncssh.import_private_key(_key_text(vault.reveal(given.private_key)), phrase)]
    elif given.password:
        login["password"] = vault.reveal(given.password)
    return SSHFileSystem(
        host,
        port=port,
        username=source.user,
        known_hosts=asyncssh.import_known_hosts("".join(f"* {key}\n" for key in source.host_keys)),
        config=None,
        agent_path=None,
        preferred_auth="publickey" if given.private_key else "password,keyboard-interactive",
        connect_timeout=CONNECT_SECONDS,
        login_timeout=CONNECT_SECONDS,
        keepalive_interval=SILENT_SECONDS // 4,
        keepalive_count_max=3,
        skip_instance_cache=True,
        **login,
    )


def _key_text(text: str) -> str:
    """A key from an environment variable may have lost its last line end."""
    return text if text.endswith("\n") else f"{text}\n"


def _s3(source: S3Source, vault: Vault) -> Any:
    from s3fs import S3FileSystem  # noqa: PLC0415  # 0.5 s, only for those who pull

    login: dict[str, Any] = {"anon": True}
    if source.credentials:
        login = {"key": vault.reveal(source.credentials.key_id), "secret": vault.reveal(source.credentials.secret_key)}
    client = {"region_name": source.region or "us-east-1"}
    if source.ca_file:
        client["verify"] = str(vault.path(source.ca_file))
    return S3FileSystem(
        endpoint_url=source.endpoint,
        client_kwargs=client,
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": SILENT_SECONDS,
            "retries": {"max_attempts": 1},
            "s3": {"addressing_style": "path" if source.endpoint else "auto"},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
        **login,
    )


def _http(source: HttpSource, vault: Vault) -> Any:
    import aiohttp  # noqa: PLC0415  # only for those who pull
    from fsspec.implementations.http import HTTPFileSystem  # noqa: PLC0415

    client: dict[str, Any] = {
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    }
    given = source.credentials
    if given and given.password:
        word = aiohttp.encode_basic_auth(source.user or "", vault.reveal(given.password), "utf-8")
        client["headers"] = {"Authorization": word}
    elif given and given.token:
        client["headers"] = {"Authorization": f"Bearer {vault.reveal(given.token)}"}
    trust: dict[str, Any] = {}
    if source.ca_file:
        trust["ssl"] = ssl.create_default_context(cafile=str(vault.path(source.ca_file)))
    return HTTPFileSystem(client_kwargs=client, use_listings_cache=False, skip_instance_cache=True, **trust)


def _name(path: str) -> str:
    """The last part of a remote path as a file name of ours.

    Raises:
        PermanentError: it is none.
    """
    name = PurePosixPath(unquote(urlsplit(path).path) if "://" in path else path).name
    if "/" in name or "\0" in name or name in ("", ".", ".."):
        raise PermanentError(f"{path!r} has no usable file name")
    return name


def _finished(name: str) -> bool:
    return not name.startswith((".", "~")) and not name.lower().endswith(UNFINISHED)


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
