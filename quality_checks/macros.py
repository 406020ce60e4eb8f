"""The SQL vocabulary of rules: identifiers, text, names, places and masks as DuckDB macros.

A word that more than one rule needs belongs here, named once; what only one resource needs stays in its YAML. Every
macro answers null for null, never raises on garbage text, and is pure. `SQL` is run once on every connection.

Sources: GB 11643-1999 (citizen number, ISO 7064 MOD 11-2), GB 32100-2015 with amendment 1 (unified social credit
code), GB 11714-1997 (organisation code inside it), GB/T 36904-2018 (e-certificate identifier, ISO 7064 MOD 37,36),
GS 15-2006 (registration number of 15 digits, ISO 7064 MOD 11,10), YD/T 1095 and the national numbering plan (phones).
"""

from __future__ import annotations

from collections.abc import Sequence

_HALF = "".join(chr(code) for code in range(0x21, 0x7F))
_FULL = "".join(chr(code + 0xFEE0) for code in range(0x21, 0x7F))
BASE_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BASE_31 = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # without I, O, S, V, Z
_USCC_WEIGHTS = tuple(3**place % 31 for place in range(17))
_USCC_INVERSES = (*(pow(weight, -1, 31) for weight in _USCC_WEIGHTS), 1)
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ODD_NIBBLES = int("0F" * 8, 16)
_LOWEST_BITS = int("1" * 16, 16)

# What stands where a name is unknown: kept as dirty data (GB/T 36344 0305), compared in lower case.
PLACEHOLDERS = (
    "无", "無", "无名", "无名氏", "未知", "不详", "不明", "暂无", "待定", "待补", "空", "空白", "测试", "测试人员",
    "某某", "某人", "姓名", "名称", "null", "none", "nan", "nil", "n/a", "na", "test", "unknown", "xxx", "xx", "x",
)  # fmt: skip


# Characters of names in traditional or variant form, and the usual form of each (通用规范汉字表, 2013).
VARIANTS = (
    "劉陳張黃趙吳孫馬羅鄭謝韓馮於蕭許蘇盧蔣賈葉閻鍾汪譚陸龍萬錢湯賴顧龔嚴峯昇鋒傑偉華國建麗榮慶曉雲蘭鳳鵬飛瑩潔靜蓮寶寧強剛銘鑫衞為",
    "刘陈张黄赵吴孙马罗郑谢韩冯于萧许苏卢蒋贾叶阎钟汪谭陆龙万钱汤赖顾龚严峰升锋杰伟华国建丽荣庆晓云兰凤鹏飞莹洁静莲宝宁强刚铭鑫卫为",
)


def quote(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def name(identifier: str) -> str:
    """`identifier` as a quoted SQL name."""
    return '"' + identifier.replace('"', '""') + '"'


def gathered(query: str) -> str:
    """The query, its rows brought together first: to write few rows of each batch into a wide table takes longer."""
    return f"WITH gathered AS MATERIALIZED ({query}) FROM gathered"


BLANK = quote(" \t\r\n\u3000\u00a0")  # what a text of nothing may consist of


def is_missing(text: str, spellings: Sequence[str]) -> str:
    """SQL: whether `text` is one of the declared spellings of "no value", outer blanks aside."""
    longest = max(len(word.encode()) for word in spellings)  # spares most texts the trim
    return f"(strlen({text}) < {longest + 16} AND trim({text}, {BLANK}) IN ({', '.join(map(quote, spellings))}))"


def _weighted(text: str, weights: tuple[int, ...], alphabet: str, first: int = 1) -> str:
    """Sum over the characters of `text` from place `first` on: position in `alphabet` from 0, times its weight."""
    terms = (f"{w} * strpos('{alphabet}', substr({text}, {n}, 1))" for n, w in enumerate(weights, first))
    return f"({' + '.join(terms)} - {sum(weights)})"


# The weights of GB 11643 are powers of two, from 2^17 for the first digit to 2^1 for the seventeenth, modulo 11. Read
# digits 2 to 17 backwards as one hexadecimal number h: each byte holds two digits, and 256 = 1/4 modulo 11 is just the
# ratio of the weights from byte to byte. So the weighted sum is 9 * (h + upper digit of each byte of h), modulo 11:
# four times as fast as seventeen times ascii(substr(...)).
_PERSON = rf"""
CREATE OR REPLACE TEMP MACRO id_hex(id) AS try_cast('0x' || reverse(substr(id, 2, 16)) AS UBIGINT);
CREATE OR REPLACE TEMP MACRO id_sum_of(id, h) AS
    ((ascii(id) - 48) * 7 + 9 * ((h + ((h >> 4) & {_ODD_NIBBLES}::UBIGINT)) % 11)::INTEGER) % 11;
CREATE OR REPLACE TEMP MACRO id_sum(id) AS list_transform([id_hex(id)], lambda h: id_sum_of(id, h))[1];
CREATE OR REPLACE TEMP MACRO id_check_digit(body17) AS
    CASE WHEN regexp_full_match(body17, '[0-9]{{17}}') THEN substr('10X98765432', id_sum(body17) + 1, 1) END;
CREATE OR REPLACE TEMP MACRO id_birth_text(id) AS
    CASE WHEN starts_with(id, '9') AND length(id) = 18 THEN NULL
         WHEN length(id) = 18 THEN substr(id, 7, 8)
         WHEN length(id) = 15 THEN '19' || substr(id, 7, 6) END;
CREATE OR REPLACE TEMP MACRO id_birth_date(id) AS
    CASE WHEN regexp_full_match(id_birth_text(id), '[0-9]{{8}}')
         THEN try_strptime(id_birth_text(id), '%Y%m%d')::DATE END;
CREATE OR REPLACE TEMP MACRO id_sex(id) AS
    CASE WHEN regexp_full_match(id, '[1-8][0-9]{{16}}[0-9X]')
         THEN CASE WHEN ascii(substr(id, 17, 1)) % 2 = 1 THEN '1' ELSE '2' END
         WHEN regexp_full_match(id, '[1-8][0-9]{{14}}')
         THEN CASE WHEN ascii(substr(id, 15, 1)) % 2 = 1 THEN '1' ELSE '2' END END;
CREATE OR REPLACE TEMP MACRO id_region(id) AS
    CASE WHEN regexp_full_match(id, '[1-8][0-9]{{14}}([0-9]{{2}}[0-9X])?') THEN substr(id, 1, 6) END;
CREATE OR REPLACE TEMP MACRO id_to_18(id) AS
    CASE WHEN regexp_full_match(id, '[1-8][0-9]{{14}}')
         THEN substr(id, 1, 6) || '19' || substr(id, 7) || id_check_digit(substr(id, 1, 6) || '19' || substr(id, 7))
         ELSE id END;
CREATE OR REPLACE TEMP MACRO person_id_ok(id) AS
    CASE WHEN id IS NULL THEN NULL
         WHEN regexp_full_match(id, '[1-8][0-9]{{16}}[0-9X]')
         THEN substr('10X98765432', id_sum(id) + 1, 1) = substr(id, 18, 1)
              AND try_strptime(substr(id, 7, 8), '%Y%m%d') IS NOT NULL
         ELSE regexp_full_match(id, '9[0-9A-Z]{{17}}|[A-Z]{{3}}[0-9]{{12}}')  -- foreign residents: layouts unverified
              OR (regexp_full_match(id, '[1-8][0-9]{{14}}')
                  AND try_strptime('19' || substr(id, 7, 6), '%Y%m%d') IS NOT NULL) END;
-- The same answers from parts that a suite works out once a record: h = id_hex(id), and whether the text is eighteen
-- characters, the first seventeen of them digits: no hexadecimal digit above nine, no underscore between them.
CREATE OR REPLACE TEMP MACRO id_digits_of(id, h) AS
    strlen(id) = 18 AND ((h >> 3) & ((h >> 2) | (h >> 1)) & {_LOWEST_BITS}::UBIGINT) = 0 AND NOT contains(id, '_')
    AND ascii(id) BETWEEN 49 AND 56;
CREATE OR REPLACE TEMP MACRO id_birth_date_of(id, digits) AS
    CASE WHEN digits THEN try_strptime(substr(id, 7, 8), '%Y%m%d')::DATE ELSE id_birth_date(id) END;
CREATE OR REPLACE TEMP MACRO person_id_ok_of(id, h, digits, born) AS
    CASE WHEN digits
         THEN born IS NOT NULL AND ends_with(id, {list("10X98765432")}[id_sum_of(id, h) + 1])
         ELSE person_id_ok(id) END;
CREATE OR REPLACE TEMP MACRO id_sex_of(id, h, digits, ok) AS
    CASE WHEN digits AND ok THEN CASE WHEN (h >> 60) & 1 = 1 THEN '1' ELSE '2' END ELSE id_sex(id) END;
-- A text that reads as a number and back is digits alone: cheaper to ask than the pattern, and nearly always so.
CREATE OR REPLACE TEMP MACRO person_id_normal(id) AS
    CASE WHEN (strlen(id) = 18 AND try_cast(id AS BIGINT)::VARCHAR = id) OR regexp_full_match(id, '[0-9A-Z]{{18}}')
         THEN id ELSE id_to_18(half_width(id)) END;
-- Every number one substituted character or one swap of neighbours away that has the right check digit. A character at
-- place k counts 2^(18-k): to take away a remainder it must change by -remainder * 2^(k+2), modulo 11.
CREATE OR REPLACE TEMP MACRO id_wrong_by(id, remainder) AS list_filter(list_concat(
    list_transform(range(1, 19), lambda k: substr(id, 1, k - 1) || substr('0123456789X', 1 + ((
        strpos('0123456789X', substr(id, k, 1)) - 1 - remainder * (1 << ((k + 2) % 10)::INTEGER)
    ) % 11 + 11)::INTEGER % 11, 1) || substr(id, k + 1)),
    list_transform(range(1, 18), lambda k:
        substr(id, 1, k - 1) || substr(id, k + 1, 1) || substr(id, k, 1) || substr(id, k + 2))
), lambda near: near <> id AND person_id_ok(near));
CREATE OR REPLACE TEMP MACRO id_neighbours(id) AS list_transform(
    [id_sum(id) + strpos('0123456789X', substr(id, 18, 1)) - 2], lambda remainder: id_wrong_by(id, remainder))[1];
CREATE OR REPLACE TEMP MACRO only_one(candidates) AS
    CASE WHEN len(list_distinct(candidates)) = 1 THEN candidates[1] END;
CREATE OR REPLACE TEMP MACRO id_repair_normal(id, birth_date, sex) AS
    CASE WHEN person_id_ok(id) AND coalesce(id_birth_date(id) = birth_date, true)
              AND coalesce(id_sex(id) = sex, true) THEN id
         WHEN regexp_full_match(id, '[1-8][0-9]{{16}}[0-9X]') AND birth_date IS NOT NULL
         THEN only_one(list_filter(id_neighbours(id), lambda near:
             id_birth_date(near) = birth_date AND (sex IS NULL OR sex NOT IN ('1', '2') OR id_sex(near) = sex))) END;
CREATE OR REPLACE TEMP MACRO person_id_repair(id, birth_date, sex) AS
    list_transform([person_id_normal(id)], lambda normal: id_repair_normal(normal, birth_date::DATE, sex))[1];
"""

_LEGAL_PAIR = "(1[1239]|3[1-59]|5[1239]|7[129]|8[19]|9[1239]|N[1239]|Y[19]|[246A][1-9])"  # 9 其他 in every class
_LEGAL = rf"""
CREATE OR REPLACE TEMP MACRO org_code_check(body8) AS
    CASE WHEN regexp_full_match(body8, '[0-9A-Z]{{8}}')
         THEN substr('0X987654321', {_weighted("body8", _ORG_WEIGHTS, BASE_36)} % 11 + 1, 1) END;
CREATE OR REPLACE TEMP MACRO uscc_sum(u) AS {_weighted("u", _USCC_WEIGHTS, BASE_31)};
CREATE OR REPLACE TEMP MACRO uscc_check(body17) AS
    CASE WHEN regexp_full_match(body17, '[{BASE_31}]{{17}}')
         THEN substr('{BASE_31}', (31 - uscc_sum(body17) % 31) % 31 + 1, 1) END;
CREATE OR REPLACE TEMP MACRO uscc_remainder(u) AS (uscc_sum(u) + strpos('{BASE_31}', substr(u, 18, 1)) - 1) % 31;
CREATE OR REPLACE TEMP MACRO uscc_ok(u) AS
    regexp_full_match(u, '{_LEGAL_PAIR}[0-9]{{6}}[{BASE_31}]{{10}}')
    AND uscc_remainder(u) = 0
    AND substr('0X987654321', {_weighted("u", _ORG_WEIGHTS, BASE_36, 9)} % 11 + 1, 1) = substr(u, 17, 1);
CREATE OR REPLACE TEMP MACRO uscc_normal(u) AS
    CASE WHEN regexp_full_match(u, '[0-9A-Z]{{18}}') THEN u ELSE half_width(u) END;
-- As id_neighbours: place k counts {_USCC_WEIGHTS[1]}^(k-1) modulo 31, the check character 1.
CREATE OR REPLACE TEMP MACRO uscc_wrong_by(u, remainder) AS list_filter(list_concat(
    list_transform(range(1, 19), lambda k: substr(u, 1, k - 1) || substr('{BASE_31}', 1 + ((
        strpos('{BASE_31}', substr(u, k, 1)) - 1 - remainder * {list(_USCC_INVERSES)}[k]
    ) % 31 + 31) % 31, 1) || substr(u, k + 1)),
    list_transform(range(1, 18), lambda k:
        substr(u, 1, k - 1) || substr(u, k + 1, 1) || substr(u, k, 1) || substr(u, k + 2))
), lambda near: near <> u AND uscc_ok(near));
CREATE OR REPLACE TEMP MACRO uscc_neighbours(u) AS list_transform(
    [uscc_remainder(u)], lambda remainder: uscc_wrong_by(u, remainder))[1];
CREATE OR REPLACE TEMP MACRO uscc_repair_normal(u) AS
    CASE WHEN uscc_ok(u) THEN u
         WHEN uscc_ok(translate(u, 'IOZS', '1025')) THEN translate(u, 'IOZS', '1025')
         WHEN length(u) = 18 THEN only_one(uscc_neighbours(u)) END;
CREATE OR REPLACE TEMP MACRO uscc_repair(u) AS
    list_transform([uscc_normal(u)], lambda normal: uscc_repair_normal(normal))[1];
-- The registration number before the credit code: 6 digits authority, 8 digits sequence, check digit MOD 11,10.
-- Numbers of other lengths were given before 2007 and carry no check digit, so they are neither right nor wrong: null.
CREATE OR REPLACE TEMP MACRO registration_number_ok(n) AS
    CASE WHEN regexp_full_match(n, '[0-9]{{15}}') THEN (list_reduce(
        list_transform(string_split(left(n, 14), ''), lambda d: ascii(d) - 48),
        lambda product, digit: ((product + digit + 9) % 10 + 1) * 2 % 11, 10) + ascii(right(n, 1)) - 48) % 10 = 1 END;
-- Of two amounts of one thing in 10,000 yuan, whether the first is the second in yuan: 10,000 times as much, to 0.1 %.
CREATE OR REPLACE TEMP MACRO unit_slip(amount, other) AS
    amount <> 0 AND other <> 0 AND abs(amount::DOUBLE / nullif(other, 0)::DOUBLE / 10000 - 1) < 0.001;
"""

# 1.2.156.3005.2 . type (USCC of the defining authority and 3 more) . issuer (USCC) . serial . version . check character
# The check character covers everything between the prefix and itself, without the dots.
_CERTIFICATE = rf"""
CREATE OR REPLACE TEMP MACRO certificate_check(body) AS
    CASE WHEN regexp_full_match(body, '[0-9A-Z]+') THEN substr('{BASE_36}', (37 - list_reduce(
        list_transform(string_split(body, ''), lambda c: strpos('{BASE_36}', c)),
        lambda product, place: ((product + place + 34) % 36 + 1) * 2 % 37,
        36::BIGINT)) % 36 + 1, 1) END;
CREATE OR REPLACE TEMP MACRO certificate_shape_ok(c) AS
    regexp_full_match(c, '1\.2\.156\.3005\.2\.[0-9A-Z]{{21}}\.[0-9A-Z]{{18}}\.[0-9A-Z]+\.[0-9]{{3}}\.[0-9A-Z]')
    AND list_bool_and(list_transform([substr(c, 16, 18), substr(c, 38, 18)], lambda code: uscc_ok(code)));
CREATE OR REPLACE TEMP MACRO certificate_body(c) AS replace(substr(c, 16, length(c) - 17), '.', '');
CREATE OR REPLACE TEMP MACRO certificate_id_ok(c) AS
    certificate_shape_ok(c) AND certificate_check(certificate_body(c)) = right(c, 1);
"""

_TEXT = rf"""
CREATE OR REPLACE TEMP MACRO to_half_width(t) AS translate(t, {quote(_FULL + chr(0x3000))}, {quote(_HALF + " ")});
CREATE OR REPLACE TEMP MACRO half_width(t) AS regexp_replace(upper(to_half_width(t)), '[\s\p{{Z}}\p{{Cf}}]', '', 'g');
CREATE OR REPLACE TEMP MACRO text_normal(t) AS
    CASE WHEN regexp_matches(t, '[！-～\s\p{{Z}}\p{{Cf}}]')
         THEN trim(regexp_replace(to_half_width(t), '[\s\p{{Z}}\p{{Cf}}]+', ' ', 'g')) ELSE t END;
CREATE OR REPLACE TEMP MACRO name_ok(n) AS
    regexp_full_match(n, '[\p{{Han}}\p{{L}}\p{{M}}\p{{Co}}][\p{{Han}}\p{{L}}\p{{M}}\p{{Co}}·•‧・.．''’\- ()（）]*')
    AND NOT regexp_full_match(n, '(?is){"|".join(PLACEHOLDERS)}|.* |.*(锟斤拷|烫烫).*');
-- Names as they are compared: without blanks and dots; their characters in one order, each in its usual form.
CREATE OR REPLACE TEMP MACRO person_name_normal(n) AS
    nullif(regexp_replace(half_width(n), '[·•‧・.．''’\-]', '', 'g'), '');
CREATE OR REPLACE TEMP MACRO name_letters(n) AS
    array_to_string(list_sort(string_split(translate(n, {quote(VARIANTS[0])}, {quote(VARIANTS[1])}), '')), '');
-- The numbers in an address from the house's on; without one there is no house to compare.
CREATE OR REPLACE TEMP MACRO address_house(a) AS
    nullif(array_to_string(regexp_extract_all(a, '[0-9]+'), '-'), '');
CREATE OR REPLACE TEMP MACRO one_phone_ok(p) AS regexp_full_match(p,
    '(?:[+]?86)?1[3-9][0-9]{{9}}|0[1-9][0-9]{{1,2}}[2-9][0-9]{{6,7}}(?:(?:转|x|X|#|ext)[0-9]{{1,6}})?|[48]00[0-9]{{7}}'
    '|1[0-9]{{2,4}}|9[56][0-9]{{3,6}}|(?:[+]|00)(?:8[0-57-9]|[1-79])[0-9]{{5,13}}|[+]?86(?:0)?[1-9][0-9]{{8,10}}');
CREATE OR REPLACE TEMP MACRO phone_ok(p) AS list_bool_and(list_transform(
    string_split_regex(regexp_replace(to_half_width(p), '[\s()—–-]', '', 'g'), '[,;/、]'),
    lambda one: one_phone_ok(one)));
-- That an address does not begin with a city before its province, or a county before either. Further on a division's
-- name may be part of a firm's or a road's, so nothing is said of it.
CREATE OR REPLACE TEMP MACRO address_in_order(address, province, city, county) AS
    NOT starts_with(address, coalesce(city || province, ' '))
    AND NOT starts_with(address, coalesce(county || province, ' '))
    AND NOT (starts_with(address, coalesce(county || city, ' ')) AND city IS DISTINCT FROM county);
CREATE OR REPLACE TEMP MACRO in_china(lon, lat) AS lon BETWEEN 73.62 AND 134.77 AND lat BETWEEN 16.7 AND 53.56;
-- Metres between two points on a sphere of the earth's mean radius; off by at most 0.6 % of the distance.
CREATE OR REPLACE TEMP MACRO metres(lon1, lat1, lon2, lat2) AS 2 * 6371008.8 * asin(sqrt(
    pow(sin(radians(lat2::DOUBLE - lat1::DOUBLE) / 2), 2) + cos(radians(lat1::DOUBLE)) * cos(radians(lat2::DOUBLE))
    * pow(sin(radians(lon2::DOUBLE - lon1::DOUBLE) / 2), 2)));
-- The cell of a grid of a hundredth of a degree that a point lies in, and that with its eight neighbours: whatever lies
-- within 500 metres of a point in China stands in one of them, so an equality finds it.
CREATE OR REPLACE TEMP MACRO place_cell(lon, lat) AS
    CAST(floor(lon::DOUBLE * 100) AS BIGINT) * 100000 + CAST(floor(lat::DOUBLE * 100) AS BIGINT);
CREATE OR REPLACE TEMP MACRO place_cells(lon, lat) AS list_transform([-100001, -100000, -99999, -1, 0, 1, 99999, 100000,
    100001], lambda step: place_cell(lon, lat) + step);
CREATE OR REPLACE TEMP MACRO mask_name(n) AS left(n, 1) || repeat('*', greatest(length(n) - 1, 1));
CREATE OR REPLACE TEMP MACRO mask_id(i) AS
    CASE WHEN length(i) > 8 THEN left(i, 3) || repeat('*', length(i) - 5) || right(i, 2)
         ELSE repeat('*', length(i)) END;
CREATE OR REPLACE TEMP MACRO mask_text(t) AS left(t, 1) || '***';
-- Citizen and mobile numbers in a text, also in full width or in groups; twice, since of two neighbours the first takes
-- the character between them.
CREATE OR REPLACE TEMP MACRO mask_shapes_once(t) AS regexp_replace(t, '(^|[^0-9])(?:([1-8]\d\d)(?:'
    '\d{{3}}[ -]?(?:18|19|20)\d\d[01]\d[0-3]\d[ -]?\d{{3}}[\dXx]|\d{{5}}[01]\d[0-3]\d{{4}})'
    '|((?:86[ -]?)?1[3-9]\d)[ -]?\d{{4}}[ -]?\d{{4}})($|[^0-9])',
    '\1\2\3***\4', 'g');
CREATE OR REPLACE TEMP MACRO mask_shapes(t) AS mask_shapes_once(mask_shapes_once(
    CASE WHEN regexp_matches(t, '[０-９]') THEN to_half_width(t) ELSE t END));
CREATE OR REPLACE TEMP MACRO told(v) AS
    coalesce('「' || translate(left(v::VARCHAR, 60), '「」', '『』') || '」', '空');
CREATE OR REPLACE TEMP MACRO mask_told(reason) AS regexp_replace(reason, '「[^」]*」', '「***」', 'g');
CREATE OR REPLACE TEMP MACRO finding_id(rule_id, department, resource, record_key, column_name) AS
    md5(concat_ws('|', rule_id, department, resource, record_key, coalesce(column_name, '')));
"""

SQL = _TEXT + _PERSON + _LEGAL + _CERTIFICATE

# What several rules ask of one column, so that a suite works it out once a record (`quality_checks.verdicts`): macros
# in the order they build on each other, each with the SQL that answers what it would, from the column and parts before.
SHARED: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("id_hex", "id_hex({id})"),
        ("id_digits", "id_digits_of({id}, {id_hex})"),
        ("id_birth_date", "id_birth_date_of({id}, {id_digits})"),
        ("person_id_ok", "person_id_ok_of({id}, {id_hex}, {id_digits}, {id_birth_date})"),
        ("id_sex", "id_sex_of({id}, {id_hex}, {id_digits}, {person_id_ok})"),
    ),
    (("uscc_ok", "uscc_ok({id})"),),
)
