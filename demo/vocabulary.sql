-- Words and arithmetic of the fictional city: dice, check digits, names, counties.
-- Everything random comes from dice(), a hash of an ordinal, a salt and the seed: the same seed gives the same city.
-- The check digits are written here anew and do not use quality_checks/macros.py, so that the two prove each other.

-- hashed twice: DuckDB's combination of several hashes leaves the low bits of different salts alike
CREATE TEMP MACRO dice(i, salt, sides) AS (hash(hash(i::BIGINT, salt, getvariable('seed'))) % (sides)::UBIGINT)::BIGINT;
CREATE TEMP MACRO share(i, salt) AS dice(i, salt, 1000000) / 1000000.0;
CREATE TEMP MACRO pick(list, i, salt) AS list[1 + dice(i, salt, len(list))];
CREATE TEMP MACRO day_between(i, salt, first, last) AS first + dice(i, salt, greatest(1, last - first + 1))::INTEGER;
CREATE TEMP MACRO digits(i, width) AS lpad((i)::VARCHAR, width, '0');

-- GB 11643-1999: weighted sum of the 17 digits modulo 11 picks the check character.
CREATE TEMP MACRO person_check(body) AS substr('10X98765432', 1 + (
    (body // 10000000000000000 % 10) * 7 + (body // 1000000000000000 % 10) * 9 + (body // 100000000000000 % 10) * 10
    + (body // 10000000000000 % 10) * 5 + (body // 1000000000000 % 10) * 8 + (body // 100000000000 % 10) * 4
    + (body // 10000000000 % 10) * 2 + (body // 1000000000 % 10) + (body // 100000000 % 10) * 6
    + (body // 10000000 % 10) * 3 + (body // 1000000 % 10) * 7 + (body // 100000 % 10) * 9 + (body // 10000 % 10) * 10
    + (body // 1000 % 10) * 5 + (body // 100 % 10) * 8 + (body // 10 % 10) * 4 + (body % 10) * 2) % 11, 1);

-- The 31 characters of GB 32100-2015 and the value of one of them; GB 11714 counts in 0-9A-Z.
CREATE TEMP MACRO letter(v) AS substr('0123456789ABCDEFGHJKLMNPQRTUWXY', 1 + (v)::INTEGER, 1);
CREATE TEMP MACRO at31(text, k) AS instr('0123456789ABCDEFGHJKLMNPQRTUWXY', substr(text, k, 1)) - 1;
CREATE TEMP MACRO at36(text, k) AS instr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', substr(text, k, 1)) - 1;

CREATE TEMP MACRO organisation_sum(body) AS (11 - (
    at36(body, 1) * 3 + at36(body, 2) * 7 + at36(body, 3) * 9 + at36(body, 4) * 10 + at36(body, 5) * 5
    + at36(body, 6) * 8 + at36(body, 7) * 4 + at36(body, 8) * 2) % 11) % 11;
CREATE TEMP MACRO organisation_code(body) AS body || substr('0123456789X', 1 + organisation_sum(body), 1);

CREATE TEMP MACRO credit_sum(body) AS (31 - (
    at31(body, 1) + at31(body, 2) * 3 + at31(body, 3) * 9 + at31(body, 4) * 27 + at31(body, 5) * 19
    + at31(body, 6) * 26 + at31(body, 7) * 16 + at31(body, 8) * 17 + at31(body, 9) * 20 + at31(body, 10) * 29
    + at31(body, 11) * 25 + at31(body, 12) * 13 + at31(body, 13) * 8 + at31(body, 14) * 24 + at31(body, 15) * 10
    + at31(body, 16) * 30 + at31(body, 17) * 28) % 31) % 31;
CREATE TEMP MACRO credit_code(body) AS body || letter(credit_sum(body));

-- 'XX' (no real organisation code begins so) and six characters counted in base 31: a body no other ordinal has.
CREATE TEMP MACRO organisation_body(i) AS 'XX' || letter(i // 28629151 % 31) || letter(i // 923521 % 31)
    || letter(i // 29791 % 31) || letter(i // 961 % 31) || letter(i // 31 % 31) || letter(i % 31);

-- ISO 7064 MOD 37,36 (GB/T 36904-2018). The state after a prefix is kept, so that long shared prefixes cost nothing.
CREATE TEMP MACRO mod37_after(state, text) AS list_reduce(
    list_prepend((state)::BIGINT, list_transform(string_split(text, ''), lambda c:
        (instr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', c) - 1)::BIGINT)),
    lambda s, v: ((CASE s WHEN 0 THEN 36 ELSE s END * 2) % 37 + v) % 36);
CREATE TEMP MACRO mod37_check(state) AS substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ',
    1 + ((37 - (CASE state WHEN 0 THEN 36 ELSE state END * 2) % 37) % 36)::INTEGER, 1);

-- Registration numbers of 15 digits: 14 digits and a check digit of ISO 7064 MOD 11,10.
CREATE TEMP MACRO mod11_after(text) AS list_reduce(
    list_transform(string_split(text, ''), lambda d: d::BIGINT),
    lambda s, v: CASE (s + v) % 10 WHEN 0 THEN 20 ELSE (s + v) % 10 * 2 END % 11, 10::BIGINT);
CREATE TEMP MACRO registration_number(body) AS body || ((11 - mod11_after(body)) % 10);

-- A county: its rectangle without the corners, each cut by 15 % of both sides; nobody lives there.
CREATE TEMP MACRO corner(x, y) AS round(x, 6)::DECIMAL(9, 6) || ' ' || round(y, 6)::DECIMAL(9, 6);
CREATE TEMP MACRO octagon(w, e, s, n) AS 'POLYGON ((' || concat_ws(', ',
    corner(w + (e - w) * 0.15, s), corner(e - (e - w) * 0.15, s), corner(e, s + (n - s) * 0.15), corner(e, n - (n - s) * 0.15),
    corner(e - (e - w) * 0.15, n), corner(w + (e - w) * 0.15, n), corner(w, n - (n - s) * 0.15), corner(w, s + (n - s) * 0.15),
    corner(w + (e - w) * 0.15, s)) || '))';
-- A share of a side, drawn to the middle where both shares together would lie in a corner.
CREATE TEMP MACRO off_corner(share, other) AS CASE WHEN abs(share - 0.5) + abs(other - 0.5) > 0.84 THEN 0.25 + share / 2 ELSE share END;

SET VARIABLE surnames = string_split('李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜', '');
SET VARIABLE given = string_split('安柏澄楚川达芳枫刚阁光桂海涵浩荷衡宏花怀辉嘉建江洁锦静菊君凯康兰乐丽莲良林玲龙露满梅铭楠宁攀鹏萍清晴庆秋荣瑞睿山尚诗舒松涛天婷桐彤望文希贤翔晓欣兴秀萱雅妍岩燕阳怡颖永雨玉原远月云泽哲珍芝舟竹子紫', '');
SET VARIABLE foreign_names = ['安娜·贝尔', '保罗·格林', '卡洛斯·迪亚斯', '埃琳娜·索科娃', '托马斯·韦伯', '玛丽亚·罗西', '詹姆斯·利特尔', '索菲·马丁'];
SET VARIABLE brands = string_split('百诚创鼎东丰富冠广国汉恒红华吉佳金京九聚凯利联隆茂美铭诺鹏启千庆泉仁荣瑞润三盛顺泰天通万威祥新鑫星旭亚义益永友裕源远泽众卓', '');
SET VARIABLE trades = ['商贸', '农业科技', '建材', '食品', '机械', '物流', '茶业', '电子', '纺织', '医疗器械', '装饰工程', '信息技术'];
SET VARIABLE streets = ['皋城路', '淠河大道', '梅山路', '解放路', '人民路', '大别山路', '万佛湖路', '茶谷大道', '迎宾路', '文庙街'];

-- Counties of Lu'an: weight of 16 for the share of people, the code before 1999, and a rectangle of our own that
-- stands for the area (no two overlap).
CREATE TABLE county AS
SELECT *, sum(slots) OVER (ORDER BY c) - slots AS first_slot
FROM (VALUES
    (1, '341502', '金安区', '342401', 3, 116.50, 117.10, 31.70, 32.00),
    (2, '341503', '裕安区', '342401', 3, 115.95, 116.50, 31.70, 32.00),
    (3, '341504', '叶集区', '342423', 1, 115.45, 115.95, 31.70, 32.00),
    (4, '341522', '霍邱县', '342423', 3, 115.80, 116.60, 32.00, 32.60),
    (5, '341523', '舒城县', '342425', 3, 116.50, 117.20, 31.10, 31.70),
    (6, '341524', '金寨县', '342426', 2, 115.30, 115.95, 31.10, 31.70),
    (7, '341525', '霍山县', '342427', 1, 115.95, 116.50, 31.10, 31.70)
) AS t(c, code, name, old_code, slots, west, east, south, north);

-- Six townships a county, eight villages a township; codes of 9 and 12 digits as the statistics offices write them.
CREATE TABLE village AS
SELECT
    (c - 1) * 48 + (t - 1) * 8 + v AS village, c, code AS county_code, county.name AS county_name,
    code || digits(99 + t, 3) AS town_code,
    pick(getvariable('brands'), c * 10 + t, 'town') || pick(getvariable('given'), c * 10 + t, 'town2')
        || CASE WHEN t <= 2 THEN '街道' ELSE '镇' END AS town_name,
    code || digits(99 + t, 3) || digits(200 + v - 1, 3) AS village_code,
    pick(getvariable('given'), c * 100 + t * 10 + v, 'village') || pick(getvariable('brands'), c * 100 + t * 10 + v, 'village2')
        || CASE WHEN t <= 2 THEN '社区' ELSE '村' END AS village_name,
    west + (east - west) * ((t - 1) + 0.5) / 6 AS lon, south + (north - south) * ((v - 1) + 0.5) / 8 AS lat
FROM county, range(1, 7) AS r(t), range(1, 9) AS s(v)
ORDER BY 1;

-- Taken with a share, and in a small city with a larger one, so that about `floor` of 1,000 people are.
CREATE TEMP MACRO chosen(n, salt, rate, floor) AS share(n, salt) < least(0.95, greatest(rate, floor / getvariable('people')));
