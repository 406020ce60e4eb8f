"""docs/correction_loop.md and docs/disputes.md, executed as they stand; beside the first, files that are refused."""

from __future__ import annotations

import gzip
import re
import shlex
import subprocess
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from files import copied
from typer.testing import CliRunner

from flow.helpers import ROOT, contents, environment, opened, rows
from flow.test_readme import console_lines
from pipelines.cli import app
from resources.ledger import verify_chain

pytestmark = pytest.mark.flow


def bad_files(landing: Path) -> dict[str, str]:
    """Files of the day the walk delivers that must be refused, and what the report says of each."""
    schools = landing / "education" / "school"
    schools.mkdir(parents=True, exist_ok=True)
    (landing / "sports" / "clubs").mkdir(parents=True)
    (landing / "sports" / "clubs" / "a.csv").write_text("x\n1\n")
    (landing / "education" / "pupils").mkdir()
    (landing / "education" / "pupils" / "b.csv").write_text("x\n1\n")
    (schools / "c-empty.csv").write_text("")
    columns = "school_code,name,school_type"
    (schools / "d-lacks-columns-20261106.csv").write_text(f"{columns}\n1,a,1\n")
    (schools / "e-latin-20261106.csv").write_bytes(f"{columns}\n1,caf\xe9,1\n".encode("latin-1"))
    (schools / "f-cut-20261106.csv.gz").write_bytes(gzip.compress(b"school_code\n" * 1000)[:-20])
    (schools / "g-broken-20261106.xlsx").write_bytes(b"PK\x03\x04 not a spreadsheet")
    (schools / "h-lies-20261106.csv").write_text(f"{columns}\n2,b,1\n")
    (schools / "h-lies-20261106.manifest.json").write_text(
        '{"as_of": "2026-11-06", "rows": 9, "sha256": "%s"}' % ("0" * 64)
    )
    return {
        "a.csv": "sports", "b.csv": "pupils", "c-empty.csv": "", "d-lacks-columns-20261106.csv": "",
        "e-latin-20261106.csv": "", "f-cut-20261106.csv.gz": "", "g-broken-20261106.xlsx": "",
        "h-lies-20261106.csv": "sha256",
    }  # fmt: skip


@dataclass(frozen=True)
class Walked:
    """The city after the walk, whose run found bad files in landing too; the refused files, and what was said."""

    home: Path
    bad: dict[str, str]
    stdout: str


@pytest.fixture(scope="module")
def walked(four_days, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    home = copied(four_days[0], folder / "home")
    bad = bad_files(home / "landing")
    lines = console_lines("docs/correction_loop.md")
    assert len(lines) > 10
    with opened(home):  # keeps its PostgreSQL up between the commands
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=folder, env=environment(home), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Walked(home, bad, done.stdout)


def test_the_walk_from_finding_to_verified_is_as_told(walked):
    with opened(walked.home) as city:
        told = rows(
            city,
            "SELECT event FROM shuyuan.ledger.events JOIN shuyuan.ledger.items USING (item_id)"
            " WHERE items.rule_id = 'PSB-001' ORDER BY number",
        )
        clock = rows(
            city,
            "SELECT event FROM shuyuan.ledger.order_events WHERE order_id = (SELECT order_id FROM"
            " shuyuan.ledger.item_states WHERE rule_id = 'PSB-001') ORDER BY number",
        )
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
    assert "\ufeff" in walked.stdout
    assert str(ROOT) not in walked.stdout


def test_bad_files_are_refused_with_reasons_in_the_report_and_leave_every_pool_as_it_was(walked, after_four_days):
    before = {name: digest for name, digest in after_four_days.items() if name.startswith("education.")}
    assert before
    page = (walked.home / "reports" / "deliveries.html").read_text("utf-8")
    with opened(walked.home) as city:
        told = dict(
            rows(city, "SELECT file_name, reasons::VARCHAR FROM shuyuan.ops.deliveries WHERE state = 'rejected'")
        )
        after = {name: digest for name, digest in contents(city).items() if name in before}
    assert set(walked.bad) <= set(told)
    for name, part in walked.bad.items():
        assert part in told[name]
        assert name in page
    assert after == before
    assert f"taken in, {len(walked.bad)} rejected" in walked.stdout
    assert not list((walked.home / "landing").rglob("*.csv"))


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
