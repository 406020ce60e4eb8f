"""The SQL words of addresses: one spelling, its parts, its standard form.

* `address_text(t)`: one spelling. Half width, no blanks and punctuation, remarks in brackets left out (those without a
  number), Chinese numerals before 号, 栋, 单元, 层, 室, 组, 弄, 巷, 路, 街 and 道 as digits, and one word for each unit:
  號 → 号, 幢/座/号楼/# → 栋, 楼/F → 层, 房/户 → 室, 3-2-501 → 3栋2单元501室, 12之3号 → 12-3号.
* `address_parts(t)`: STRUCT of `province, city, county` (as written, a division of today or of the past), `town,
  community, village_group, road, number, place, building, unit, floor, room, rest`: texts, '' where there is none.
  `rest` is what is none of them.
* `address_parsed(t)`: whether it names a place below the county and nothing was left over.
* `address_normal(t)`: for comparing. Without the divisions, which are an attribute of their own and left out at will; a
  town only where neither road nor village is named, a village only where no road with a number is. So two spellings of
  one address agree, and two house numbers, buildings or rooms never do.
* `address_standard(t, division)`: the standard form, in the order of GB/T 23705 and GB/T 35639: the division's full name
  (of its code; as written where the code is none), town, village, road, number, place, building, unit, floor, room, rest.
* `address_division(t)`: the codes, in use today or once, that the address's own divisions may mean; [] where it names
  none.

They look for a division's name at the beginning alone, with the patterns of `catalog.divisions`. All answer null for null.
"""

from __future__ import annotations

_DIGITS = "[〇零一二两三四五六七八九十百]"
_UNITS = "(?:号|栋|幢|座|楼|单元|层|室|组|队|户|弄|巷|路|街|道|大街|大道)"

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

# In this order; what a step makes the next ones read.
_STEPS = (
    (r"[\s\p{Z}\p{Cf},;:。、·\"'’‘“”]", ""),
    (r"\([^()0-9〇零一二三四五六七八九十百]{3,}\)", ""),
    (r"[()]", ""),
    (r"街道办事处", "街道"),
    (r"村?(?:村民委员会|村委会)", "村"),
    (r"社区?(?:居民委员会|居委会)", "社区"),
    (r"(?:村民小组|村民组|小组)", "组"),
)
_AFTER_NUMERALS = (
    (r"第(\d)", r"\1"),
    (r"(\d)#(\d)", r"\1栋\2"),
    (r"#", "号"),
    (r"(\d+)号?之(\d+)号?", r"\1-\2号"),
    (r"(\d+|[A-Z])(?:号楼|号栋|号幢|幢|座)", r"\1栋"),
    (r"(\d+)(?:楼|F)", r"\1层"),
    (r"(\d+)(?:号室|号房|房间|房|户)", r"\1室"),
    (r"(栋|单元|层)-?(\d+(?:-\d+)?)$", r"\1\2室"),
    (r"栋(\d{1,2})-(\d{3,5})室", r"栋\1单元\2室"),
    (r"(^|[^0-9路街道巷弄])(\d{1,3})-(\d{1,2})-(\d{3,5})(?:室|号)?$", r"\1\2栋\3单元\4室"),
    (r"(路|街|道|巷|弄|胡同)(\d+(?:-\d+)*)$", r"\1\2号"),
    (r"号附(\d+)号?", r"号附\1号"),
)


def _steps(text: str, steps: tuple[tuple[str, str], ...]) -> str:
    for pattern, said in steps:
        escaped = pattern.replace("'", "''")
        text = f"regexp_replace({text}, '{escaped}', '{said}', 'g')"
    return text


_WIDE = "".join(chr(code + 0xFEE0) for code in range(0x21, 0x7F)) + "\u3000號樓棟弍〔〕[]【】{}－—–―‐~～﹟"
_NARROW = "".join(chr(code) for code in range(0x21, 0x7F)) + " 号楼栋二()()()()-------#"
_WIDTH = f"translate(upper(t), '{_WIDE.replace(chr(39), chr(39) * 2)}', '{_NARROW.replace(chr(39), chr(39) * 2)}')"

_TEXT = f"""
CREATE OR REPLACE TEMP MACRO address_width(t) AS upper({_WIDTH});
CREATE OR REPLACE TEMP MACRO address_said(t) AS {_steps("address_width(t)", _STEPS)};
CREATE OR REPLACE TEMP MACRO address_units(t) AS {_steps("numerals_as_digits(t)", _AFTER_NUMERALS)};
CREATE OR REPLACE TEMP MACRO address_text(t) AS
    list_transform([address_said(t)], lambda said: address_units(said))[1];
"""

# The tail of an address below the county, one group a part. What each may not swallow stands in its classes: a road and
# a village have no number before their last word, a place is a run of letters.
_HAN = r"[\p{Han}A-Z]"
_TAIL = (
    ("community", rf"(?:{_HAN}{{1,10}}?(?:社区|村|嘎查))?"),
    ("village_group", rf"(?:(?:\p{{Han}}{{1,6}}?|\d{{1,3}})[组队])?"),
    ("road", rf"(?:(?:{_HAN}|\d+){{1,12}}?(?:大道|大街|胡同|路|街|巷|弄|道)(?:\d*[东西南北中]?段)?(?:\p{{Han}}{{1,6}}?[路街巷弄])?)?"),
    ("number", r"(?:[A-Z]?\d+(?:-\d+)*[A-Z]?号(?:附\d+号)?)?"),
    ("place", rf"(?:{_HAN}*\p{{Han}})?"),
    ("own_number", r"(?:[A-Z]?\d+(?:-\d+)*[A-Z]?号(?:附\d+号)?)?"),
    ("building", r"(?:(?:[A-Z]?\d+(?:-\d+)?|[A-Z])栋)?"),
    ("unit", r"(?:(?:\d+|[A-Z])单元)?"),
    ("floor", r"(?:\d+层)?"),
    ("room", r"(?:[A-Z]?\d+(?:-\d+)*[A-Z]?室)?"),
)
# No group ever gives back what it took, so the parts up to one are a plain search from the start, and ten of those cost
# a fifth of one search that remembers its groups.
_STARTS = ", ".join(
    f"'{name}': regexp_extract(t, '^{''.join(pattern for _, pattern in _TAIL[: n + 1])}')"
    for n, (name, _) in enumerate(_TAIL)
)
_BETWEEN = ", ".join(
    f"'{name}': substr(s.{name}, length(s.{_TAIL[n - 1][0]}) + 1)" if n else f"'{name}': s.{name}"
    for n, (name, _) in enumerate(_TAIL)
)
# A town's last word that begins or ends another's name is none: 镇海路, 新镇村, 中村街道路.
_TOWN = r"^\p{Han}{1,10}?(?:街道|苏木|镇|乡)"
_NO_TOWN = r"^(?:[东西南北中一二三四五六七八九]?[路街巷村]|大道|大街|社区|小区|新村|[0-9])"

_PARTS = f"""
CREATE OR REPLACE TEMP MACRO at_start(t, pattern) AS coalesce(regexp_extract(t, pattern), '');
CREATE OR REPLACE TEMP MACRO without(t, start) AS substr(t, length(start) + 1);
CREATE OR REPLACE TEMP MACRO address_below(t) AS
    CASE WHEN starts_with(t, '市辖区') THEN substr(t, 4)
         WHEN starts_with(t, '省直辖县级行政区划') THEN substr(t, 10)
         WHEN starts_with(t, '自治区直辖县级行政区划') THEN substr(t, 12) ELSE t END;
-- The city and the county that a text begins with. A short name of a city counts only before a county.
CREATE OR REPLACE TEMP MACRO address_places(t) AS CASE
    WHEN at_start(t, getvariable('address_anywhere')) <> '' THEN
        {{'city': at_start(t, getvariable('address_city')),
          'county': without(at_start(t, getvariable('address_anywhere')), at_start(t, getvariable('address_city')))}}
    WHEN at_start(t, getvariable('address_city')) <> '' THEN
        {{'city': at_start(t, getvariable('address_city')),
          'county': at_start(without(t, at_start(t, getvariable('address_city'))), getvariable('address_county'))}}
    WHEN at_start(t, getvariable('address_county')) <> '' THEN
        {{'city': '', 'county': at_start(t, getvariable('address_county'))}}
    WHEN at_start(without(t, at_start(t, getvariable('address_short_city'))), getvariable('address_county')) <> '' THEN
        {{'city': at_start(t, getvariable('address_short_city')), 'county':
            at_start(without(t, at_start(t, getvariable('address_short_city'))), getvariable('address_county'))}}
    ELSE {{'city': '', 'county': ''}} END;
CREATE OR REPLACE TEMP MACRO address_within(t, province) AS list_transform([address_below(without(t, province))],
    lambda below: list_transform([address_places(below)], lambda place: {{
        'province': province, 'city': place.city, 'county': place.county,
        'below': without(below, place.city || place.county)}})[1])[1];
CREATE OR REPLACE TEMP MACRO address_divided(t) AS list_transform([
    CASE WHEN at_start(t, getvariable('address_province')) <> '' THEN at_start(t, getvariable('address_province'))
         ELSE at_start(t, getvariable('address_short_province')) END],
    lambda province: list_transform([address_within(t, province)], lambda found: CASE
        WHEN found.city || found.county <> '' OR ends_with(province, '省') OR ends_with(province, '区')
            OR ends_with(province, '市') THEN found
        ELSE address_within(t, '') END)[1])[1];
CREATE OR REPLACE TEMP MACRO town_of(t) AS list_transform([regexp_extract(t, '{_TOWN}')], lambda town:
    CASE WHEN regexp_matches(without(t, town), '{_NO_TOWN}') THEN '' ELSE town END)[1];
CREATE OR REPLACE TEMP MACRO address_grouped(t) AS list_transform([{{{_STARTS}}}], lambda s: {{{_BETWEEN},
    'rest': substr(t, length(s.{_TAIL[-1][0]}) + 1)}})[1];
-- A number behind a place is the house's where the road gave none and nothing else follows.
CREATE OR REPLACE TEMP MACRO address_tail(t) AS list_transform([address_grouped(t)], lambda p: list_transform(
    [p.number = '' AND p.building || p.unit || p.floor || p.room || p.rest = ''], lambda own: {{
        'community': p.community, 'village_group': p.village_group, 'road': p.road,
        'number': CASE WHEN own THEN p.own_number ELSE p.number END,
        'place': CASE WHEN own THEN p.place ELSE p.place || p.own_number END,
        'building': p.building, 'unit': p.unit, 'floor': p.floor, 'room': p.room, 'rest': p.rest}})[1])[1];
CREATE OR REPLACE TEMP MACRO address_parts_of(d) AS list_transform([town_of(d.below)], lambda town:
    list_transform([without(d.below, town)], lambda tail: list_transform([address_tail(tail)], lambda p: {{
        'province': d.province, 'city': d.city, 'county': d.county, 'town': town, 'community': p.community,
        'village_group': p.village_group, 'road': p.road, 'number': p.number, 'place': p.place,
        'building': p.building, 'unit': p.unit, 'floor': p.floor, 'room': p.room, 'rest': p.rest}})[1])[1])[1];
CREATE OR REPLACE TEMP MACRO address_parts(t) AS CASE WHEN t IS NOT NULL THEN list_transform(
    [address_text(t)], lambda said: list_transform([address_divided(said)], lambda d: address_parts_of(d))[1])[1] END;
CREATE OR REPLACE TEMP MACRO address_below_text(p) AS
    p.road || CASE WHEN p.road = '' THEN p.place || p.number ELSE p.number || p.place END
    || p.building || p.unit || p.floor || p.room || p.rest;
CREATE OR REPLACE TEMP MACRO address_normal(t) AS list_transform([address_parts(t)], lambda p: CASE
    WHEN p.road <> '' AND p.number <> '' THEN '' WHEN p.community <> '' THEN p.community || p.village_group
    WHEN p.road <> '' THEN p.village_group ELSE p.town || p.village_group END || address_below_text(p))[1];
CREATE OR REPLACE TEMP MACRO address_parsed(t) AS list_transform([address_parts(t)], lambda p:
    p.rest = '' AND p.town || p.community || p.road || p.place <> '')[1];
CREATE OR REPLACE TEMP MACRO address_standard(t, division) AS coalesce(division_path(division),
    (address_parts(t)).province || (address_parts(t)).city || (address_parts(t)).county)
    || list_transform([address_parts(t)], lambda p:
        p.town || p.community || p.village_group || address_below_text(p))[1];
CREATE OR REPLACE TEMP MACRO address_division(t) AS list_transform([address_parts(t)],
    lambda p: p.province || '|' || p.city || '|' || p.county)[1];
"""

SQL = _NUMERALS + _TEXT + _PARTS
