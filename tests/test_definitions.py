"""The code location: what Dagster is shown, and what loading it may not do."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from catalog import load_catalog
from pipelines.definitions import build_defs
from pipelines.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs(Settings(catalog=ROOT / "catalog", home=ROOT / "never-made"))


def specs_of(defs: dg.Definitions) -> list[dg.AssetSpec]:
    return list(defs.resolve_all_asset_specs())


def test_every_resource_library_table_and_product_is_an_asset(defs):
    catalog = load_catalog(ROOT / "catalog")
    keys = {spec.key.to_user_string() for spec in specs_of(defs)}
    expected = {"ops/deliveries", "quality/correlation", "quality/timeliness", "quality/scores"}
    expected |= {"corrections/ledger", "corrections/notices", "reports/site"}
    expected |= {f"pool/{r.department}/{r.name}" for r in catalog.resources.values()}
    expected |= {f"base/{name}" for name in catalog.libraries}
    expected |= {f"thematic/{t.topic}/{t.name}" for t in catalog.thematic.values()}
    expected |= {f"publish/{name}" for name in catalog.products}
    assert keys == expected


def test_the_policy_pass_leaves_no_asset_without_owner_kind_layer_and_freshness(defs):
    bare = [
        spec.key.to_user_string()
        for spec in specs_of(defs)
        if not (spec.owners and spec.kinds and spec.tags.get("shuyuan/layer") and spec.freshness_policy)
    ]
    assert bare == []


def test_every_pool_states_its_columns_and_table(defs):
    pools = [spec for spec in specs_of(defs) if spec.key.path[0] == "pool"]
    assert len(pools) >= 32
    for spec in pools:
        assert spec.metadata["dagster/column_schema"].columns, spec.key
        assert spec.metadata["dagster/table_name"] == ".".join(spec.key.path[1:])


def test_there_is_a_job_for_the_city_and_one_for_each_department(defs):
    catalog = load_catalog(ROOT / "catalog")
    names = {job.name for job in defs.resolve_all_job_defs()}
    assert {"city", "reports"} <= names
    assert {f"department_{name}" for name in catalog.departments if catalog.of_department(name)} <= names


def test_a_department_job_touches_no_other_department(defs):
    job = defs.resolve_job_def("department_public_security")
    keys = {key.path[1] for key in job.asset_layer.executable_asset_keys if key.path[0] == "pool"}
    assert keys == {"public_security"}


def test_loading_the_location_imports_no_great_expectations_and_touches_no_home(tmp_path):
    code = (
        "import sys, pipelines.definitions as d; from pipelines.settings import Settings; d.build_defs();"
        "print([m for m in ('great_expectations', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"SHUYUAN_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert not (tmp_path / "home").exists()


def test_dg_lists_the_definitions(tmp_path):
    dg_command = Path(sys.executable).with_name("dg")
    done = subprocess.run(
        [str(dg_command), "list", "defs", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            "SHUYUAN_HOME": str(tmp_path / "home"),
            "PATH": f"{dg_command.parent}:/usr/bin",
            "HOME": str(tmp_path),
            "DAGSTER_HOME": str(tmp_path),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    listed = json.loads(done.stdout)
    assert any("pool/public_security/resident_registration" in json.dumps(item) for item in listed["assets"])
