"""What README and CONTRIBUTING tell a newcomer to type works as printed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flow.helpers import ROOT, environment, shuyuan

pytestmark = pytest.mark.flow


def console_lines(document: str) -> list[str]:
    """Commands of a document's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_readme_begins_with_its_two_commands():
    assert console_lines("README.md")[:2] == ["make run", "make test"]


def test_every_console_line_of_the_readme_runs(made_by_the_readme, tmp_path):
    home, said = made_by_the_readme
    assert "rows in" in said
    assert (home / "reports" / "index.html").is_file()
    assert list((home / "outbox").glob("*/*/*.xlsx"))
    for line in console_lines("README.md")[2:]:
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment(home), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
    assert (tmp_path / "findings.xlsx").stat().st_size > 10_000


def test_the_feed_contributing_shows_is_one_file_and_the_catalogue_is_sound(tmp_path):
    shown = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    [example] = re.findall(r"```yaml\n# catalog/(\S+)\n(.*?)```", shown, re.DOTALL)
    catalog = tmp_path / "catalog"
    shutil.copytree(ROOT / "catalog", catalog)
    (catalog / example[0]).write_text(example[1], "utf-8")
    checked = subprocess.run(
        ["shuyuan", "catalog", "check"],
        env={**environment(tmp_path / "home"), "SHUYUAN_CATALOG": str(catalog)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "catalogue is sound" in checked.stderr


def test_the_catalogue_here_is_sound_and_a_mistake_is_named_with_what_is_allowed(tmp_path):
    assert "sound" in shuyuan(tmp_path / "home", "catalog", "check").stderr
    catalog = tmp_path / "catalog"
    shutil.copytree(ROOT / "catalog", catalog)
    school = catalog / "departments" / "education" / "school.yaml"
    school.write_text(school.read_text("utf-8").replace("cycle: ", "cycle: every_"), "utf-8")
    told = subprocess.run(
        ["shuyuan", "catalog", "check"],
        env={**environment(tmp_path / "home"), "SHUYUAN_CATALOG": str(catalog)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "departments/education/school.yaml: cycle = 'every_" in told.stderr
    assert "'daily'" in told.stderr


def test_make_alone_prints_help():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for target in ("run", "test", "check", "serve", "bench", "soak", "clean"):
        assert f"make {target}" in told


def test_wrong_usage_ends_with_2_and_says_what_is_allowed(tmp_path):
    home: Path = tmp_path / "home"
    for arguments, part in (
        (("run", "--as-of", "tomorrow"), "YYYY-MM-DD"),
        (("run", "--department", "sports"), "education"),
        (("demo", "--people", "3"), "1000"),
        (("findings", "export", "out.doc"), ".parquet"),
        (("orders", "list", "--state", "lost"), "overdue"),
    ):
        done = shuyuan(home, *arguments, check=False)
        assert done.returncode == 2, (arguments, done.stderr)
        assert part in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
