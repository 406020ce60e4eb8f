"""Where a department's notices go besides its outbox folder, as a steward states it: `channels` of a department.

Add a kind here and say in `resources.channels` how it is reached. A secret never stands in the catalogue, only the
name of the environment variable or file that holds it. What is sent, and that nothing is sent twice, is
`assets.sending`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from catalog.frozen import Frozen
from catalog.sources import HostKey, Password, Secret, SftpCredentials, Url, Word, on_this_machine

Format = Literal["xlsx", "csv", "json"]
Mailbox = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s<>\",;]+@[^@\s<>\",;]+$")]


class SftpChannel(Frozen):
    """A folder on an SSH server. A file gets its name when it is whole. `host_keys`: see a resource's `source`."""

    kind: Literal["sftp"]
    url: Url
    user: Word
    credentials: SftpCredentials
    host_keys: tuple[HostKey, ...] = Field(min_length=1)
    formats: tuple[Format, ...] = Field(default=("xlsx", "csv", "json"), min_length=1)

    @model_validator(mode="after")
    def _address(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme != "sftp" or not parts.netloc or not parts.path.endswith("/"):
            raise ValueError("url must read sftp://host/folder/, with the / at its end")
        return self


class EmailChannel(Frozen):
    """One message a file over SMTP. Without `attach` it says that a notice waits in the outbox, and holds no value.

    `tls`: `starttls` (port 587) or `tls` from the first byte (port 465); `none` on this machine only.
    """

    kind: Literal["email"]
    server: Word
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Word | None = None
    user: Word | None = None
    credentials: Password | None = None
    sender: Mailbox
    to: tuple[Mailbox, ...] = Field(min_length=1)
    attach: bool = False
    formats: tuple[Format, ...] = Field(default=("xlsx",), min_length=1)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.tls == "none" and not on_this_machine(self.server):
            raise ValueError("tls: none is allowed on this machine only; state starttls or tls")
        if (self.user is None) != (self.credentials is None):
            raise ValueError("user and credentials belong together")
        return self


class WebhookChannel(Frozen):
    """An address that takes the file as the body of a POST, signed with `secret` as Standard Webhooks says.

    Headers: `webhook-id` (the same at every attempt), `webhook-timestamp` (seconds), `webhook-signature`
    (`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`).
    """

    kind: Literal["webhook"]
    url: Url
    secret: Secret
    ca_file: Word | None = None
    formats: tuple[Format, ...] = Field(default=("json",), min_length=1)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must read https://host/path")
        if parts.scheme == "http" and not on_this_machine(parts.hostname):
            raise ValueError("a notice needs https: over http everybody on the way reads it")
        return self


Channel = Annotated[SftpChannel | EmailChannel | WebhookChannel, Field(discriminator="kind")]
