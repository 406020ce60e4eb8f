"""Notices on their way to departments: real servers, each file once, and what happens when one does not answer."""

from __future__ import annotations

import dataclasses
import json

import pytest
from channel_servers import hook_server, mail_server
from correction_loop import DAYS, WRONG, Loop
from pydantic import TypeAdapter, ValidationError
from source_servers import SSHD, ssh_server

from assets.notices import issue
from assets.sending import listed, send
from catalog.channels import Channel
from resources.channels import signature
from resources.secrets import Vault

DEPARTMENT = "public_security"
SECRET = "whsec_Y2l0eSBvZiBkYXRh"


def with_channels(city, *stated: dict):
    """The city whose department has these channels."""
    channels = TypeAdapter(tuple[Channel, ...]).validate_python(stated)
    department = city.catalog.departments[DEPARTMENT].model_copy(update={"channels": channels})
    departments = {**city.catalog.departments, DEPARTMENT: department}
    return dataclasses.replace(city, catalog=dataclasses.replace(city.catalog, departments=departments))


def vault(tmp_path, **secrets: str) -> Vault:
    return Vault(secrets.get, tmp_path)


def noticed(city, key: str = "a", day=DAYS[0]) -> Loop:
    loop = Loop(city)
    loop.day(day, {key: WRONG}, [key])
    issue(city, day, author="test")
    return loop


def mailing(mail, **more) -> dict:
    return {
        "kind": "email", "server": "127.0.0.1", "port": mail.port, "ca_file": str(mail.ca_file), "user": mail.user,
        "credentials": {"password": {"env": "MAIL"}}, "sender": "shuyuan@city.example", "to": ["office@psb.example"],
        **more,
    }  # fmt: skip


def states(city) -> dict[str, tuple[str, int]]:
    return {one.file.rpartition("/")[2]: (one.state, one.attempts) for one in listed(city)}


def test_a_notice_is_mailed_once_over_tls_and_the_message_holds_no_value(small_city, tmp_path):
    with mail_server(tmp_path / "mail") as mail:
        city = with_channels(small_city, mailing(mail))
        noticed(city)
        keys = vault(tmp_path, MAIL=mail.password)
        assert [one.state for one in send(city, keys)] == ["sent"]
        issue(city, DAYS[0], author="test")
        assert send(city, keys) == []
        [message] = mail.received
        assert message["To"] == "office@psb.example"
        assert not list(message.iter_attachments())
        text = message.get_content()
        assert "outbox/public_security/2026-11-02/notice.xlsx" in text
        assert str(WRONG) not in text


def test_a_mail_server_that_is_busy_is_tried_again_under_the_same_id_and_a_wrong_password_is_told(small_city, tmp_path):
    with mail_server(tmp_path / "mail") as mail:
        city = with_channels(small_city, mailing(mail, attach=True))
        noticed(city)
        [refused] = send(city, vault(tmp_path, MAIL="guessed"))
        assert (refused.state, refused.attempts) == ("failed", 1)
        assert "refuses user city: check the user and the secret in environment variable MAIL" in refused.message
        assert "guessed" not in refused.message
        keys = vault(tmp_path, MAIL=mail.password)
        assert send(city, keys) == []
        mail.faults = ["451 busy", "451 busy"]
        [sent] = send(city, keys, again=True)
        assert sent.state == "sent"
        [message] = mail.received
        assert message["Message-ID"] == f"<{sent.key}@city.example>"
        [attachment] = message.iter_attachments()
        assert attachment.get_filename() == "public_security-2026-11-02-notice.xlsx"
        notice = city.home.outbox / DEPARTMENT / "2026-11-02" / "notice.xlsx"
        assert attachment.get_content() == notice.read_bytes()


def test_a_webhook_gets_the_json_signed_and_a_retry_has_the_same_id(small_city, tmp_path):
    with hook_server(tmp_path / "hook") as hook:
        stated = {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK"}, "ca_file": str(hook.ca_file)}
        city = with_channels(small_city, stated)
        noticed(city)
        hook.faults = [503]
        keys = vault(tmp_path, HOOK=SECRET)
        [sent] = send(city, keys)
        assert send(city, keys) == []
    [(headers, body)] = hook.received
    assert headers["webhook-id"] == sent.key
    assert headers["webhook-signature"] == signature(SECRET, sent.key, headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] != signature("another", sent.key, headers["webhook-timestamp"], body)
    assert json.loads(body)["department"] == DEPARTMENT


def test_the_signature_is_that_of_standard_webhooks():
    """The example of its specification."""
    secret, stamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "1614265330"
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", stamp, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_that_sends_elsewhere_is_refused_and_a_dead_one_waits(small_city, tmp_path):
    with hook_server(tmp_path / "hook") as hook:
        stated = {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK"}, "ca_file": str(hook.ca_file)}
        city = with_channels(small_city, stated)
        noticed(city)
        hook.faults = [302]
        keys = vault(tmp_path, HOOK=SECRET)
        [refused] = send(city, keys)
        assert refused.state == "failed"
        assert "status 302: state the address itself" in refused.message
    [waits] = send(city, keys, again=True)
    assert (waits.state, waits.attempts) == ("waiting", 2)
    assert "nobody listens there" in waits.message
    assert hook.received == []


def test_a_process_that_died_while_it_sent_is_followed_by_one_that_sends_under_the_same_key(small_city, tmp_path):
    with hook_server(tmp_path / "hook") as hook:
        stated = {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK"}, "ca_file": str(hook.ca_file)}
        city = with_channels(small_city, stated)
        noticed(city)
        with city.server.session() as cursor:
            cursor.execute("update ops.sendings set state = 'sending'")
        assert [one.state for one in send(city, vault(tmp_path, HOOK=SECRET))] == ["sent"]
    assert len(hook.received) == 1


def test_a_notice_written_anew_takes_the_place_of_the_one_that_waits(small_city, tmp_path):
    with hook_server(tmp_path / "hook") as hook:
        stated = {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK"}, "ca_file": str(hook.ca_file)}
        city = with_channels(small_city, stated)
        loop = noticed(city)
        loop.check(DAYS[0], ["a"], rule="R-2")
        from assets.corrections import advance

        advance(city, DAYS[0], author="test")
        issue(city, DAYS[0], author="test")
        assert sorted(one.state for one in listed(city)) == ["superseded", "waiting"]
        assert [one.state for one in send(city, vault(tmp_path, HOOK=SECRET))] == ["sent"]
    [(_, body)] = hook.received
    assert len(json.loads(body)["orders"]) == 2


@pytest.mark.openssh
@pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")
def test_a_notice_lies_whole_on_the_departments_ssh_server_and_is_written_once(small_city, tmp_path):
    with ssh_server(tmp_path / "ssh") as server:
        stated = {
            "kind": "sftp", "url": server.url(""), "user": server.user, "host_keys": [server.host_key],
            "credentials": {"private_key": {"file": str(server.key)}},
        }  # fmt: skip
        city = with_channels(small_city, stated)
        noticed(city)
        keys = vault(tmp_path)
        assert {one.state for one in send(city, keys)} == {"sent"}
        names = [f"public_security-2026-11-02-notice.{kind}" for kind in ("csv", "json", "xlsx")]
        assert sorted(path.name for path in server.files.iterdir()) == names
        written = {path.name: path.stat().st_mtime_ns for path in server.files.iterdir()}
        with city.server.session() as cursor:
            cursor.execute("update ops.sendings set state = 'sending'")
        assert {one.state for one in send(city, keys)} == {"sent"}
        assert {path.name: path.stat().st_mtime_ns for path in server.files.iterdir()} == written


def test_a_department_without_channels_has_its_outbox_folder_alone(small_city, tmp_path):
    noticed(small_city)
    assert listed(small_city) == []
    assert send(small_city, vault(tmp_path)) == []


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"kind": "webhook", "url": "http://x.example/a", "secret": {"env": "A"}}, "needs https"),
        ({"kind": "webhook", "url": "https://x.example/a", "secret": "abc"}, "no secret here"),
        ({"kind": "email", "server": "m.example", "tls": "none", "sender": "a@b.c", "to": ["a@b.c"]}, "this machine"),
        ({"kind": "email", "server": "m.example", "user": "u", "sender": "a@b.c", "to": ["a@b.c"]}, "belong together"),
        ({"kind": "email", "server": "m.example", "sender": "a@b.c\nBcc: x@y.z", "to": ["a@b.c"]}, "pattern"),
        ({"kind": "fax"}, "sftp"),
    ],
)
def test_a_channel_that_would_show_a_notice_to_others_is_refused(stated, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Channel).validate_python(stated)
