"""What README and CONTRIBUTING tell a newcomer to type about a city works as printed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from catalog import load_catalog
from flow.helpers import ALL_THREADS, ROOT, environment, opened, shuyuan

pytestmark = pytest.mark.flow


def console_lines(document: str) -> list[str]:
    """Commands of a document's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_readme_begins_with_its_two_commands():
    assert console_lines("README.md")[:2] == ["make run", "make test"]


def test_every_console_line_of_the_readme_runs(four_days, tmp_path):
    with opened(four_days[0]):  # keeps its PostgreSQL up between the commands
        every_console_line_runs(*four_days, tmp_path)


@pytest.mark.soak
def test_every_console_line_of_the_readme_runs_on_the_city_of_its_own_size(tmp_path):
    home = tmp_path / "home"
    done = subprocess.run(
        ["make", "run"], cwd=ROOT, env=environment(home, **ALL_THREADS), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    every_console_line_runs(home, done.stdout, tmp_path)


def every_console_line_runs(home: Path, said: str, tmp_path: Path) -> None:
    assert "rows in" in said
    assert (home / "reports" / "index.html").is_file()
    assert list((home / "outbox").glob("*/*/*.xlsx"))
    for line in console_lines("README.md")[2:]:
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment(home), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
    assert (tmp_path / "findings.xlsx").stat().st_size > 10_000
    recompute(tmp_path / "scores")
    query = "SELECT id_number FROM as_believed.population('2026-11-02') LIMIT 1"
    [person] = json.loads(shuyuan(home, "sql", "--json", query).stdout)
    for line in console_lines("docs/history.md"):
        asked = line.replace("341502199003071235", person["id_number"])
        done = subprocess.run(asked, shell=True, env=environment(home), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"


def recompute(exported: Path) -> None:
    """What docs/scores.md tells a stranger to run on exported scores."""
    [snippet] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/scores.md").read_text("utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-I", "-c", snippet], cwd=exported, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(load_catalog(ROOT / "catalog").departments)


def test_make_alone_prints_help():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for target in ("run", "test", "check", "serve", "bench", "soak", "clean"):
        assert f"make {target}" in told


def test_the_rules_of_contributing_are_tried_and_nothing_is_saved(four_days, tmp_path):
    home = four_days[0]
    shown = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    [text] = re.findall(r"```yaml\n# new_rules.yaml\n(.*?)```", shown, re.DOTALL)
    file = tmp_path / "new_rules.yaml"
    resource = "public_security.resident_registration"
    suggested = shuyuan(home, "rules", "suggest", resource).stdout
    assert yaml.safe_load(suggested)["rules"], suggested
    file.write_text(text + suggested.removeprefix("rules:\n"), encoding="utf-8")
    done = shuyuan(home, "rules", "try", str(file), "--resource", resource, "--json")
    tried = json.loads(done.stdout)
    assert [one["rule"] for one in tried] == [rule["id"] for rule in yaml.safe_load(file.read_text("utf-8"))["rules"]]
    assert {one["state"] for one in tried} == {"ok"}
    assert all(0 <= one["failed"] <= one["applicable"] <= one["records"] for one in tried)
    assert tried[0]["applicable"] > 0


def test_wrong_usage_ends_with_2_and_says_what_is_allowed(four_days):
    home = four_days[0]
    for arguments, part in (
        (("run", "--as-of", "tomorrow"), "YYYY-MM-DD"),
        (("run", "--department", "sports"), "education"),
        (("demo", "--people", "3"), "1000"),
        (("findings", "export", "out.doc"), ".parquet"),
        (("orders", "list", "--state", "lost"), "overdue"),
        (("pull", "--resource", "tax.arrears"), "no resource has a source"),
    ):
        done = shuyuan(home, *arguments, check=False)
        assert done.returncode == 2, (arguments, done.stderr)
        assert part in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
