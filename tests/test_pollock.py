"""Pollock's measure: ten of ten for what is read as it is, less for each record that is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DIALECT = {"delimiter": ",", "quotechar": '"', "escapechar": '"', "header_lines": 1, "preamble_lines": 0}


# Without the second record: 1 of 2 records and 4 of 6 cells are found, all that is loaded is right.
WITHOUT_ONE = 1 + 3 + (1 / 2 + 1 + 2 / 3) + (4 / 6 + 1 + 4 / 5)


@pytest.mark.parametrize(("text", "score"), [("a,b\n1,x\n2,y\n", 10), ("a,b\n1,x\n2\n", WITHOUT_ONE)])
def test_a_record_that_is_not_loaded_costs_its_share(tmp_path: Path, text: str, score: float) -> None:
    written = {"csv/one.csv": text, "clean/one.csv": "a,b\n1,x\n2,y\n"}
    written["parameters/one.csv_parameters.json"] = json.dumps(DIALECT)
    for name, content in written.items():
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(content)
    command = [sys.executable, "-m", "benchmarks.pollock", str(tmp_path), "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told == {"files": 1, "declared": pytest.approx(score), "detected": pytest.approx(score)}
