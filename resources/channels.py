"""How a notice reaches a department: one file over SFTP, by e-mail, or to a webhook.

Holds the delivery of one file over each kind of channel, so that the same file delivered again under the same key is
the same to the other side: SFTP looks what lies there, an e-mail keeps its Message-ID, a webhook its `webhook-id`.
Which file goes where, and when it is tried again, is `assets.sending`. Add a kind in `catalog.channels` first.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.channels import EmailChannel, SftpChannel, WebhookChannel
from catalog.sources import SftpSource
from resources import clock
from resources.failures import PermanentError, TransientError
from resources.secrets import Vault
from resources.source_failures import explained
from resources.sources import CONNECT_SECONDS, SILENT_SECONDS, open_sftp

ATTACHED = 20_000_000  # bytes; mail servers refuse more
TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".csv": "text/csv",
    ".json": "application/json",
}


@dataclass(frozen=True)
class Parcel:
    """One file to be delivered: `key` is the same at every attempt, `name` what it is called there.

    `subject` and `text` are what a message says of it: no value of a record.
    """

    key: str
    path: Path
    name: str
    subject: str
    text: str
    written_at: datetime


def address(channel: SftpChannel | EmailChannel | WebhookChannel) -> str:
    """Where the channel leads, for people and as its identity: no user, no secret, no query."""
    if isinstance(channel, EmailChannel):
        return f"email:{','.join(channel.to)}"
    return channel.url.partition("?")[0]


def deliver(channel: SftpChannel | EmailChannel | WebhookChannel, parcel: Parcel, vault: Vault) -> None:
    """Deliver one file; a second call with the same parcel changes nothing that the other side can help.

    Raises:
        TransientError, PermanentError: not delivered; says where, why and what is allowed. After a lost connection
            the other side may have it all the same.
    """
    if isinstance(channel, SftpChannel):
        _by_sftp(channel, parcel, vault)
    elif isinstance(channel, EmailChannel):
        _by_email(channel, parcel, vault)
    else:
        _by_webhook(channel, parcel, vault)


def _by_sftp(channel: SftpChannel, parcel: Parcel, vault: Vault) -> None:
    """The name appears with the whole file; one that lies there with the same bytes is left alone."""
    stated = channel.model_dump(exclude={"formats"})
    source = SftpSource.model_validate(stated)
    with explained(address(channel), source):
        files = open_sftp(source, vault)
        target = unquote(urlsplit(channel.url).path) + parcel.name
        content = parcel.path.read_bytes()
        if files.exists(target) and files.info(target)["size"] == len(content) and files.cat_file(target) == content:
            return
        partial = f"{target}.part"
        files.pipe_file(partial, content)
        if files.exists(target):
            files.rm_file(target)
        files.mv(partial, target)


def _by_email(channel: EmailChannel, parcel: Parcel, vault: Vault) -> None:
    message = EmailMessage()
    message["From"], message["To"] = channel.sender, ", ".join(channel.to)
    message["Subject"] = parcel.subject
    message["Date"] = format_datetime(parcel.written_at)
    message["Message-ID"] = f"<{parcel.key}@{channel.sender.partition('@')[2]}>"
    message.set_content(parcel.text)
    if channel.attach:
        content = parcel.path.read_bytes()
        if len(content) > ATTACHED:
            raise PermanentError(f"{parcel.name}: {len(content):,} bytes: an attachment may have {ATTACHED:,}")
        main, _, kind = TYPES[parcel.path.suffix].partition("/")
        message.add_attachment(content, maintype=main, subtype=kind, filename=parcel.name)
    with _mail_explained(f"smtp://{channel.server}:{channel.port}", channel):
        context = ssl.create_default_context(cafile=str(vault.path(channel.ca_file)) if channel.ca_file else None)
        if channel.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                channel.server, channel.port, timeout=SILENT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(channel.server, channel.port, timeout=SILENT_SECONDS)
        with server:
            if channel.tls == "starttls":
                server.starttls(context=context)
            if channel.user and channel.credentials:
                server.login(channel.user, vault.reveal(channel.credentials.password))
            refused = server.send_message(message)
    if refused:  # the others have it: to try again would be twice for them
        raise PermanentError(f"smtp://{channel.server}: refuses {', '.join(sorted(refused))}; the others were served")


@contextmanager
def _mail_explained(place: str, channel: EmailChannel) -> Iterator[None]:
    """What a mail server's refusal means; its own words are not repeated, they may quote the message."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        secret = channel.credentials.password if channel.credentials else None
        raise PermanentError(
            f"{place}: refuses user {channel.user}: check the user and the secret in {secret}"
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentError(f"{place}: offers no STARTTLS or log-in: state another tls or port") from error
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        kind = TransientError if all(code < 500 for code in codes) else PermanentError
        raise kind(f"{place}: refuses every recipient ({', '.join(map(str, sorted(codes)))})") from error
    except smtplib.SMTPResponseException as error:
        kind = TransientError if error.smtp_code < 500 else PermanentError
        raise kind(f"{place}: answers with {error.smtp_code}") from error
    except ssl.SSLCertVerificationError as error:
        raise PermanentError(f"{place}: its certificate is not trusted: state the right ca_file") from error
    except (smtplib.SMTPException, OSError) as error:
        raise TransientError(f"{place}: does not answer: {type(error).__name__}") from error


def _by_webhook(channel: WebhookChannel, parcel: Parcel, vault: Vault) -> None:
    secret = vault.reveal(channel.secret)
    with explained(address(channel), channel):
        asyncio.run(_post(channel, parcel, secret, vault))


async def _post(channel: WebhookChannel, parcel: Parcel, secret: str, vault: Vault) -> None:
    import aiohttp  # noqa: PLC0415  # 0.3 s, only for those who send

    body = parcel.path.read_bytes()
    stamp = str(int(clock.now().timestamp()))
    headers = {
        "content-type": TYPES[parcel.path.suffix],
        "webhook-id": parcel.key,
        "webhook-timestamp": stamp,
        "webhook-signature": signature(secret, parcel.key, stamp, body),
        "x-shuyuan-file": parcel.name,
    }
    trust = ssl.create_default_context(cafile=str(vault.path(channel.ca_file))) if channel.ca_file else True
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(channel.url, data=body, headers=headers, ssl=trust, allow_redirects=False) as answer,
    ):
        if answer.status >= 300:  # a redirect would take the notice to somebody nobody named
            answer.raise_for_status()
            raise PermanentError(f"{address(channel)}: answers with status {answer.status}: state the address itself")


def signature(secret: str, key: str, stamp: str, body: bytes) -> str:
    """The `webhook-signature` of a body: what a receiver computes too, and compares in constant time.

    A secret that begins with `whsec_` is base64 after it, as Standard Webhooks writes them; another is taken as text.
    """
    raw = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    made = hmac.new(raw, f"{key}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"
