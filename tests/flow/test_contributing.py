"""The feeds and sources CONTRIBUTING shows a newcomer work as printed."""

import json
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
import yaml
from source_servers import SSHD, ssh_server, web_server

from assets import deliveries, pools
from catalog import load_catalog
from flow.helpers import ROOT, command, environment, shuyuan
from pipelines.installation import open_city
from pipelines.settings import Settings

pytestmark = pytest.mark.flow


def feed_of_contributing() -> tuple[str, dict]:
    """Where the example feed lies in the catalogue, and what it says."""
    shown = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    [(place, text)] = re.findall(r"```yaml\n# catalog/(\S+)\n(.*?)```", shown, re.DOTALL)
    return place, yaml.safe_load(text)


def sources_of_contributing() -> dict[str, dict]:
    """The example of each kind of source, by its kind: fields that the example feed gets."""
    shown = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    stated = [yaml.safe_load(text) for text in re.findall(r"```yaml\n# source [^\n]*\n(.*?)```", shown, re.DOTALL)]
    return {one["source"]["kind"]: one for one in stated}


def catalogue_with(folder: Path, feed: dict) -> Path:
    catalog = folder / "catalog"
    shutil.copytree(ROOT / "catalog", catalog)
    (catalog / feed_of_contributing()[0]).write_text(yaml.safe_dump(feed, allow_unicode=True), "utf-8")
    return catalog


def with_catalogue(catalog: Path, home: Path, *arguments: str, **secrets: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env={**environment(home), "SHUYUAN_CATALOG": str(catalog), **secrets},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_feed_contributing_shows_is_one_file_and_the_catalogue_is_sound(tmp_path):
    checked = with_catalogue(catalogue_with(tmp_path, feed_of_contributing()[1]), tmp_path / "home", "catalog", "check")
    assert checked.returncode == 0, checked.stderr
    assert "catalogue is sound" in checked.stderr


def test_contributing_shows_every_kind_of_source_there_is():
    assert set(sources_of_contributing()) == {"sftp", "s3", "http", "postgres", "mysql"}


def test_each_source_contributing_shows_makes_a_sound_catalogue(tmp_path):
    """One catalogue with a feed of each kind, told apart by what must be unique; a mistake is named with its file."""
    place, feed = feed_of_contributing()
    catalog = catalogue_with(tmp_path, feed)
    for number, (kind, stated) in enumerate(sources_of_contributing().items(), 2):
        rules = [rule | {"id": f"{rule['id']}{number}"} for rule in feed["rules"]]
        unique = {"code": f"{feed['code'][:-1]}{number}", "title": feed["title"] | {"zh": kind}, "rules": rules}
        other = feed | stated | unique
        path = catalog / place
        path.with_stem(f"{path.stem}_{kind}").write_text(yaml.safe_dump(other, allow_unicode=True), "utf-8")
    checked = with_catalogue(catalog, tmp_path / "home", "catalog", "check")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(load_catalog(ROOT / 'catalog').resources) + 6} resources" in " ".join(checked.stderr.split())


PAID = (
    "payment_no,id_type,id_number,name,amount,paid_on\n"
    "P001,111,341502199003071235,张三,1200.00,2026-11-02\nP002,111,341502199003071235,张三,800.50,2026-11-03\n"
)


def test_the_https_source_contributing_shows_is_pulled_from_a_real_server_into_the_pool(tmp_path):
    """Only the address is another: that of a server here."""
    home = tmp_path / "home"
    with web_server(tmp_path / "web", user="city", tls=True) as web:
        stated = sources_of_contributing()["http"]
        stated["source"]["url"] = stated["source"]["url"].replace("https://data.education.example", web.url)
        catalog = catalogue_with(tmp_path, feed_of_contributing()[1] | stated)
        (home / "secrets").mkdir(parents=True, mode=0o700)
        shutil.copy(web.ca_file, home / "secrets" / "education_ca.pem")
        (web.files / "scholarship").mkdir()
        (web.files / "scholarship" / "paid_20261103.csv").write_text(PAID, "utf-8")
        refused = with_catalogue(catalog, home, "pull", "--json", EDUCATION_PASSWORD="guessed")
        assert refused.returncode == 1
        assert "refuses user city" in json.loads(refused.stdout)[0]["failure"]
        assert "guessed" not in refused.stdout + refused.stderr
        done = with_catalogue(catalog, home, "pull", "--json", EDUCATION_PASSWORD=web.password)
    assert json.loads(done.stdout)[0]["files"] == ["paid_20261103.csv"], done.stderr
    silent = with_catalogue(catalog, home, "pull", "--json", EDUCATION_PASSWORD=web.password)
    assert silent.returncode == 1
    assert json.loads(silent.stdout)[0]["transient"]
    assert "retry" in silent.stderr
    with open_city(Settings(home=home, catalog=catalog), load_catalog(catalog)) as city:
        assert deliveries.register(city).registered == 1
        [taken] = pools.load(city, "education", date(2026, 11, 3), author="test")
        assert (taken.rows_pooled, taken.rejected) == (2, False)
        assert city.con.execute("select sum(amount)::varchar from education.scholarship").fetchone() == ("2000.50",)


@pytest.mark.openssh
@pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")
def test_the_sftp_source_contributing_shows_is_pulled_from_a_real_server(tmp_path):
    """Only address, user and host key are others: those of a server here."""
    home = tmp_path / "home"
    with ssh_server(tmp_path / "ssh") as server:
        (server.files / "scholarship_20261103.csv").write_text(PAID, "utf-8")
        stated = sources_of_contributing()["sftp"]
        here = {"url": server.url("scholarship_*.csv"), "user": server.user, "host_keys": [server.host_key]}
        stated["source"] |= here
        catalog = catalogue_with(tmp_path, feed_of_contributing()[1] | stated)
        (home / "secrets").mkdir(parents=True, mode=0o700)
        shutil.copy(server.key, home / "secrets" / "education_key")
        done = with_catalogue(catalog, home, "pull", "--resource", "education.scholarship", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["files"] == ["scholarship_20261103.csv"]
    assert (home / "landing" / "education" / "scholarship" / "scholarship_20261103.csv").read_text("utf-8") == PAID


def test_the_catalogue_here_is_sound_and_a_mistake_is_named_with_what_is_allowed(tmp_path):
    assert "sound" in shuyuan(tmp_path / "home", "catalog", "check").stderr
    catalog = tmp_path / "catalog"
    shutil.copytree(ROOT / "catalog", catalog)
    school = catalog / "departments" / "education" / "school.yaml"
    school.write_text(school.read_text("utf-8").replace("cycle: ", "cycle: every_"), "utf-8")
    told = subprocess.run(
        command("catalog", "check"),
        env={**environment(tmp_path / "home"), "SHUYUAN_CATALOG": str(catalog)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "departments/education/school.yaml: cycle = 'every_" in told.stderr
    assert "'daily'" in told.stderr
