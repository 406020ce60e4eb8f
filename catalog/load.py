"""Reads a catalogue folder into one frozen `Catalog`, or tells everything that is wrong with it at once.

The folder is the registry: a file that is there exists, nothing is listed twice. Checks that need a database (does a
rule's SQL bind?) live in `quality_checks.suites`; this module checks files one by one and against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from catalog.check_resources import check_clock, check_codes, check_resource, check_rules, check_source
from catalog.check_tables import (
    check_coverage,
    check_identity,
    check_library,
    check_order,
    check_product,
    check_strays,
    check_thematic,
    check_unique,
)
from catalog.holidays import FILE, HolidayTableError, read_holidays
from catalog.jurisdiction import Jurisdiction
from catalog.models import CodeList, Department, Library, Product, Resource, ThematicTable
from catalog.reading import CatalogError, CatalogProblem, Reader
from catalog.rules import Rule

RESERVED = {"base", "thematic", "quality", "ops", "city", "codes", "shuyuan", "main", "temp", "system", "feedback"}


@dataclass(frozen=True)
class Catalog:
    """Everything the catalogue states, by name and in sorted order."""

    root: Path
    departments: Mapping[str, Department]
    resources: Mapping[str, Resource]  # by "<department>.<resource>"
    libraries: Mapping[str, Library]
    thematic: Mapping[str, ThematicTable]  # by "<topic>.<table>"
    products: Mapping[str, Product]
    codes: Mapping[str, CodeList]
    jurisdiction: Jurisdiction = field(default_factory=Jurisdiction)
    holidays: Mapping[date, bool] = field(default_factory=dict)  # imported days, and whether each is a working day
    implied: dict[str, tuple[Resource, tuple[Rule, ...]]] = field(  # rules worked out of declarations, by resource
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of_department(self, department: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.department == department]

    def sources_of(self, library: str) -> list[Resource]:
        """Resources that describe this library's entities, in sorted order."""
        return [r for r in self.resources.values() if r.describes and r.describes.library == library]

    def behind(self, table: str) -> list[Resource]:
        """Resources that `base.<library>`, `<topic>.<table>` or `<department>.<resource>` is made from, by id."""
        found: dict[str, Resource] = {}
        waiting, seen = [table], set[str]()
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            if one in self.resources:
                found[one] = self.resources[one]
            elif one in self.thematic:
                waiting += self.thematic[one].reads
            else:
                waiting += [resource.id for resource in self.sources_of(one.removeprefix("base."))]
        return [found[name] for name in sorted(found)]

    def code_file(self, name: str) -> Path:
        return self.root / "codes" / f"{self.codes[name].name}.csv"

    @cached_property
    def thematic_in_order(self) -> list[ThematicTable]:
        """Thematic tables so that each comes after those it reads."""
        done: dict[str, ThematicTable] = {}

        def place(table: ThematicTable) -> None:
            for source in table.reads:
                if source in self.thematic and source != table.id:
                    place(self.thematic[source])
            done.setdefault(table.id, table)

        for table in self.thematic.values():
            place(table)
        return list(done.values())


class _Rules(BaseModel):
    """What `load_rules` reads of a file; the rest of a resource's file is not looked at."""

    rules: tuple[Rule, ...]


def load_rules(catalog: Catalog, resource: Resource, path: Path) -> tuple[Rule, ...]:
    """The rules of a YAML file with `rules`, not saved in the catalogue, checked against the resource.

    Raises:
        CatalogError: with every problem found, each naming file, field, value and what is allowed.
    """
    reader = Reader(path.parent)
    read = reader.read(path, _Rules)
    if read:
        check_rules(reader, catalog, path.name, read.rules, resource.columns)
    if reader.problems or not read:
        raise CatalogError(reader.problems)
    return read.rules


def load_catalog(root: Path) -> Catalog:
    """Read and cross-check the catalogue under `root`.

    Raises:
        CatalogError: with every problem found, each naming file, field, value and what is allowed.
    """
    root = root.resolve()
    reader = Reader(root)
    if not (root / "departments").is_dir():
        raise CatalogError([CatalogProblem("departments", "(folder)", str(root), "the catalogue folder must hold it")])
    codes = reader.named("codes", CodeList)
    departments, resources = _read_departments(reader)
    libraries = reader.named("libraries", Library)
    products = reader.named("publish", Product)
    thematic: dict[str, ThematicTable] = {}
    for path in reader.files("thematic", "*/*.yaml"):
        sql = path.with_suffix(".sql")
        reader.seen |= {path, sql}
        if not sql.is_file():
            reader.report(path, "(file)", None, f"needs {sql.name} beside it")
            continue
        table = reader.read(path, ThematicTable, topic=path.parent.name, name=path.stem, sql=sql.read_text("utf-8"))
        if table:
            thematic[table.id] = table
    stated = _read_jurisdiction(reader), _read_holidays(reader)
    catalog = Catalog(root, departments, resources, libraries, thematic, products, codes, *stated)
    check_codes(reader, catalog)
    for resource in resources.values():
        check_resource(reader, catalog, resource)
        check_source(reader, resource)
    for library in libraries.values():
        check_library(reader, catalog, library)
        check_coverage(reader, catalog, library)
        check_identity(reader, catalog, library)
    for theme in thematic.values():
        check_thematic(reader, catalog, theme)
    check_order(reader, catalog)
    for product in products.values():
        check_product(reader, catalog, product)
    check_clock(reader, catalog)
    check_unique(reader, catalog)
    check_strays(reader)
    if reader.problems:
        raise CatalogError(reader.problems)
    return catalog


def _read_jurisdiction(reader: Reader) -> Jurisdiction:
    path = reader.root / "jurisdiction.yaml"
    read = reader.read(path, Jurisdiction) if path.is_file() else None
    return read or Jurisdiction()


def _read_holidays(reader: Reader) -> dict[date, bool]:
    """The table alone: which years a library publishes besides is known above this layer."""
    path = reader.root / FILE
    reader.seen.add(path)
    if not path.is_file():
        return {}
    try:
        return read_holidays(path, range(date.max.year))
    except HolidayTableError as error:
        reader.report(path, "(table)", None, str(error))
        return {}


def _read_departments(reader: Reader) -> tuple[dict[str, Department], dict[str, Resource]]:
    departments: dict[str, Department] = {}
    resources: dict[str, Resource] = {}
    for folder in sorted(p for p in (reader.root / "departments").iterdir() if p.is_dir()):
        if folder.name in RESERVED:
            reader.report(folder, "(folder)", folder.name, f"reserved; not one of: {', '.join(sorted(RESERVED))}")
        own = folder / "department.yaml"
        if not own.is_file():
            reader.report(folder, "(folder)", None, "needs department.yaml (title, code, sharing office)")
        elif department := reader.read(own, Department, name=folder.name):
            departments[folder.name] = department
        for path in sorted(folder.glob("*.yaml")):
            if path != own and (resource := reader.read(path, Resource, department=folder.name, name=path.stem)):
                resources[resource.id] = resource
    return departments, resources
