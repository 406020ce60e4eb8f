"""What a steward may state about a source: mistakes are named, and a secret written by mistake is never repeated."""

import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml
from conftest import SMALL_CATALOGUE

from assets import pulls
from catalog import CatalogError, load_catalog
from catalog.models import Cycle
from catalog.sources import Secret
from resources.failures import PermanentError
from resources.secrets import Vault

SFTP = {
    "kind": "sftp", "url": "sftp://h/out/*.csv", "user": "city", "credentials": {"password": {"env": "WORD"}},
    "host_keys": ["ssh-ed25519 AAAA"],
}  # fmt: skip
TABLE = {
    "kind": "postgres", "host": "db.example", "database": "d", "user": "u",
    "credentials": {"password": {"env": "WORD"}}, "table": "t",
}  # fmt: skip
HTTP = {"kind": "http", "url": "https://h/out/a.csv"}
LOGIN = {"user": "city", "credentials": {"password": {"file": "word"}}}


def mistakes(tmp_path: Path, source: object, place: str = "market_regulation/enterprise_registration") -> str:
    root = tmp_path / "catalog"
    shutil.copytree(SMALL_CATALOGUE, root)
    file = root / "departments" / f"{place}.yaml"
    file.write_text(file.read_text("utf-8") + yaml.safe_dump({"source": source}), "utf-8")
    try:
        load_catalog(root)
    except CatalogError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("source", [SFTP, TABLE, HTTP, HTTP | LOGIN])
def test_a_sound_source_is_taken(tmp_path, source):
    assert mistakes(tmp_path, source) == ""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            SFTP | {"credentials": {"password": "hunter2"}},
            "password: no secret here: name it as {env: NAME}",
        ),
        (SFTP | {"credentials": "hunter2"}, "source.credentials: no secret here"),
        (SFTP | {"credentials": {"password": {"env": "hunter2 !"}}}, "source.credentials.password.env"),
        (SFTP | {"credentials": {"password": {"env": "A", "value": "hunter2"}}}, "no such field; allowed: env, file"),
        (SFTP | {"password": "hunter2"}, "source.password: no such field; allowed: credentials, host_keys, kind, url"),
        (SFTP | {"url": "sftp://city:hunter2@h/out/*"}, "source.url: no user or password in an address"),
        ("sftp://city:hunter2@h/out/*", "source: Input should be"),
        (SFTP | {"host_keys": []}, "source.host_keys"),
        (SFTP | {"url": "ftp://h/out/*"}, "url must read sftp://host/path"),
        ({"kind": "ftp"}, "'sftp', 's3', 'http', 'postgres', 'mysql'"),
        (TABLE | {"tls": "none"}, "tls: none is allowed on this machine only"),
        (TABLE | {"tls": "verify"}, "tls: verify needs ca_file"),
        (TABLE | {"columns": {"nope": "x"}}, "source.columns = 'nope': must be one of: established_on"),
        (TABLE | {"watermark": "changed_at"}, "source.watermark = 'changed_at': needs mode: incremental"),
        (HTTP | {"url": "http://h/a.csv", "credentials": {"token": {"env": "T"}}}, "credentials need https"),
    ],
)
def test_a_mistake_is_named_and_no_secret_repeated(tmp_path, source, told):
    said = mistakes(tmp_path, source)
    assert told in said
    assert "hunter2" not in said


def test_a_secret_is_looked_up_where_the_catalogue_says(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "word").write_text("still water\n")
    outside = tmp_path / "word"
    outside.write_text("deep water")
    vault = Vault({"WORD": "old river"}.get, folder)
    assert vault.reveal(Secret(env="WORD")) == "old river"
    assert vault.reveal(Secret(file="word")) == "still water"
    outside.chmod(0o600)
    assert vault.reveal(Secret(file=str(outside))) == "deep water"
    outside.chmod(0o640)
    (folder / "link").symlink_to(outside)
    for secret, told in (
        (Secret(file=str(outside)), "has mode 0640: others may read it; allowed: 0600, or a file in"),
        (Secret(file="link"), "has mode 0640"),
        (Secret(file="none"), "cannot be read: No such file or directory"),
        (Secret(env="UNSET"), "environment variable UNSET is not set"),
    ):
        with pytest.raises(PermanentError, match=told):
            vault.reveal(secret)


@pytest.mark.parametrize(
    ("cycle", "day", "first"),
    [
        (Cycle.daily, date(2026, 11, 29), date(2026, 11, 29)),
        (Cycle.weekly, date(2026, 11, 29), date(2026, 11, 23)),
        (Cycle.monthly, date(2026, 11, 29), date(2026, 11, 1)),
        (Cycle.quarterly, date(2026, 11, 29), date(2026, 10, 1)),
        (Cycle.yearly, date(2026, 11, 29), date(2026, 1, 1)),
    ],
)
def test_a_pull_is_due_once_in_each_period_of_the_cycle(cycle, day, first):
    assert pulls.period(cycle, day) == first
