"""The code location: what Dagster is shown, and what loading it may not do."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from catalog import Cycle, load_catalog
from catalog.timing import MaxAge
from pipelines.definitions import build_defs
from pipelines.policy import window_of
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
    expected |= {"corrections/ledger", "corrections/notices", "reports/supervision", "reports/site"}
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


def test_a_pools_freshness_is_the_age_its_delivery_may_have_and_rest_days(defs):
    catalog = load_catalog(ROOT / "catalog")
    windows = {spec.key.path[-1]: spec.freshness_policy.fail_window.to_timedelta() for spec in specs_of(defs)}
    assert windows["resident_registration"] == timedelta(days=1 + 3)
    assert windows["enterprise_registration"] == timedelta(days=1 + 3)
    assert windows["taxpayer_registration"] == timedelta(days=7 + 3)
    assert windows["student_enrolment"] == timedelta(days=31 + 5 + 3)
    resource = catalog.resources["public_security.resident_registration"]
    changed = {
        timedelta(minutes=15): {"cycle": Cycle.real_time},
        timedelta(minutes=90): {"cycle": Cycle.hourly},
        timedelta(minutes=5): {"max_age": MaxAge(minutes=5)},
        timedelta(days=2): {"cycle": Cycle.every_day},
        timedelta(days=30 + 2 + 3): {"max_age": MaxAge(days=30, working_days=2)},
    }
    for window, update in changed.items():
        assert window_of(resource.model_copy(update=update)) == window


def test_no_check_blocks_a_whole_department_or_another_product(defs):
    """A blocking rule keeps its record out of libraries and a gate its product back: both are decided by records."""
    specs = [spec for one in defs.assets for spec in one.check_specs]
    assert len(specs) > 100
    assert [spec.key for spec in specs if spec.blocking] == []


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
