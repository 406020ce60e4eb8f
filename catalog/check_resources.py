"""What a code list, a resource and its rules must agree with, file by file and against each other."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.columns import Column
from catalog.divisions import DIVISIONS, FILES
from catalog.models import ABOVE, Resource
from catalog.reading import Reader
from catalog.rules import Rule
from catalog.sources import TableSource

if TYPE_CHECKING:
    from catalog.load import Catalog


def check_codes(reader: Reader, catalog: Catalog) -> None:
    """Each code list has its file, with the columns and the days a code list has."""
    for name in catalog.codes:
        path = catalog.code_file(name)
        reader.seen.add(path)
        if not path.is_file():
            reader.report(f"codes/{name}.yaml", "(file)", None, f"needs {path.name} beside it")
            continue
        if name == DIVISIONS:
            _check_history(reader, path.parent)
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            missing = {"code", "zh", "en"} - set(rows.fieldnames or ())
            if missing:
                reader.report(path, "(header)", rows.fieldnames, f"must hold the columns {', '.join(sorted(missing))}")
                continue
            times = Counter(row["code"] for row in rows)
        for code, count in times.items():
            if count > 1:
                reader.report(path, "code", code, f"must stand once, stands {count} times")


def _check_history(reader: Reader, codes: Path) -> None:
    files = {codes / f"{DIVISIONS}.{word}.csv": list(columns) for word, columns in FILES.items()}
    there = [path for path in files if path.is_file()]
    reader.seen.update(there)
    for path, columns in files.items() if there else ():
        if path not in there:
            reader.report(path, "(file)", None, "is made of the history by python -m catalog.division_lineage FOLDER")
            continue
        with path.open(encoding="utf-8", newline="") as lines:
            header = next(csv.reader(lines), [])
        if header != columns:
            reader.report(path, "(header)", header, f"must be {','.join(columns)}")


def check_columns(reader: Reader, catalog: Catalog, file: str, columns: Mapping[str, Column]) -> None:
    """Columns name code lists that exist."""
    for name, column in columns.items():
        if column.codes:
            reader.known(file, f"columns.{name}.codes", column.codes, catalog.codes)


def check_rules(reader: Reader, catalog: Catalog, file: str, rules: Iterable[Rule], columns: Collection[str]) -> None:
    """Rules name columns, code lists, libraries and departments that exist."""
    for rule in rules:
        for column in (rule.column, *rule.columns_read()):
            reader.known(file, f"rules.{rule.id}.column", column, columns)
        for name, lookup in rule.lookup.items():
            if name in columns:
                reader.report(file, f"rules.{rule.id}.lookup.{name}", name, "must not be the name of a column")
            kind, target = lookup.to.split(".", 1)
            known = {"base": catalog.libraries, "codes": catalog.codes}.get(kind)
            where = f"rules.{rule.id}.lookup.{name}.to"
            if known is not None:
                reader.known(file, where, target, known)
                if lookup.shape:
                    reader.report(
                        file, where.removesuffix("to") + "shape", lookup.shape, "only a resource has outlines"
                    )
                continue
            reader.known(file, where, lookup.to, catalog.resources)
            partner = catalog.resources.get(lookup.to)
            if partner and lookup.shape:
                reader.known(file, where.removesuffix("to") + "shape", lookup.shape, partner.columns)
            if partner and lookup.on:
                reader.known(file, where.removesuffix("to") + "on", lookup.on, partner.columns)
            elif partner and len(partner.key) > 1:
                reader.report(file, where, lookup.to, f"needs `on`: its key is {', '.join(partner.key)}")


def _check_layout(reader: Reader, file: str, resource: Resource) -> None:
    if resource.layout:
        for column in resource.layout.fields:
            reader.known(file, "layout.fields", column, resource.columns)
        if resource.layout.geometry:
            reader.known(file, "layout.geometry", resource.layout.geometry, resource.columns)


def check_resource(reader: Reader, catalog: Catalog, resource: Resource) -> None:
    """A resource agrees with its columns, its library, its department and what it receives."""
    file = f"departments/{resource.department}/{resource.name}.yaml"
    check_columns(reader, catalog, file, resource.columns)
    check_rules(reader, catalog, file, resource.rules, resource.columns)
    for column in resource.key:
        reader.known(file, "key", column, resource.columns)
    if not any(resource.columns[column].required for column in resource.key if column in resource.columns):
        reader.report(file, "key", list(resource.key), "at least one of its columns must have required: true")
    for name in resource.columns:
        if name.startswith("_"):
            reader.report(file, f"columns.{name}", name, "must not begin with _ (kept for provenance)")
    _check_headers(reader, file, resource)
    _check_versions(reader, file, resource)
    for ignored in set(resource.ignore) & set(resource.columns):
        reader.report(file, "ignore", ignored, "must not be one of the columns")
    _check_layout(reader, file, resource)
    _check_describes(reader, catalog, file, resource)
    _check_received(reader, catalog, file, resource)


def _check_received(reader: Reader, catalog: Catalog, file: str, resource: Resource) -> None:
    others = [*ABOVE, *(name for name in catalog.departments if name != resource.department)]
    stated = {"received_from": resource.received_from}
    stated |= {f"columns.{name}.received_from": column.received_from for name, column in resource.columns.items()}
    for where, giver in stated.items():
        if giver:
            reader.known(file, where, giver, others)


def _check_describes(reader: Reader, catalog: Catalog, file: str, resource: Resource) -> None:
    described = resource.describes
    stated = {"supplies": resource.supplies, "hints": resource.hints, "aliases": resource.aliases}
    if described is None:
        for where in (where for where, said in stated.items() if said):
            reader.report(file, where, sorted(stated[where]), "needs `describes`: the library and its key column")
        return
    reader.known(file, "describes.library", described.library, catalog.libraries)
    if described.by and not described.columns(resource.columns):
        reader.known(file, "describes.by", described.by, resource.columns)
    if described.id_type:
        reader.known(file, "describes.id_type", described.id_type, resource.columns)
    for column in resource.aliases:
        reader.known(file, "aliases", column, resource.columns)
    library = catalog.libraries.get(described.library)
    if library is None:
        return
    for attribute in resource.supplies:
        reader.known(file, "supplies", attribute, library.attributes)
    features = library.identity.compare if library.identity else {}
    for feature in resource.hints:
        reader.known(file, "hints", feature, features)
    if described.by is None:
        _check_without_number(reader, file, resource, features)


def _check_without_number(reader: Reader, file: str, resource: Resource, features: Collection[str]) -> None:
    if resource.aliases:
        reader.report(file, "aliases", list(resource.aliases), "needs `describes.by`: whose other numbers they are")
    if not set(features) & resource.features().keys():
        compared = ", ".join(features) or "nothing"
        reader.report(
            file, "describes.by", None, f"without it the library's identity must compare what records say: {compared}"
        )


def _check_headers(reader: Reader, file: str, resource: Resource) -> None:
    """No header may mean two columns."""
    change = {resource.change_column.column} if resource.change_column else set()
    times = Counter(change)
    for name, column in resource.columns.items():
        times.update({name, column.title, *column.aliases})
    for name, column in resource.columns.items():
        for alias in column.aliases:
            if times[alias] > 1 or alias in resource.ignore:
                reader.report(file, f"columns.{name}.aliases", alias, "must be a header of this column alone")
    for header in change:
        if times[header] > 1:
            reader.report(file, "change_column.column", header, "must not be a header of a column")


def _check_versions(reader: Reader, file: str, resource: Resource) -> None:
    """Each version after the one before; columns come and go once, and never those of the key."""
    known: set[str] = set()
    last = None
    for number, version in enumerate(resource.versions, 2):
        if last and version.from_ <= last:
            reader.report(file, "versions.from", str(version.from_), f"must be later than {last}: the oldest first")
        last = version.from_
        for kind, names in (("adds", version.adds), ("drops", version.drops), ("optional", version.optional)):
            for name in names:
                reader.known(file, f"versions.{number}.{kind}", name, resource.columns)
                if name in resource.key:
                    reader.report(file, f"versions.{number}.{kind}", name, "must not be part of the key")
        for name in set(version.adds) & known:
            reader.report(file, f"versions.{number}.adds", name, "was added before; a column comes once")
        known |= set(version.adds)


def check_source(reader: Reader, resource: Resource) -> None:
    """A source by table names columns and marks that its resource has."""
    if not isinstance(resource.source, TableSource):
        return
    file = f"departments/{resource.department}/{resource.name}.yaml"
    for name in resource.source.columns:
        reader.known(file, "source.columns", name, resource.columns)
    if resource.source.watermark and resource.mode == "full":
        reader.report(file, "source.watermark", resource.source.watermark, "needs mode: incremental")


def check_clock(reader: Reader, catalog: Catalog) -> None:
    """Clocks are set for resources that exist."""
    for name in catalog.jurisdiction.clock.resources:
        reader.known("jurisdiction.yaml", "clock.resources", name, catalog.resources)
