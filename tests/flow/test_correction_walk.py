"""docs/correction_loop.md, executed as it stands."""

from __future__ import annotations

import subprocess

import pytest
from files import copied

from flow.helpers import ROOT, environment, opened
from flow.test_readme import console_lines
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
        assert verify_chain(city.server) == []
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
