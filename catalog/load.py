"""Reads a catalogue folder into one frozen `Catalog`, or tells everything that is wrong with it at once.

The folder is the registry: a file that is there exists, nothing is listed twice. Checks that need a database (does a
rule's SQL bind?) live in `quality_checks.suites`; this module checks files one by one and against each other.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from catalog.divisions import DIVISIONS, FILES
from catalog.holidays import FILE, HolidayTableError, read_holidays
from catalog.jurisdiction import Jurisdiction
from catalog.models import (
    ABOVE,
    LIFE,
    CodeList,
    Column,
    Department,
    Library,
    Product,
    Resource,
    Rule,
    ThematicTable,
)
from catalog.sources import SECRET_SHOWN, TableSource
from catalog.tables_read import tables_read

Model = TypeVar("Model", bound=BaseModel)
RESERVED = {"base", "thematic", "quality", "ops", "city", "codes", "shuyuan", "main", "temp", "system", "feedback"}


@dataclass(frozen=True, order=True)
class CatalogProblem:
    """One wrong statement in one file."""

    file: str
    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        value = f" = {self.value}" if self.value else ""
        return f"{self.file}: {self.field}{value}: {self.allowed}"


class CatalogError(Exception):
    """The catalogue cannot be used; `problems` lists every reason."""

    def __init__(self, problems: Iterable[CatalogProblem]) -> None:
        self.problems = sorted(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__("\n".join([f"{len(self.problems)} {noun} in the catalogue:", *map(str, self.problems)]))


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


class _StrictLoader(yaml.CSafeLoader):
    """YAML without silent surprises: a repeated key is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


@dataclass
class _Reader:
    """Reads files and keeps their problems. `unread` are the names of what stands in a file that could not be read: to
    name it elsewhere is no mistake.
    """

    root: Path
    problems: list[CatalogProblem] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    def report(self, file: Path | str, where: str, value: object, allowed: str) -> None:
        name = file if isinstance(file, str) else str(file.relative_to(self.root))
        shown = "" if value is None else repr(value)
        self.problems.append(CatalogProblem(name, where, shown[:120], allowed))

    def read(self, path: Path, model: type[Model], **given: object) -> Model | None:
        """One YAML file as a model; what the path already says (department, name) is given."""
        self.seen.add(path)
        if read := self._read(path, model, given):
            return read
        _, *names = path.relative_to(self.root).with_suffix("").parts
        self.unread |= {*names, ".".join(names)}
        return None

    def _read(self, path: Path, model: type[Model], given: Mapping[str, object]) -> Model | None:
        try:
            data = yaml.load(path.read_text("utf-8"), _StrictLoader)  # noqa: S506  # a subclass of CSafeLoader
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark else "(file)"
            self.report(path, where, None, f"not readable as YAML: {getattr(error, 'problem', error)}")
            return None
        if not isinstance(data, dict):
            self.report(path, "(file)", data, "a mapping of fields")
            return None
        for key in given.keys() & data.keys():
            self.report(path, key, data[key], "leave it out: the file's place says it")
        try:
            return model.model_validate({**data, **given})
        except ValidationError as error:
            for item in error.errors(include_url=False):
                where = ".".join(_stated(item["loc"])) or "(file)"
                value = None if _unshown(item) else item["input"]
                allowed = item["msg"].removeprefix("Value error, ")
                if item["type"] == "extra_forbidden":
                    fields = set(_fields_at(model, item["loc"])) - given.keys()
                    value, allowed = None, f"no such field; allowed: {', '.join(sorted(fields))}"
                elif item["type"] == "string_type" and isinstance(value, int | float):
                    allowed += " (quote it: an unquoted code is read as a number)"
                self.report(path, where, value, allowed)
            return None

    def named(self, folder: str, model: type[Model]) -> dict[str, Model]:
        """Every YAML file of a folder as a model, by file name."""
        read = {path.stem: self.read(path, model, name=path.stem) for path in self.files(folder)}
        return {name: value for name, value in read.items() if value is not None}

    def files(self, folder: str, pattern: str = "*.yaml") -> Iterator[Path]:
        yield from sorted((self.root / folder).glob(pattern))

    def known(self, file: str, where: str, value: str, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        if value not in names and value.removeprefix("base.") not in self.unread:
            listed = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
            self.report(file, where, value, f"must be one of: {listed or '(none exists)'}")


def _stated(where: Sequence[int | str]) -> Iterator[str]:
    """The parts of a place as the file states them: without the tag that pydantic adds below `source`, and without the
    field that a plain authority stands in.
    """
    for before, part in zip((None, *where), where, strict=False):
        if before != "source" and (before, part) != ("authority", "terms"):
            yield str(part)


def _unshown(item: Any) -> bool:
    """Whether an error's value is not repeated: nothing is there, a whole mapping is, or it may be a secret."""
    may_be_secret = item["type"] == SECRET_SHOWN or item["loc"] == ("source",) or "credentials" in item["loc"]
    return item["type"] == "missing" or isinstance(item["input"], dict) or may_be_secret


def _fields_at(model: type[BaseModel], where: Sequence[int | str]) -> list[str]:
    """Names of the fields that may stand where the last part of `where` stands."""
    for part, tag in zip(where, (*where[1:], None), strict=True):
        for name, stated in model.model_fields.items():
            inner = list(_models_in(stated.annotation))
            if part in (name, stated.alias) and inner:
                model = next((m for m in inner if tag in _kinds(m)), inner[0])
                break
    return [stated.alias or name for name, stated in model.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models inside `Model | None`, `tuple[Model, ...]`, `dict[str, Model]` or `One | Other`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _kinds(model: type[BaseModel]) -> tuple[object, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


class _Rules(BaseModel):
    """What `load_rules` reads of a file; the rest of a resource's file is not looked at."""

    rules: tuple[Rule, ...]


def load_rules(catalog: Catalog, resource: Resource, path: Path) -> tuple[Rule, ...]:
    """The rules of a YAML file with `rules`, not saved in the catalogue, checked against the resource.

    Raises:
        CatalogError: with every problem found, each naming file, field, value and what is allowed.
    """
    reader = _Reader(path.parent)
    read = reader.read(path, _Rules)
    if read:
        _check_rules(reader, catalog, path.name, read.rules, resource.columns)
    if reader.problems or not read:
        raise CatalogError(reader.problems)
    return read.rules


def load_catalog(root: Path) -> Catalog:
    """Read and cross-check the catalogue under `root`.

    Raises:
        CatalogError: with every problem found, each naming file, field, value and what is allowed.
    """
    root = root.resolve()
    reader = _Reader(root)
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
    _check_codes(reader, catalog)
    for resource in resources.values():
        _check_resource(reader, catalog, resource)
        _check_source(reader, resource)
    for library in libraries.values():
        _check_library(reader, catalog, library)
        _check_coverage(reader, catalog, library)
        _check_identity(reader, catalog, library)
    for theme in thematic.values():
        _check_thematic(reader, catalog, theme)
    _check_order(reader, catalog)
    for product in products.values():
        _check_product(reader, catalog, product)
    _check_clock(reader, catalog)
    _check_unique(reader, catalog)
    _check_strays(reader)
    if reader.problems:
        raise CatalogError(reader.problems)
    return catalog


def _read_jurisdiction(reader: _Reader) -> Jurisdiction:
    path = reader.root / "jurisdiction.yaml"
    read = reader.read(path, Jurisdiction) if path.is_file() else None
    return read or Jurisdiction()


def _read_holidays(reader: _Reader) -> dict[date, bool]:
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


def _read_departments(reader: _Reader) -> tuple[dict[str, Department], dict[str, Resource]]:
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


def _check_codes(reader: _Reader, catalog: Catalog) -> None:
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


def _check_history(reader: _Reader, codes: Path) -> None:
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


def _check_columns(reader: _Reader, catalog: Catalog, file: str, columns: Mapping[str, Column]) -> None:
    for name, column in columns.items():
        if column.codes:
            reader.known(file, f"columns.{name}.codes", column.codes, catalog.codes)


def _check_rules(reader: _Reader, catalog: Catalog, file: str, rules: Iterable[Rule], columns: Collection[str]) -> None:
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


def _check_layout(reader: _Reader, file: str, resource: Resource) -> None:
    if resource.layout:
        for column in resource.layout.fields:
            reader.known(file, "layout.fields", column, resource.columns)
        if resource.layout.geometry:
            reader.known(file, "layout.geometry", resource.layout.geometry, resource.columns)


def _check_resource(reader: _Reader, catalog: Catalog, resource: Resource) -> None:
    file = f"departments/{resource.department}/{resource.name}.yaml"
    _check_columns(reader, catalog, file, resource.columns)
    _check_rules(reader, catalog, file, resource.rules, resource.columns)
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


def _check_received(reader: _Reader, catalog: Catalog, file: str, resource: Resource) -> None:
    others = [*ABOVE, *(name for name in catalog.departments if name != resource.department)]
    stated = {"received_from": resource.received_from}
    stated |= {f"columns.{name}.received_from": column.received_from for name, column in resource.columns.items()}
    for where, giver in stated.items():
        if giver:
            reader.known(file, where, giver, others)


def _check_describes(reader: _Reader, catalog: Catalog, file: str, resource: Resource) -> None:
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


def _check_without_number(reader: _Reader, file: str, resource: Resource, features: Collection[str]) -> None:
    if resource.aliases:
        reader.report(file, "aliases", list(resource.aliases), "needs `describes.by`: whose other numbers they are")
    if not set(features) & resource.features().keys():
        compared = ", ".join(features) or "nothing"
        reader.report(
            file, "describes.by", None, f"without it the library's identity must compare what records say: {compared}"
        )


def _check_headers(reader: _Reader, file: str, resource: Resource) -> None:
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


def _check_versions(reader: _Reader, file: str, resource: Resource) -> None:
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


def _check_source(reader: _Reader, resource: Resource) -> None:
    if not isinstance(resource.source, TableSource):
        return
    file = f"departments/{resource.department}/{resource.name}.yaml"
    for name in resource.source.columns:
        reader.known(file, "source.columns", name, resource.columns)
    if resource.source.watermark and resource.mode == "full":
        reader.report(file, "source.watermark", resource.source.watermark, "needs mode: incremental")


def _check_clock(reader: _Reader, catalog: Catalog) -> None:
    for name in catalog.jurisdiction.clock.resources:
        reader.known("jurisdiction.yaml", "clock.resources", name, catalog.resources)


def _check_library(reader: _Reader, catalog: Catalog, library: Library) -> None:
    file = f"libraries/{library.name}.yaml"
    reader.known(file, "lead", library.lead, catalog.departments)
    suppliers: dict[str, set[str]] = {}
    for resource in catalog.sources_of(library.name):
        for supplied in resource.supplies:
            suppliers.setdefault(supplied, set()).update({resource.department, resource.id})
    if library.succession:
        stated = "followed_by" if library.succession.followed_by else "follows"
        reader.known(file, f"succession.{stated}", library.succession.attribute, library.attributes)
    for name, attribute in library.attributes.items():
        if name in (kept := {library.key, "entity_id", *LIFE}):
            reader.report(file, f"attributes.{name}", name, f"must be none of {', '.join(sorted(kept))}")
        if attribute.codes:
            reader.known(file, f"attributes.{name}.codes", attribute.codes, catalog.codes)
        authority = attribute.authority
        said = [("authority", term.department) for term in (authority.everyone() if authority else ())]
        said += [("substitutes", origin) for origin in attribute.substitutes]
        for where, origin in said:
            reader.known(file, f"attributes.{name}.{where}", origin, suppliers.get(name, set()))
        always = {term.department for term in authority.terms if term.from_ is term.to is None} if authority else set()
        for origin in always.intersection(attribute.substitutes):
            reader.report(file, f"attributes.{name}.substitutes", origin, "is the authority at all times")


def _check_coverage(reader: _Reader, catalog: Catalog, library: Library) -> None:
    file = f"libraries/{library.name}.yaml"
    speaking = [resource.id for resource in catalog.sources_of(library.name) if resource.supplies]
    for name, pair in library.coverage.items():
        for where, source in (("of", pair.of), *(("in", one) for one in pair.in_)):
            reader.known(file, f"coverage.{name}.{where}", source, speaking)


def _check_identity(reader: _Reader, catalog: Catalog, library: Library) -> None:
    """Every feature is said by some resource, and every block names features."""
    file = f"libraries/{library.name}.yaml"
    if library.key_successors:
        reader.known(file, "key_successors", library.key_successors, catalog.codes)
    if library.identity is None:
        return
    said = {feature for resource in catalog.sources_of(library.name) for feature in resource.features()}
    for feature in library.identity.compare:
        reader.known(file, f"identity.compare.{feature}", feature, said)
    features = {
        part for feature in library.identity.compare for part in (feature, f"{feature}_letters", f"{feature}_house")
    }
    for stated, blocks in (("block", library.identity.block), ("sure", library.identity.sure)):
        for expression in (one for block in blocks for one in block):
            if not features & set(re.findall(r"[a-z_0-9]+", expression)):
                reader.report(
                    file, f"identity.{stated}", expression, f"names no feature; allowed: {', '.join(sorted(features))}"
                )


def _check_thematic(reader: _Reader, catalog: Catalog, table: ThematicTable) -> None:
    file = f"thematic/{table.topic}/{table.name}.yaml"
    reader.known(file, "lead", table.lead, catalog.departments)
    _check_columns(reader, catalog, file, table.columns)
    _check_rules(reader, catalog, file, table.rules, table.columns)
    _check_reads(reader, catalog, file, table)
    for column in table.key:
        reader.known(file, "key", column, table.columns)
    _check_references(reader, catalog, file, table)
    behind = [resource.id for resource in catalog.behind(table.id)]
    for source in table.freshness.sources if table.freshness else ():
        reader.known(file, "freshness.sources", source, behind)
    if not table.rules:
        reader.report(file, "rules", None, "at least one: a table without a rule is never checked")
    for rule in table.rules:
        if rule.accuse:
            reader.known(file, f"rules.{rule.id}.accuse.resource", rule.accuse.resource, catalog.resources)
            reader.known(file, f"rules.{rule.id}.accuse.by", rule.accuse.by, table.columns)


def _check_reads(reader: _Reader, catalog: Catalog, file: str, table: ThematicTable) -> None:
    """`reads` is the truth: what the SQL reads by DuckDB's parser, no more, no less, and nothing that is no table."""
    tables = [*catalog.resources, *(f"base.{name}" for name in catalog.libraries), *catalog.thematic]
    for source in table.reads:
        reader.known(file, "reads", source, tables)
    script = f"{file.removesuffix('.yaml')}.sql"
    read = tables_read(table.sql)
    if read.error:
        reader.report(script, "(file)", None, f"must be one SELECT: {read.error}")
        return
    for bare in sorted(read.bare):
        reader.report(script, "(file)", bare, "must be named with its schema: base, thematic, codes or a department")
    for function in sorted(read.functions):
        reader.report(script, "(file)", function, "must not stand in FROM: a thematic table reads libraries and pools")
    used = {
        one.removeprefix("thematic.").replace("__", ".", 1) if one.startswith("thematic.") else one
        for one in read.tables
        if not one.startswith("codes.")
    }
    for source in sorted(used - set(table.reads)):
        if source in tables:
            reader.report(file, "reads", source, f"must be listed: {table.name}.sql reads it")
        else:
            reader.known(script, "(file)", source, tables)
    for listed in sorted(one.removeprefix("codes.") for one in read.tables if one.startswith("codes.")):
        reader.known(script, "(file)", listed, catalog.codes)
    for source in sorted((set(table.reads) & set(tables)) - used):
        reader.report(file, "reads", source, f"must not be listed: {table.name}.sql does not read it")


def _check_references(reader: _Reader, catalog: Catalog, file: str, table: ThematicTable) -> None:
    """Each leads from a column to a table with one key column."""
    targets = [*(f"base.{name}" for name in catalog.libraries), *catalog.thematic]
    for column, reference in table.references.items():
        where = f"references.{column}"
        reader.known(file, where, column, table.columns)
        reader.known(file, f"{where}.to", reference.to, targets)
        known = catalog.thematic.get(reference.to)
        if known and len(known.key) > 1:
            reader.report(file, f"{where}.to", reference.to, f"must have one key column, has {', '.join(known.key)}")
        if reference.accuse:
            reader.known(file, f"{where}.accuse.resource", reference.accuse.resource, catalog.resources)
            reader.known(file, f"{where}.accuse.by", reference.accuse.by, table.columns)


def _check_order(reader: _Reader, catalog: Catalog) -> None:
    try:
        TopologicalSorter({table.id: table.reads for table in catalog.thematic.values()}).prepare()
    except CycleError as error:
        circle = error.args[1]
        reader.report(
            f"thematic/{circle[0].replace('.', '/')}.yaml", "reads", " <- ".join(circle), "must not be a circle"
        )


def _check_product(reader: _Reader, catalog: Catalog, product: Product) -> None:
    file = f"publish/{product.name}.yaml"
    kind, _, target = product.reads.partition(".")
    if kind == "base":
        reader.known(file, "reads", target, catalog.libraries)
        library = catalog.libraries.get(target)
        columns = {library.key, *library.attributes} if library else set(product.columns)
    else:
        reader.known(file, "reads", target, catalog.thematic)
        columns = set(catalog.thematic[target].columns) if target in catalog.thematic else set(product.columns)
    for column in product.columns:
        reader.known(file, "columns", column, columns)
    for column in product.clear:
        reader.known(file, "clear", column, product.columns)


def _check_strays(reader: _Reader) -> None:
    """Nothing lies in the catalogue that nobody reads: a mistyped ending would leave out a whole resource."""
    for path in sorted(reader.root.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".csv", ".sql") and path not in reader.seen:
            reader.report(path, "(file)", None, "nothing reads it here: check folder, name and ending (.yaml)")


def _check_unique(reader: _Reader, catalog: Catalog) -> None:
    def once(what: str, named: Iterable[tuple[str, str]]) -> None:
        seen: dict[str, str] = {}
        for value, file in named:
            if value in seen:
                reader.report(file, what, value, f"must be unique, stands in {seen[value]} too")
            seen.setdefault(value, file)

    def at(resource: Resource) -> str:
        return f"departments/{resource.department}/{resource.name}.yaml"

    once("code", ((r.code, at(r)) for r in catalog.resources.values()))
    once("title.zh", ((f"{r.department} {r.title.zh}", at(r)) for r in catalog.resources.values()))
    rules = [(rule.id, at(r)) for r in catalog.resources.values() for rule in r.rules]
    rules += [(rule.id, f"thematic/{t.topic}/{t.name}.yaml") for t in catalog.thematic.values() for rule in t.rules]
    once("rules.id", rules)
