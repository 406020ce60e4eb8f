"""Great Expectations' results as its own Data Docs: an extra for those who know them, not the report.

The pages take style sheets and scripts from servers on the internet. Without it they are plain but legible, and so they
say at their head. They hold what the stored results hold: counts and rules, no value of a record.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from quality_checks.runner import new_context

SITE = ".shuyuan-data-docs"  # in a site's folder, with its day
BANNER = """
<style>
  .shuyuan-extra {position: relative; z-index: 2000; padding: 8px 16px; background: #fff3cd; color: #000;
    border-bottom: 1px solid #998; font: 14px sans-serif}
  .fa-check-circle::before {content: "✓"} .fa-times::before {content: "✗"}
  .fa-exclamation-triangle::before {content: "!"}
  footer {display: none}
</style>
<div class="shuyuan-extra">附加页面：样式与脚本取自互联网，内网中只见文字；质量结论以质量报告为准。
An extra: style sheets and scripts come from the internet, without it there is plain text.
The quality report stands.</div>
"""


def days(validations: Path) -> list[date]:
    """The days of which results are stored in the home's folder of them, the last one last."""
    named = [one.name for one in validations.iterdir() if one.is_dir()]
    return sorted(date.fromisoformat(one) for one in named if re.fullmatch(r"\d{4}-\d\d-\d\d", one))


def build(validations: Path, as_of: date, folder: Path) -> int:
    """Make `folder` the site of one day's stored results; how many results it shows.

    Raises:
        FileExistsError: the folder holds something else than an earlier site.
    """
    if folder.exists() and not (folder / SITE).exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds other files; name a new folder, or that of an earlier site")
    context = new_context()  # before anything else of Great Expectations is imported
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh = Path(scratch) / "site"
        shown = _site(context, validations, as_of, fresh)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    return shown


def _site(context: Any, validations: Path, as_of: date, fresh: Path) -> int:
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(fresh.resolve())}
    site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": backend}
    context.add_data_docs_site("shuyuan", {**site, "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}})
    run = RunIdentifier(run_name=str(as_of), run_time=datetime.combine(as_of, time(), tzinfo=UTC))
    documents = list(_documents(validations / str(as_of)))
    for table, document in documents:
        result = ExpectationSuiteValidationResult(**document)
        result.meta["run_id"] = run
        suite = ExpectationSuiteIdentifier(result.suite_name)
        key = ValidationResultIdentifier(expectation_suite_identifier=suite, run_id=run, batch_identifier=table)
        context.validation_results_store.set(key, result)
    context.build_data_docs(site_names=["shuyuan"])
    for page in fresh.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("<body>", f"<body>{BANNER}", 1), encoding="utf-8")
    (fresh / SITE).write_text(f"{as_of}\n")
    return len(documents)


def _documents(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and result of each suite that ran, told so that its page says which rule and how many records."""
    from quality_checks.expectations import ExpectRecordsToObeyRule

    ours = ExpectRecordsToObeyRule.expectation_type
    for file in sorted(folder.glob("*.json")):
        for document in json.loads(file.read_text(encoding="utf-8")):
            for one in document["results"]:
                counted, config = one["result"], one["expectation_config"]
                if "rule" in config["meta"]:
                    config["description"] = f"{config['meta']['rule']}: {config['description']}"
                if config["type"] == ours and counted:  # the pages have a column for this alone
                    said = f"{counted['unexpected_count']} of {counted['element_count']} records break it"
                    percent = 100 * counted["unexpected_count"] / max(counted["element_count"], 1)
                    counted |= {"observed_value": said, "unexpected_percent": percent, "partial_unexpected_list": []}
            yield file.stem, document
