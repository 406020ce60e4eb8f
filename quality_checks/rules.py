"""Rules as values: those generated from each column's declaration, from what a thematic column refers to, and those
stewards wrote in the YAML.

A new kind of statement about a column in `catalog.columns.Column` gets its rule here. Who evaluates rules is
`quality_checks.runner`; sources compared with each other are `quality_checks.comparison`.

One cause gives one finding: a blank is the business of `required`, a value that did not parse that of `type`, and every
other generated rule applies to parsed values alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from catalog.columns import PERSON_NUMBER_TYPES, Column, ColumnType, Identifier
from catalog.expect import Lengths, Listed, Stated
from catalog.load import Catalog
from catalog.models import Resource, ThematicTable
from catalog.rules import Method, Rule, Severity
from quality_checks.macros import is_missing, name, quote

SMALL_LIST = 64  # code lists up to this length stand in the rule's text

_TYPES = {
    ColumnType.integer: ("整数", "a whole number"),
    ColumnType.decimal: ("数字", "a number"),
    ColumnType.date: ("有效日期", "a real date"),
    ColumnType.timestamp: ("有效日期时间", "a real date and time"),
    ColumnType.boolean: ("是或否", "yes or no"),
}
_IDENTIFIERS = {
    Identifier.person_id: ("P02", "有效的公民身份号码", "a valid citizen ID number", "GB 11643-1999"),
    Identifier.uscc: ("L01", "有效的统一社会信用代码", "a valid unified social credit code", "GB 32100-2015"),
    Identifier.certificate_id: ("C01", "有效的电子证照标识", "a valid e-certificate identifier", "GB/T 36904-2018"),
}
# By kind, with $ for the column: the normal form, what is offered, what is told of a wrong one.
_PERSON_FAULT = (
    "共{length($)}位，第7至14位为{substr($, 7, 8)}，"
    "校验码按前17位计算为{id_check_digit(left($, 17))}，实际为{substr($, 18)}"
)
_USCC_FAULT = (
    "共{length($)}位，前两位为{left($, 2)}，第17位按第9至16位计算为{org_code_check(substr($, 9, 8))}，"
    "实际为{substr($, 17, 1)}，第18位按前17位计算为{uscc_check(left($, 17))}，实际为{substr($, 18)}"
)
_CERTIFICATE_FAULT = (
    "定义机构代码为{substr($, 16, 18)}，颁发机构代码为{substr($, 38, 18)}，"
    "校验位按其余各段计算为{certificate_check(certificate_body($))}，实际为{right($, 1)}"
)
_REPAIRS = {
    Identifier.person_id: ("person_id_normal($)", "person_id_repair($, NULL, NULL)", _PERSON_FAULT),
    Identifier.uscc: ("uscc_normal($)", "uscc_repair($)", _USCC_FAULT),
    # Its check does not tell which of fifty characters is wrong: a new check character would seldom be the true one.
    Identifier.certificate_id: ("half_width($)", "half_width($)", _CERTIFICATE_FAULT),
}
# Of wrong numbers of which one repair is possible, the share for which it is the true number (benchmarks/repairs.py).
_CONFIDENCE = {Identifier.person_id: 0.99, Identifier.uscc: 0.95}
_KEY_STANDARD = {Identifier.person_id: "P01", Identifier.uscc: "L01", Identifier.certificate_id: "C01"}


def all_rules(resource: Resource, catalog: Catalog) -> tuple[Rule, ...]:
    """The resource's generated rules, then its written ones."""
    return baseline_rules(resource, catalog) + resource.rules


def pool_rules(resource: Resource, catalog: Catalog) -> tuple[Rule, ...]:
    """Rules that need nothing beyond the record and code lists: evaluated as soon as the pool is loaded."""
    return tuple(rule for rule in all_rules(resource, catalog) if not looks_around(rule))


def lookup_rules(resource: Resource, catalog: Catalog) -> tuple[Rule, ...]:
    """Rules that look into a library or another pool: evaluated when all of them are up to date."""
    return tuple(rule for rule in all_rules(resource, catalog) if looks_around(rule))


def reference_rule_id(table: ThematicTable, column: str) -> str:
    """Id of the rule that values of the column are keys where it refers to."""
    return f"thematic.{table.id}.{column}.refers"


def thematic_rules(catalog: Catalog, table: ThematicTable) -> tuple[Rule, ...]:
    """The rules its references imply, in the order of the YAML, then its written ones."""
    return (*(_reference_rule(catalog, table, column) for column in table.references), *table.rules)


def _reference_rule(catalog: Catalog, table: ThematicTable, column: str) -> Rule:
    reference = table.references[column]
    if reference.to in catalog.thematic:
        target = catalog.thematic[reference.to]
        title, to, key = target.title, f"thematic.{target.topic}__{target.name}", target.key[0]
    else:
        library = catalog.libraries[reference.to.removeprefix("base.")]
        title, to, key = library.title, reference.to, library.key
    return Rule.model_validate(
        {
            "id": reference_rule_id(table, column),
            "lookup": {"referred": {"to": to, "by": name(column)}},
            "that": f"referred.{name(key)} IS NOT NULL",
            "when": f"{name(column)} IS NOT NULL",
            "column": column,
            "zh": f"{table.columns[column].title}应在{title.zh}中存在",
            "en": f"{column.replace('_', ' ')} is a key of {title.en}",
            "indicator": "0402",
            "severity": reference.severity,
            "source": "GB/T 36344-2018, 0402",
            "accuse": reference.accuse,
        }
    )


def looks_around(rule: Rule) -> bool:
    """Whether the rule speaks of another table than a code list, or may: a query of failing records can read any."""
    return rule.failing is not None or any(not lookup.to.startswith("codes.") for lookup in rule.lookup.values())


def baseline_rules(resource: Resource, catalog: Catalog) -> tuple[Rule, ...]:
    """The rules every column's declaration implies, in column order, then the uniqueness of the key."""
    of, rules = catalog.implied.get(resource.id, (None, ()))
    if of is not resource:
        rules = tuple(_implied(resource, catalog))
        catalog.implied[resource.id] = resource, rules
    return rules


def _implied(resource: Resource, catalog: Catalog) -> Iterator[Rule]:
    for column_name, column in resource.columns.items():
        if column.required:
            yield _required(resource, column_name, column)
        if column.logical_type is not ColumnType.text:
            yield _type(resource, column_name, column)
        if column.max_length:
            yield _length(resource, column_name, column, column.max_length)
        if column.form:
            yield _phone(resource, column_name, column)
        if column.codes:
            yield _code(resource, column_name, column, catalog)
        if column.identifier:
            yield _identifier(resource, column_name, column, column.identifier)
    yield _unique(resource)


def _names_entity(resource: Resource, column: str) -> bool:
    """Whether the record cannot be told apart, or brought to its entity, without this column."""
    return column in resource.key or (
        resource.describes is not None and column in resource.describes.columns(resource.columns)
    )


def _words(column: str) -> str:
    return column.replace("_", " ")


def _raw(column: str) -> str:
    return f"_raw[{quote(column)}]"


def stated(resource: Resource, column_name: str) -> str:
    """That the department wrote a value, as SQL over the pool, which holds NULL for a blank, for a declared spelling of
    "no value" and for a text that did not parse; `_raw` has the last two.
    """
    parsed = f"{name(column_name)} IS NOT NULL"
    if resource.columns[column_name].logical_type is ColumnType.text:
        return parsed
    spellings = resource.missing_in(column_name)
    known = f" AND NOT {is_missing(_raw(column_name), spellings)}" if spellings else ""
    return f"{parsed} OR {_raw(column_name)} IS NOT NULL{known}"


def _required(resource: Resource, column_name: str, column: Column) -> Rule:
    key = _names_entity(resource, column_name)
    text = column.logical_type is ColumnType.text
    return Rule(
        id=f"{resource.id}.{column_name}.required",
        that=None if text else stated(resource, column_name),
        expect=Stated(type="expect_column_values_to_not_be_null") if text else None,
        column=column_name,
        zh=f"{column.title}不得为空",
        en=f"{_words(column_name)} is stated",
        indicator="0201",
        severity=Severity.block if key else Severity.error,
        source="GB/T 36344-2018",
        standard=_KEY_STANDARD.get(column.identifier) if key and column.identifier else None,
    )


def _type(resource: Resource, column_name: str, column: Column) -> Rule:
    zh, en = _TYPES[column.logical_type]
    return Rule(
        id=f"{resource.id}.{column_name}.type",
        that=f"{name(column_name)} IS NOT NULL",
        when=stated(resource, column_name),
        column=column_name,
        zh=f"{column.title}应为{zh}",
        en=f"{_words(column_name)} is {en}",
        indicator="0302",
        severity=Severity.error,
        source="GB/T 36344-2018",
    )


def _length(resource: Resource, column_name: str, column: Column, most: int) -> Rule:
    value = name(column_name)
    return Rule(
        id=f"{resource.id}.{column_name}.length",
        expect=Lengths(type="expect_column_value_lengths_to_be_between", max_value=most),
        column=column_name,
        zh=f"{column.title}不得超过{most}个字符",
        en=f"{_words(column_name)} has at most {most} characters",
        indicator="0302",
        severity=Severity.warn,
        suggest=f"text_normal({value})",
        because=f"实际为{{length({value})}}个字符",
        source="GB/T 36344-2018",
    )


def _phone(resource: Resource, column_name: str, column: Column) -> Rule:
    return Rule(
        id=f"{resource.id}.{column_name}.phone",
        that=f"phone_ok({name(column_name)})",
        column=column_name,
        zh=f"{column.title}应为手机号码、带区号的固定电话或服务号码",
        en=f"{_words(column_name)} is a mobile number, a landline with area code or a service number",
        indicator="0302",
        severity=Severity.warn,
        source="national numbering plan; GB/T 36344-2018, 0302",
    )


def _code(resource: Resource, column_name: str, column: Column, catalog: Catalog) -> Rule:
    value, codes = name(column_name), catalog.codes[column.codes or ""]
    listed = read_codes(catalog.code_file(codes.name))
    that, expect = None, None
    if len(listed) <= SMALL_LIST:
        expect = Listed(type="expect_column_values_to_be_in_set", value_set=tuple(listed))
        pairs = ", ".join(f"{quote(said)}: {quote(meant)}" for said, meant in _aliases(listed).items())
        suggest = f"MAP {{{pairs}}}[text_normal({value})]"
    else:
        allowed = f"SELECT code FROM codes.{name(codes.name)}"
        also = f" OR regexp_full_match({value}, {quote(codes.also)})" if codes.also else ""
        that = f"{value} IN ({allowed}){also}"
        suggest = f"CASE WHEN text_normal({value}) IN ({allowed}) THEN text_normal({value}) END"
    return Rule(
        id=f"{resource.id}.{column_name}.code",
        that=that,
        expect=expect,
        column=column_name,
        zh=f"{column.title}应取自代码表“{codes.title.zh}”（{codes.standard}）",
        en=f"{_words(column_name)} is a code of {codes.title.en} ({codes.standard})",
        indicator="0105",
        severity=Severity.error,
        suggest=suggest,
        method=Method.normalised,
        source=f"{codes.standard} {codes.version}",
    )


@lru_cache(maxsize=4096)
def read_codes(path: Path) -> Mapping[str, tuple[str, str]]:
    """A code list's codes in file order, each with its Chinese and English name; one that stands twice counts once."""
    with path.open(encoding="utf-8", newline="") as lines:
        return MappingProxyType({row["code"]: (row["zh"], row["en"]) for row in csv.DictReader(lines)})


def _aliases(codes: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """What else may stand for a code: its name, or the code without leading zeros; nothing that fits two codes."""
    meant: dict[str, set[str]] = {}
    for code, (zh, en) in codes.items():
        for said in (code, zh, zh.removesuffix("性"), en, code.lstrip("0")):
            meant.setdefault(said, set()).add(code)
    return {said: code for said, (code, *others) in meant.items() if said and not others} or {"": ""}


def _identifier(resource: Resource, column_name: str, column: Column, kind: Identifier) -> Rule:
    value = name(column_name)
    standard, zh, en, source = _IDENTIFIERS[kind]
    normal, repair, faults = (text.replace("$", value) for text in _REPAIRS[kind])
    when = "true"
    if kind is Identifier.person_id:
        id_type = resource.id_type_of(column_name)
        if id_type:
            when = f"{name(id_type)} IN ({', '.join(map(quote, PERSON_NUMBER_TYPES))})"
        stem = column_name.removesuffix("id_number")
        birth, sex = (_if_there(resource, stem + told) for told in ("birth_date", "sex"))
        repair = f"person_id_repair({value}, {birth}, {sex})"
    return Rule(
        id=f"{resource.id}.{column_name}.identifier",
        that=f"{kind.value}_ok({value})",
        when=when,
        column=column_name,
        zh=f"{column.title}应为{zh}，校验码正确",
        en=f"{_words(column_name)} is {en}, its check character right",
        indicator="0301",
        severity=Severity.block if _names_entity(resource, column_name) else Severity.error,
        suggest=repair,
        method=Method.repaired if kind in _CONFIDENCE else Method.normalised,
        confidence=_CONFIDENCE.get(kind),
        normal=normal,
        because=faults,
        source=source,
        standard=standard,
    )


def _if_there(resource: Resource, column: str) -> str:
    return name(column) if column in resource.columns else "NULL"


def _unique(resource: Resource) -> Rule:
    return Rule(
        id=f"{resource.id}.key.unique",
        that="_copies = 1",
        column=resource.key[0],
        because="本批次共{_copies}条",
        zh=f"同一批次中{'、'.join(resource.columns[column].title for column in resource.key)}不得重复",
        en=f"Within a delivery no two records have the same {', '.join(map(_words, resource.key))}",
        indicator="0303",
        severity=Severity.error,
        source="GB/T 36344-2018",
        standard="F05",
    )
