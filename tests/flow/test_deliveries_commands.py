"""`shuyuan deliveries …` as its users run it."""

import json
import os
import subprocess
import time

import pytest

from flow.helpers import ROOT, command, environment, opened

pytestmark = pytest.mark.flow
SMALL = ROOT / "tests" / "small_catalogue"
CSV = "uscc,name,legal_person_id,registered_capital,established_on\n1,甲,34150019900307123X,5,2020-01-05\n2,乙\n"


def shuyuan(home, *arguments, check=True):
    settings = {**environment(home), "SHUYUAN_CATALOG": str(SMALL)}
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=settings, timeout=300, check=False)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def put(home, day, text):
    path = home / "landing" / "market_regulation" / "enterprise_registration" / f"{day}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps({"as_of": str(day), "source": "sftp a/b"}))
    os.utime(path, (time.time() - 600,) * 2)


@pytest.fixture
def home(tmp_path):
    """A new home whose PostgreSQL stays up between the commands."""
    with opened(tmp_path / "home", SMALL):
        yield tmp_path / "home"


def test_deliveries_are_listed_shown_taken_back_and_replayed(home):
    put(home, "2026-11-02", CSV)
    put(home, "2026-11-04", CSV.replace("甲", "丙"))
    shuyuan(home, "run")
    listed = json.loads(shuyuan(home, "deliveries", "list", "--state", "pooled", "--json").stdout)
    assert [(one["as_of"], one["rows_pooled"], one["rows_quarantined"]) for one in listed] == [
        ("2026-11-04", 1, 1), ("2026-11-02", 1, 1),
    ]  # fmt: skip
    newest = listed[0]["delivery_id"]
    told = shuyuan(home, "deliveries", "show", newest).stdout
    assert "sftp a/b" in told
    assert "34150019900307123X" not in told
    [row] = json.loads(shuyuan(home, "deliveries", "rows", newest, "--json").stdout)
    assert (row["name"], row["legal_person_id"]) == ("丙", "341*************3X")
    [left] = json.loads(shuyuan(home, "deliveries", "rows", newest, "--quarantined", "--unmasked", "--json").stdout)
    assert (left["reason_code"], json.loads(left["content"])) == ("field_count", ["2", "乙"])
    due = json.loads(shuyuan(home, "deliveries", "due", "--as-of", "2026-11-06", "--json").stdout)
    missing = [one for one in due if one["department"] == "market_regulation"]
    assert {(one["state"], one["expected_as_of"], one["late_by"]) for one in missing} == {
        ("gap", "2026-11-03", 3), ("late", "2026-11-05", 1),
    }  # fmt: skip
    assert "due and not" in (home / "reports" / "deliveries.html").read_text().lower()
    assert shuyuan(home, "deliveries", "reject", newest, "--reason", " ", check=False).returncode == 2
    shuyuan(home, "deliveries", "reject", newest, "--reason", "wrong month")
    names = "SELECT name FROM market_regulation.enterprise_registration"
    assert json.loads(shuyuan(home, "sql", names, "--json").stdout) == [{"name": "甲"}]
    summary = json.loads(shuyuan(home, "run", "--json").stdout)
    assert list(summary["passes"]) == ["2026-11-04"], "the pass that rested on it is made again"
    shuyuan(home, "deliveries", "replay", newest)
    assert json.loads(shuyuan(home, "sql", names, "--json").stdout) == [{"name": "丙"}]
    unknown = shuyuan(home, "deliveries", "show", "20261104-nothing", check=False)
    assert (unknown.returncode, "is no delivery of the register" in unknown.stderr) == (2, True)
