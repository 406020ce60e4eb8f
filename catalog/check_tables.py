"""What libraries, thematic tables and products must agree with, and what must stand only once in a catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from catalog.check_resources import check_columns, check_rules
from catalog.models import LIFE, Library, Product, Resource, ThematicTable
from catalog.reading import Reader
from catalog.tables_read import tables_read

if TYPE_CHECKING:
    from catalog.load import Catalog


def check_library(reader: Reader, catalog: Catalog, library: Library) -> None:
    """A library names departments and code lists that exist, and attributes that somebody supplies."""
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


def check_coverage(reader: Reader, catalog: Catalog, library: Library) -> None:
    """Who must be in a library is told by resources that speak of it."""
    file = f"libraries/{library.name}.yaml"
    speaking = [resource.id for resource in catalog.sources_of(library.name) if resource.supplies]
    for name, pair in library.coverage.items():
        for where, source in (("of", pair.of), *(("in", one) for one in pair.in_)):
            reader.known(file, f"coverage.{name}.{where}", source, speaking)


def check_identity(reader: Reader, catalog: Catalog, library: Library) -> None:
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


def check_thematic(reader: Reader, catalog: Catalog, table: ThematicTable) -> None:
    """A thematic table agrees with its columns, its rules and the SQL beside it."""
    file = f"thematic/{table.topic}/{table.name}.yaml"
    reader.known(file, "lead", table.lead, catalog.departments)
    check_columns(reader, catalog, file, table.columns)
    check_rules(reader, catalog, file, table.rules, table.columns)
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


def _check_reads(reader: Reader, catalog: Catalog, file: str, table: ThematicTable) -> None:
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


def _check_references(reader: Reader, catalog: Catalog, file: str, table: ThematicTable) -> None:
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


def check_order(reader: Reader, catalog: Catalog) -> None:
    """No thematic table is made from itself, by whatever way."""
    try:
        TopologicalSorter({table.id: table.reads for table in catalog.thematic.values()}).prepare()
    except CycleError as error:
        circle = error.args[1]
        reader.report(
            f"thematic/{circle[0].replace('.', '/')}.yaml", "reads", " <- ".join(circle), "must not be a circle"
        )


def check_product(reader: Reader, catalog: Catalog, product: Product) -> None:
    """A product reads a table that exists, and shows columns of it."""
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


def check_strays(reader: Reader) -> None:
    """Nothing lies in the catalogue that nobody reads: a mistyped ending would leave out a whole resource."""
    for path in sorted(reader.root.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".csv", ".sql") and path not in reader.seen:
            reader.report(path, "(file)", None, "nothing reads it here: check folder, name and ending (.yaml)")


def check_unique(reader: Reader, catalog: Catalog) -> None:
    """What names a thing stands once."""

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
