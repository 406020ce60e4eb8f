"""The SQL words of addresses: one spelling, its parts, its standard form.

* `address_text(t)`: one spelling. Half width, no blanks and punctuation, remarks in brackets left out (those without a
  number), Chinese numerals before 号, 栋, 单元, 室, 组, 巷, 路, 街 and the like as digits, one word for each unit:
  號 → 号, 幢/座/号楼/# → 栋, 楼/F → 层, 房/户 → 室, 3-2-501 → 3栋2单元501室, 12之3号 → 12-3号.
* `address_parts(t)`: STRUCT of `province, city, county` (as written, a division of today or of the past), `town,
  community, village_group, road, number, place, building, unit, floor, room, rest`: texts, '' where there is none.
  `rest` is what is none of them.
* `address_parsed(t)`: whether it names a place below the county and nothing was left over.
* `address_normal(t)`: for comparing. Without the divisions, which are an attribute of their own and left out at will;
  a town only where neither road nor village is named, a village only where no road with a number is. So two spellings
  of one address agree, and two house numbers, buildings or rooms never do.
* `address_standard(t, division)`: the standard form, in the order of GB/T 23705 and GB/T 35639: the division's full
  name (of its code; as written where the code is none), town, village, road, number, place, building, unit, floor,
  room, rest.
* `address_division(t)`: the codes, in use today or once, that the address's own divisions may mean; [] where it names
  none.

They look for a division's name at the beginning alone, with the patterns of `catalog.divisions`, and answer null for
null.
"""

from __future__ import annotations

_DIGITS = "[〇零一二两三四五六七八九十百]"
_UNITS = "(?:号|#|房|铺|栋|幢|座|楼|单元|层|室|组|队|户|弄|巷|路|街|道|大街|大道)"

# A numeral of at most 999 as digits: 十二 → 12, 一百零五 → 105, 二〇三 → 203. `d` has its digits as digits already.
_NUMERALS = f"""
CREATE OR REPLACE TEMP MACRO numeral_of(d) AS CASE WHEN regexp_matches(d, '[十百]') THEN (
    CASE WHEN contains(d, '百') THEN coalesce(try_cast(regexp_extract(d, '(\\d)百', 1) AS INTEGER), 1) * 100 ELSE 0 END
    + CASE WHEN contains(d, '十') THEN coalesce(try_cast(regexp_extract(d, '(\\d)十', 1) AS INTEGER), 1) * 10 ELSE 0 END
    + coalesce(try_cast(regexp_extract(d, '(\\d)$', 1) AS INTEGER), 0))::VARCHAR ELSE d END;
CREATE OR REPLACE TEMP MACRO numeral_digits(n) AS numeral_of(translate(n, '〇零一二两三四五六七八九', '001223456789'));
-- The longest first, so that 二号 does not break 十二号: each stands behind its length.
CREATE OR REPLACE TEMP MACRO numeral_written(m) AS
    numeral_digits(regexp_extract(m, '^{_DIGITS}+')) || regexp_replace(m, '^{_DIGITS}+', '');
CREATE OR REPLACE TEMP MACRO numerals_as_digits(t) AS CASE WHEN regexp_matches(t, '{_DIGITS}{_UNITS}') THEN list_reduce(
    list_reverse_sort(list_transform(list_distinct(regexp_extract_all(t, '{_DIGITS}+{_UNITS}')), lambda m:
        lpad(length(m)::VARCHAR, 2, '0') || m)),
    lambda s, m: replace(s, substr(m, 3), numeral_written(substr(m, 3))), t) ELSE t END;
"""

# Spellings and what they become, in this order, each group asked for by one pattern: most addresses need none of it.
_SPELLINGS = (
    (r"\(", ((r"\([^()0-9〇零一二三四五六七八九十百]{3,}\)", ""), (r"[()]", ""))),
    (
        "办事处|委会|委员会|组",
        (
            (r"街道办事处", "街道"),
            (r"村?(?:村民委员会|村委会)", "村"),
            (r"社区?(?:居民委员会|居委会)", "社区"),
            (r"(?:村民小组|村民组|小组)", "组"),
        ),
    ),
)
_AFTER_NUMERALS = (
    (
        r"[第#之幢座F房户附-]|号[楼栋室]|\d楼",
        (
            (r"第(\d)", r"\1"),
            (r"([路街道巷弄]|胡同)(\d+)#", r"\1\2号"),
            (r"(\d)#(\d)", r"\1栋\2"),
            (r"#", "号"),
            (r"(\d+)号?之(\d+)号?", r"\1-\2号"),
            (r"(\d+|[A-Z])(?:号楼|号栋|号幢|幢|座)", r"\1栋"),
            (r"(\d+)(?:楼|F)", r"\1层"),
            (r"(\d+)(?:号室|号房|房间|房|户)", r"\1室"),
            (r"号附(\d+)号?", r"号附\1号"),
        ),
    ),
    (
        r"\d(?:室|号)?$",
        (
            (r"([栋层]|单元)-?(\d+(?:-\d+)?)$", r"\1\2室"),
            (r"栋(\d{1,2})-(\d{3,5})室", r"栋\1单元\2室"),
            (r"(^|[^0-9路街道巷弄])(\d{1,3})-(\d{1,2})-(\d{3,5})(?:室|号)?$", r"\1\2栋\3单元\4室"),
            (r"([路街道巷弄村组社]|胡同)(\d+(?:-\d+)*)$", r"\1\2号"),
            (r"([^0-9A-Z-])-?([A-Z]?\d+(?:-\d+)*)$", r"\1\2室"),
        ),
    ),
)


def _spelled(source: str, groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> str:
    """A query of `said` as `source` has it, every spelling of the groups brought to one."""
    for asked, steps in groups:
        text = "said"
        for pattern, said in steps:
            text = f"regexp_replace({text}, '{pattern}', '{said}', 'g')"
        source = f"(SELECT CASE WHEN regexp_matches(said, '{asked}') THEN {text} ELSE said END AS said FROM {source})"
    return source


_WIDE = "".join(chr(code + 0xFEE0) for code in range(0x21, 0x7F)) + "\u3000號樓棟弍〔〕[]【】{}－—–―‐~～﹟"
_NARROW = "".join(chr(code) for code in range(0x21, 0x7F)) + " 号楼栋二()()()()-------#"
_WIDTH = f"translate(upper(t), '{_WIDE.replace(chr(39), chr(39) * 2)}', '{_NARROW.replace(chr(39), chr(39) * 2)}')"

_BLANKS = r"[\s\p{Z}\p{Cf},;:。、·\"''’‘“”]"
_BETWEEN_NUMBERS = r"(\d)[\s,;:。、./·]+(\d)"  # 6、7号 is not 67号
_APART = f"regexp_replace({_WIDTH}, '{_BETWEEN_NUMBERS}', '\\1-\\2', 'g')"
_READ = _spelled(f"(SELECT regexp_replace({_APART}, '{_BLANKS}', '', 'g') AS said)", _SPELLINGS)
_READ = _spelled(f"(SELECT numerals_as_digits(said) AS said FROM {_READ})", _AFTER_NUMERALS)
_TEXT = f"CREATE OR REPLACE TEMP MACRO address_text(t) AS (SELECT said FROM {_READ});"

# The tail of an address below the county, one group a part. What each may not swallow stands in its classes: a road and
# a village have no number before their last word, a place is a run of letters.
_HAN = r"[\p{Han}A-Z]"
_ROAD = rf"(?:{_HAN}|\d+){{1,12}}?(?:大道|大街|胡同|路|街|巷|弄|道)"
_CROSSING = r"(?:[与和](?:\p{Han}|\d+){1,12}?(?:大道|路|街)|\p{Han}{1,6}?[路街巷弄])?"
_TAIL = (
    ("community", rf"(?:{_HAN}{{1,10}}?(?:社区|村|嘎查))?"),
    ("village_group", r"(?:(?:\p{Han}{1,6}?|\d{1,3})[组队])?"),
    ("road", rf"(?:{_ROAD}(?:\d*[东西南北中]?段)?{_CROSSING})?"),
    ("number", r"(?:[A-Z]?\d+(?:-\d+)*[A-Z]?号(?:附\d+号)?)?"),
    ("place", rf"(?:{_HAN}*\p{{Han}})?"),
    ("own_number", r"(?:[A-Z]?\d+(?:-\d+)*[A-Z]?号(?:附\d+号)?)?"),
    ("building", r"(?:(?:[A-Z]?\d+(?:-\d+)?|[A-Z])栋)?"),
    ("unit", r"(?:(?:\d+|[A-Z])单元)?"),
    ("floor", r"(?:\d+层)?"),
    ("room", r"(?:[A-Z]?\d+(?:-\d+)*[A-Z]?(?:室|号?商?铺|号))?"),
)
# No group ever gives back what it took, so the parts up to one are a plain search from the start, and ten of those cost
# a fifth of one search that remembers its groups.
_STARTS = ", ".join(
    f"'{name}': regexp_extract(tail, '^{''.join(pattern for _, pattern in _TAIL[: n + 1])}')"
    for n, (name, _) in enumerate(_TAIL)
)
_BETWEEN = [
    f"substr(s.{name}, length(s.{_TAIL[n - 1][0]}) + 1) AS {name}" if n else f"s.{name} AS {name}"
    for n, (name, _) in enumerate(_TAIL)
]
# A town's last word that begins or ends another's name is none: 镇海路, 新镇村, 中村街道路.
_ZONE = "经济技术开发区|高新技术产业开发区|经济开发区|工业园区|产业园区|开发区|经开区|高新区|示范区|管理区|新区"
_TOWN = rf"^(?:\p{{Han}}{{0,8}}?(?:{_ZONE}))?(?:\p{{Han}}{{1,10}}?(?:街道|苏木|镇|乡))?"
_NO_TOWN = r"^(?:[东西南北中一二三四五六七八九]?[路街巷村]|大道|大街|社区|小区|新村|[0-9])"

_BELOW = """CASE
    WHEN starts_with(b, '市辖区') THEN substr(b, 4) WHEN starts_with(b, '省直辖县级行政区划') THEN substr(b, 10)
    WHEN starts_with(b, '自治区直辖县级行政区划') THEN substr(b, 12) ELSE b END"""


def _at(text: str, names: str) -> str:
    """The division's name that a text begins with, '' where it begins with none."""
    return f"coalesce(regexp_extract({text}, getvariable('address_{names}')), '')"


# One SELECT a step: a pattern of three thousand names is made ready once a query there, in a lambda once every 2,048
# rows. A short name of a province or city counts only before the full name of a division.
_CHAIN = f"""
FROM (SELECT * EXCLUDE (number, place), CASE WHEN own THEN own_number ELSE number END AS number,
        CASE WHEN own THEN place ELSE place || own_number END AS place
FROM (SELECT *, number = '' AND building || unit || floor || room || rest = '' AS own
FROM (SELECT province, city, county, town, {", ".join(_BETWEEN)}, substr(tail, length(s.room) + 1) AS rest
FROM (SELECT *, {{{_STARTS}}} AS s
FROM (SELECT *, without(below, town) AS tail
FROM (SELECT *, CASE WHEN regexp_matches(without(below, named), '{_NO_TOWN}') THEN '' ELSE named END AS town
FROM (SELECT *, regexp_extract(below, '{_TOWN}') AS named
FROM (SELECT * REPLACE (CASE WHEN starts_with(below, '市辖区') THEN substr(below, 4) ELSE below END AS below)
FROM (SELECT province, city, county, without(b, city || county) AS below
FROM (SELECT b, province, CASE WHEN full_city || full_county = '' AND short_county <> '' THEN short_city ELSE full_city
        END AS city, CASE WHEN full_city || full_county = '' THEN short_county ELSE full_county END AS county
FROM (SELECT *, CASE WHEN anywhere <> '' THEN without(anywhere, full_city)
        ELSE {_at("without(b, full_city)", "county")} END AS full_county,
        CASE WHEN full_city = '' AND short_city <> '' THEN {_at("without(b, short_city)", "county")} ELSE '' END
            AS short_county
FROM (SELECT *, {_at("b", "anywhere")} AS anywhere, {_at("b", "city")} AS full_city,
        {_at("b", "short_city")} AS short_city
FROM (SELECT province, {_BELOW} AS b
FROM (SELECT province, without(said, province) AS b
FROM (SELECT said, CASE WHEN full_province <> '' THEN full_province
        WHEN short_province <> '' AND {_at("c", "city")} || {_at("c", "county")}
            || {_at(f"without(c, {_at('c', 'short_city')})", "county")} <> '' THEN short_province
        ELSE '' END AS province
FROM (SELECT *, without(said, short_province) AS c
FROM (SELECT said, {_at("said", "province")} AS full_province, {_at("said", "short_province")} AS short_province
FROM (SELECT address_text(t) AS said))))))))))))))))))"""
_OF_PARTS = ", ".join(
    f"'{part}': {part}"
    for part in (
        "province", "city", "county", "town", "community", "village_group", "road", "number", "place", "building",
        "unit", "floor", "room", "rest",
    )
)  # fmt: skip
_HOUSE = (
    "road || CASE WHEN road = '' THEN place || number ELSE number || place END || building || unit || floor"
    " || regexp_replace(room, '(?:号?商?铺|号)$', '室') || rest"
)
_MEANT = """CASE
    WHEN road <> '' AND number <> '' THEN '' WHEN community <> '' THEN community || village_group
    WHEN road <> '' THEN village_group ELSE town || village_group END"""

_WORDS = f"""
CREATE OR REPLACE TEMP MACRO without(t, start) AS substr(t, length(start) + 1);
CREATE OR REPLACE TEMP MACRO address_parts(t) AS
    CASE WHEN t IS NOT NULL THEN (SELECT {{{_OF_PARTS}}} {_CHAIN}) END;
CREATE OR REPLACE TEMP MACRO address_normal(t) AS
    CASE WHEN t IS NOT NULL THEN (SELECT {_MEANT} || {_HOUSE} {_CHAIN}) END;
CREATE OR REPLACE TEMP MACRO address_parsed(t) AS
    CASE WHEN t IS NOT NULL THEN (SELECT rest = '' AND town || community || road || place <> '' {_CHAIN}) END;
CREATE OR REPLACE TEMP MACRO address_standard(t, division) AS CASE WHEN t IS NOT NULL THEN (
    SELECT coalesce(division_path(division), province || city || county)
        || town || community || village_group || {_HOUSE} {_CHAIN}) END;
CREATE OR REPLACE TEMP MACRO address_division(t) AS CASE WHEN t IS NOT NULL THEN (
    SELECT divisions_named(province, city, county) {_CHAIN}) END;
"""

SQL = _NUMERALS + _TEXT + _WORDS
