"""The report site: static pages below `home.reports`, whole at every moment and the same bytes for the same data.

`index.html` the city, `departments/<department>.html`, `resources/<department>.<resource>.html`, `deliveries.html`,
`libraries.html`, `libraries/<library>.html`, `rules.html`, `themes.html` and `supervision.html`, `anchor.json` the
heads of the ledger's chains; everything they need lies beside them, every link is relative, so the folder can be copied
anywhere. Add a page here. Figures are read by `assets.report_figures` and `assets.report_ledger`, chosen by
`assets.report_pages`. The monitoring reports in `supervision/` are written once by `assets.supervision_files` and
carried from site to site.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from assets.report_figures import Figures, collect
from assets.report_html import TEMPLATES, environment
from assets.report_ledger import Ledger, collect_ledger
from assets.report_pages import Page, Site
from assets.supervision import causes, changes, versions
from assets.supervision_files import FOLDER
from assets.supervision_pages import Told
from catalog.load import Catalog
from quality_checks.supervision_figures import FIGURES
from resources.city import City
from resources.home import scratch
from resources.ledger import write_anchor

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def build(city: City, as_of: date) -> Path:
    """Write the site as of the end of the pass `as_of` and put it in place of the last one; returns its index.html."""
    figures, ledger = collect(city.con, city.catalog, as_of), collect_ledger(city.con, as_of)
    told = [Told(version, causes(city, version), changes(city, version)) for version in versions(city)]
    with scratch(city.home) as folder:
        fresh = folder / "reports"
        write(city.catalog, figures, ledger, fresh, told)
        kept = city.home.reports / FOLDER
        if kept.is_dir():
            shutil.copytree(kept, fresh / FOLDER, copy_function=os.link)
        put_in_place(fresh, city.home.reports)
    return city.home.reports / "index.html"


def write(catalog: Catalog, figures: Figures, ledger: Ledger, folder: Path, told: Sequence[Told] = ()) -> None:
    """Write every page into `folder`, which must not exist."""
    for name in ("departments", "libraries", "resources"):
        (folder / name).mkdir(parents=True)
    shutil.copyfile(TEMPLATES / "style.css", folder / "style.css")
    env = environment()
    site = Site(catalog, figures, ledger)

    def page(path: str, template: str, values: Page) -> None:
        text = env.get_template(f"{template}.html.jinja").render(**values, site=site, as_of=figures.as_of)
        (folder / path).write_text(text, encoding="utf-8")

    write_anchor(folder / "anchor.json", ledger.heads)
    page("index.html", "index", site.overview())
    page("deliveries.html", "deliveries", site.deliveries())
    page("rules.html", "rules", site.rule_book())
    page("libraries.html", "libraries", site.libraries())
    for name in catalog.libraries:
        page(f"libraries/{name}.html", "library", site.library(name))
    page("themes.html", "themes", site.themes())
    page("supervision.html", "supervisions", {"root": "", "here": "supervision", "told": told, "named": FIGURES})
    for name, department in catalog.departments.items():
        page(f"departments/{name}.html", "department", site.department(department))
        for resource in catalog.of_department(name):
            page(f"resources/{resource.id}.html", "resource", site.resource_page(resource))


def put_in_place(fresh: Path, site: Path) -> None:
    """Exchange two folders in one step, so that a reader sees the old site or the new one; the old one is removed.

    Where the file system cannot exchange, the old one is moved aside first: for that moment there is no site.
    """
    site.mkdir(mode=0o700, exist_ok=True)
    fresh.chmod(0o700)
    if not _exchange(fresh, site):
        aside = fresh.with_name(f"{fresh.name}.old")
        site.rename(aside)
        fresh.rename(site)
        aside.rename(fresh)
    shutil.rmtree(fresh)


def _exchange(one: Path, other: Path) -> bool:
    """Linux's atomic exchange of two names; False where there is no such call.

    Raises:
        OSError: when the exchange is known here but refused.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
