"""A city without planted defects is accused of nothing, and whoever states no number is recognised."""

import pytest

from flow.helpers import ALL_THREADS, identities, opened, rows, run_json, shuyuan

pytestmark = pytest.mark.flow


@pytest.mark.parametrize(
    "people", [10_000, *(pytest.param(people, marks=pytest.mark.soak) for people in (30_000, 1_000_000))]
)
def test_a_defect_free_city_has_no_finding_of_severity_error_or_block(tmp_path, people):
    home = tmp_path / "home"
    shuyuan(home, "demo", "--people", str(people), "--days", "1", "--defect-rate", "0")
    summary = run_json(home, **ALL_THREADS)
    with opened(home) as city:
        accused = rows(
            city,
            "SELECT rule_id, count(*) FROM quality.findings WHERE severity IN ('block', 'error') GROUP BY ALL",
        )
        assert accused == []
        assert rows(city, f"SELECT count(*) >= {people} FROM base.population") == [(True,)]
        assert rows(city, "SELECT count(*) FROM quality.results WHERE state = 'error'") == [(0,)]
        records, right, merged_wrongly = identities(city, home)
        assert merged_wrongly is None
        assert right >= 0.99 * records > people / 100
    assert summary["totals"]["rows_quarantined"] == 0
