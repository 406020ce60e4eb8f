"""Notices on their way to departments: real servers, each file once, and what happens when one does not answer."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml
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
        issue(city, DAYS[0], author="test")
        assert send(city, keys) == []
        assert (message["To"], str(WRONG) in message.get_body().get_content()) == ("office@psb.example", False)
        [attachment] = message.iter_attachments()
        assert attachment.get_filename() == "public_security-2026-11-02-notice.xlsx"
        notice = city.home.outbox / DEPARTMENT / "2026-11-02" / "notice.xlsx"
        assert attachment.get_content() == notice.read_bytes()


def test_a_webhook_gets_the_json_signed_and_a_retry_has_the_same_id(small_city, tmp_path):
    """Busy; then a process that died while it sent; then one that sends us elsewhere; then nobody there."""
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
        left(city, "sending")
        [after] = send(city, keys)
        assert (after.state, after.key) == ("sent", sent.key)
        assert [headers["webhook-id"] for headers, _ in hook.received] == [sent.key, sent.key]
        left(city, "waiting")
        hook.faults = [302]
        [refused] = send(city, keys)
        assert refused.state == "failed"
        assert "status 302: state the address itself" in refused.message
    [waits] = send(city, keys, again=True)
    assert (waits.state, waits.attempts) == ("waiting", 4)
    assert "nobody listens there" in waits.message
    assert len(hook.received) == 2


def left(city, state: str) -> None:
    """Every sending in this state, as a process that died there leaves it."""
    with city.server.session() as cursor:
        cursor.execute("update ops.sendings set state = %s", (state,))


def test_contributing_shows_every_kind_of_channel():
    shown = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    [text] = re.findall(r"```yaml\n# channels of a department\n(.*?)```", shown, re.DOTALL)
    channels = TypeAdapter(tuple[Channel, ...]).validate_python(yaml.safe_load(text)["channels"])
    assert [one.kind for one in channels] == ["sftp", "email", "webhook"]


def test_the_signature_is_that_of_standard_webhooks():
    """The example of its specification."""
    secret, stamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "1614265330"
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", stamp, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


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
        left(city, "sending")
        assert {one.state for one in send(city, keys)} == {"sent"}
        assert {path.name: path.stat().st_mtime_ns for path in server.files.iterdir()} == written


def test_dagster_sends_what_waits_where_a_channel_is_stated(small_city, tmp_path):
    """The job as Dagster runs it, on the small city; without channels there is none."""
    from contextlib import nullcontext

    from assets.graph_pools import PASS
    from assets.passing import Pass
    from pipelines.definitions import pass_resource
    from pipelines.send_jobs import build_send_jobs, build_send_schedules

    assert build_send_jobs(small_city.catalog, vault(tmp_path)) == []
    noticed(small_city, day=DAYS[1])
    assert send(small_city, vault(tmp_path)) == listed(small_city) == []  # the outbox folder alone
    with hook_server(tmp_path / "hook") as hook:
        stated = {"kind": "webhook", "url": hook.url, "secret": {"env": "HOOK"}, "ca_file": str(hook.ca_file)}
        city = with_channels(small_city, stated)
        noticed(city, "b", DAYS[2])
        [job] = build_send_jobs(city.catalog, vault(tmp_path, HOOK=SECRET))
        assert [one.job_name for one in build_send_schedules(city.catalog, "Asia/Shanghai")] == [job.name]
        given = pass_resource(lambda _context, day: nullcontext(Pass(city, day, "test")))
        config = {"resources": {PASS: {"config": {"as_of": DAYS[0].isoformat()}}}}
        assert job.execute_in_process(run_config=config, resources={PASS: given}).success
    assert len(hook.received) == 1


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
