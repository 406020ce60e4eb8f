"""docs/correction_loop.md and docs/disputes.md, executed as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import nullcontext

import pytest
from files import copied
from typer.testing import CliRunner

from flow.helpers import ROOT, environment, opened
from flow.test_readme import console_lines
from pipelines.cli import app
from resources.ledger import verify_chain

pytestmark = pytest.mark.flow


def test_the_walk_from_finding_to_verified_is_as_told(four_days, tmp_path):
    home = copied(four_days[0], tmp_path / "home")
    lines = console_lines("docs/correction_loop.md")
    assert len(lines) > 10
    with opened(home) as city:  # keeps its PostgreSQL up between the commands
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=tmp_path, env=environment(home), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        told = city.con.execute(
            "SELECT event FROM shuyuan.ledger.events JOIN shuyuan.ledger.items USING (item_id)"
            " WHERE items.rule_id = 'PSB-001' ORDER BY number"
        ).fetchall()
        clock = city.con.execute(
            "SELECT event FROM shuyuan.ledger.order_events WHERE order_id = (SELECT order_id FROM"
            " shuyuan.ledger.item_states WHERE rule_id = 'PSB-001') ORDER BY number"
        ).fetchall()
        assert verify_chain(city.con) == []
    events = [event for (event,) in told]
    assert events[:2] == ["opened", "notified"]
    assert events[-6:] == [
        "objection_raised", "rejected", "needs_information", "informed", "will_correct",
        "verified_as_suggested",
    ]  # fmt: skip
    assert [event for (event,) in clock] == [
        "opened", "notified", "paused", "resumed", "extended", "closed",
    ]  # fmt: skip
    assert "\ufeff" in done.stdout
    assert str(ROOT) not in done.stdout


def run(line: str, names: dict[str, str]) -> str:
    """One line of a shell: `shuyuan` in this process, since starting one takes longest, the rest in bash."""
    if assigned := re.fullmatch(r"(\w+)=\$\((.*)\)", line):
        names[assigned[1]] = run(assigned[2], names).strip()
        return ""
    line = re.sub(r"\$\((.*)\)", lambda found: run(found[1], names).strip(), line)
    line = re.sub(r"\$(\w+)", lambda found: names.get(found[1], found[0]), line)
    command, _, rest = line.partition(" | ")
    if not command.startswith("shuyuan "):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], capture_output=True, text=True, check=True
        ).stdout
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, (line, done.output, done.exception)
    if not rest:
        return done.stdout
    return subprocess.run(["bash", "-c", rest], input=done.stdout, capture_output=True, text=True, check=True).stdout


def test_a_doubt_and_its_dispute_go_as_they_are_told(four_days, tmp_path, monkeypatch):
    home = copied(four_days[0], tmp_path / "home")
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    lines = console_lines("docs/disputes.md")
    assert len(lines) > 8
    with opened(home) as city:
        monkeypatch.setattr("pipelines.installation.open_city", lambda *_, **__: nullcontext(city))  # opened once
        names: dict[str, str] = {}
        told = [run(line, names) for line in lines]
        with city.server.session() as cursor:
            cursor.execute("select event, state, level, party from ledger.dispute_events order by number")
            argued = cursor.fetchall()
            cursor.execute("select state, attribute, library from ledger.request_states")
            requests = cursor.fetchall()
            cursor.execute("select count(*) from curated.residents where _disputed is not null")
            marked = cursor.fetchone()
        assert verify_chain(city.con) == []
    assert argued == [
        ("opened", "negotiation", 1, "civil_affairs"), ("stated", "negotiation", 1, "public_security"),
        ("escalated", "authority", 2, "civil_affairs"), ("rejected", "rejected", 2, "authority"),
    ]  # fmt: skip
    assert requests == [("rejected", "name", "population")]
    assert marked == (1,)
    assert "D20261105-0001" in told[-2]
    assert "disputes" in told[-1]
