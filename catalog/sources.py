"""Where a resource is fetched from, as a steward states it: the frozen types behind `source` of a resource.

Add a kind here and say in `resources.sources` (files) or `resources.source_tables` (databases) how it is reached. A
secret never stands in the catalogue, only the name of the environment variable or file that holds it. A resource
without a source is delivered into the landing folder.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from catalog.frozen import Frozen

SECRET_SHOWN = "secret_shown"  # noqa: S105  # the kind of an error whose value is not repeated

Word = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True, pattern=r"^[^\s'\"\\]+$")]
HostKey = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]+=*$")]
Table = Annotated[str, StringConstraints(pattern=r"^[^\s.'\"`\\]+(\.[^\s.'\"`\\]+)?$")]
Remote = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^'\"`\\]+$")]


def _without_login(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise PydanticCustomError(SECRET_SHOWN, "no user or password in an address: state user and credentials")
    return url


Url = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_without_login)]


class _Referring(Frozen):
    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, value: Any) -> Any:
        if not isinstance(value, dict | cls):
            raise PydanticCustomError(SECRET_SHOWN, "no secret here: name it as {env: NAME} or {file: PATH}")
        return value


class Secret(_Referring):
    """A reference to a secret: an environment variable, or a file (relative to the folder of secrets, or absolute)."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Word | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("state exactly one of env, file")
        return self

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env else f"file {self.file}"


class Password(_Referring):
    """Credentials that are a password."""

    password: Secret


class SftpCredentials(_Referring):
    """A private key (with its passphrase, if it has one) or a password."""

    private_key: Secret | None = None
    passphrase: Secret | None = None
    password: Secret | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.private_key is None) == (self.password is None):
            raise ValueError("state exactly one of private_key, password")
        return self


class S3Credentials(_Referring):
    """An access key: its id and its secret."""

    key_id: Secret
    secret_key: Secret


class HttpCredentials(_Referring):
    """A password (basic, with `user`) or a bearer token."""

    password: Secret | None = None
    token: Secret | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.password is None) == (self.token is None):
            raise ValueError("state exactly one of password, token")
        return self


def _parts(url: str, *schemes: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.netloc or not parts.path.strip("/"):
        raise ValueError(f"url must read {' or '.join(schemes)}://host/path, the last part may hold * and ?")
    return parts


def on_this_machine(host: str | None) -> bool:
    """Whether traffic to this host stays on the machine: loopback or a folder with a socket."""
    return bool(host) and (host in ("localhost", "::1") or str(host).startswith(("127.", "/")))


class SftpSource(Frozen):
    """Files on an SSH server. `host_keys` are the server's public keys as `ssh-keyscan` prints them, without the name:
    a server that shows another is refused.
    """

    kind: Literal["sftp"]
    url: Url
    user: Word
    credentials: SftpCredentials
    host_keys: tuple[HostKey, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _address(self) -> Self:
        _parts(self.url, "sftp")
        return self


class S3Source(Frozen):
    """Objects in an S3-compatible store; without credentials its public ones."""

    kind: Literal["s3"]
    url: Url
    endpoint: Url | None = None
    region: Word | None = None
    credentials: S3Credentials | None = None
    ca_file: Word | None = None

    @model_validator(mode="after")
    def _address(self) -> Self:
        _parts(self.url, "s3")
        return self


class HttpSource(Frozen):
    """A file by its address, or every file a page links to whose name fits. `ca_file`: the CA that signed the server,
    when it is not a public one.
    """

    kind: Literal["http"]
    url: Url
    user: Word | None = None
    credentials: HttpCredentials | None = None
    ca_file: Word | None = None

    @model_validator(mode="after")
    def _address(self) -> Self:
        parts = _parts(self.url, "http", "https")
        if self.credentials and parts.scheme == "http" and not on_this_machine(parts.hostname):
            raise ValueError("credentials need https: over http everybody on the way reads them")
        if (self.user is None) != (self.credentials is None or self.credentials.password is None):
            raise ValueError("user and credentials.password belong together")
        return self


class TableSource(Frozen):
    """A table or view of a department's database.

    With `watermark` (a column that grows with every change) what is new since the last pull comes, as an incremental
    delivery; without it the whole table comes each time, as a full one. `columns` says what a declared column is called
    there, where it has another name. `tls: verify` also checks the server's name and certificate against `ca_file`.
    """

    kind: Literal["postgres", "mysql"]
    host: Word
    port: int | None = Field(default=None, ge=1, le=65535)
    database: Word
    user: Word
    credentials: Password
    tls: Literal["verify", "require", "none"] = "require"
    ca_file: Word | None = None
    table: Table
    watermark: Remote | None = None
    columns: dict[str, Remote] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.tls == "none" and not on_this_machine(self.host):
            raise ValueError("tls: none is allowed on this machine only; state require or verify")
        if self.tls == "verify" and self.ca_file is None:
            raise ValueError("tls: verify needs ca_file")
        return self


FileSource = SftpSource | S3Source | HttpSource
Source = Annotated[SftpSource | S3Source | HttpSource | TableSource, Field(discriminator="kind")]
