-- Organisations, places and certificates of the fictional city. One row per entity; counts have floors, so that in the
-- smallest city every rule still finds an entity of its own to go wrong.

CREATE TABLE organisation_body AS
WITH kinds(kind, prefix, floor, per_person) AS (VALUES
    ('enterprise', '91', 900, 0.03), ('sole_trader', '92', 700, 0.04), ('cooperative', '93', 300, 0.001),
    ('institution', '12', 400, 0.001), ('government', '11', 60, 0.0), ('association', '51', 300, 0.0005),
    ('non_enterprise', '52', 200, 0.0005), ('foundation', '53', 60, 0.0),
    ('village_group', 'N1', 100, 0.0), ('village', 'N2', 336, 0.0), ('township', 'N3', 42, 0.0)
), one AS (
    SELECT kind, prefix, unnest(range(greatest(floor, (getvariable('people') * per_person)::BIGINT))) AS i FROM kinds
)
SELECT row_number() OVER (ORDER BY prefix, i) - 1 AS n, * FROM one ORDER BY 1;

CREATE TABLE organisation AS
WITH placed AS (
    SELECT o.*, v.village, v.c, v.county_code, v.county_name, v.town_name, v.village_name,
        prefix || v.county_code || organisation_code(organisation_body((o.n * 7368787 + dice(0, 'organisation', 887503681)) % 887503681)) AS body,
        p.n AS person, p.id_number AS person_id, p.name AS person_name, p.phone AS person_phone,
        getvariable('start')::DATE - 400 - dice(o.n, 'founded', 6000)::INTEGER AS founded_on,
        CASE WHEN kind IN ('enterprise', 'sole_trader') AND dice(o.n, 'status', 100) < 10 THEN 'deregistered'
            WHEN kind = 'enterprise' AND dice(o.n, 'status', 100) < 16 THEN 'revoked' ELSE 'active' END AS status,
        dice(o.n, 'pillar', 3) = 0 AS pillar
    FROM organisation_body AS o
    JOIN village AS v ON v.village = CASE WHEN kind = 'village' THEN o.i % 336 + 1 WHEN kind = 'township' THEN (o.i % 42) * 8 + 1
        ELSE 1 + dice(o.n, 'village', 336) END
    JOIN pillar AS p ON p.place = (o.n * 7919 + dice(0, 'pillar', 1000)) % getvariable('pillars')
)
SELECT * EXCLUDE (body, status, pillar), credit_code(body) AS uscc,
    CASE kind
        WHEN 'enterprise' THEN '六安' || pick(getvariable('brands'), n, 'a') || pick(getvariable('brands'), n, 'b') || pick(getvariable('trades'), n, 't') || '有限公司'
        WHEN 'sole_trader' THEN county_name || pick(getvariable('brands'), n, 'a') || pick(getvariable('given'), n, 'b') || pick(['商店', '餐馆', '理发店', '茶庄', '修理部', '便利店'], n, 't')
        WHEN 'cooperative' THEN county_name || pick(getvariable('brands'), n, 'a') || pick(getvariable('given'), n, 'b') || pick(['茶叶', '水稻', '生猪养殖', '中药材', '蔬菜'], n, 't') || '专业合作社'
        WHEN 'institution' THEN county_name || town_name || pick(['中心小学', '中学', '卫生院', '文化站', '农技站', '幼儿园'], n, 't') || pick(getvariable('given'), n, 'b') || '分部'
        WHEN 'government' THEN county_name || pick(getvariable('given'), n, 'b') || pick(['管理局', '办公室', '服务中心'], n, 't')
        WHEN 'association' THEN county_name || pick(getvariable('given'), n, 'b') || pick(['书法', '茶业', '篮球', '摄影', '养老'], n, 't') || '协会'
        WHEN 'non_enterprise' THEN county_name || pick(getvariable('brands'), n, 'a') || pick(getvariable('given'), n, 'b') || pick(['养老院', '培训学校', '幼儿园'], n, 't')
        WHEN 'foundation' THEN '六安市' || pick(getvariable('brands'), n, 'a') || pick(getvariable('given'), n, 'b') || '公益基金会'
        WHEN 'village_group' THEN county_name || town_name || village_name || pick(['一', '二', '三', '四', '五', '六'], n, 't') || '组股份经济合作社'
        WHEN 'village' THEN county_name || town_name || village_name || '股份经济合作社'
        WHEN 'township' THEN county_name || town_name || '经济联合总社'
    END AS name,
    -- pillars are named by other registers and stay in business
    CASE WHEN pillar THEN 'active' ELSE status END AS status, pillar,
    CASE WHEN NOT pillar AND status <> 'active' THEN getvariable('start')::DATE - 30 - dice(n, 'closed', 300)::INTEGER END AS closed_on,
    founded_on + dice(n, 'approved', 300)::INTEGER AS approved_on,
    (10 + dice(n, 'capital', 990))::DECIMAL(18, 2) AS capital,
    pick(['A0111', 'C1331', 'E4700', 'F5111', 'F5211', 'G5430', 'H6210', 'I6510', 'L7211', 'O8040'], n, 'industry') AS industry,
    1 + dice(n, 'staff', 60) AS staff,
    '安徽省六安市' || county_name || town_name || pick(getvariable('streets'), n, 'street') || (1 + dice(n, 'house', 300)) || '号' AS address
FROM placed ORDER BY n;
DROP TABLE organisation_body;
CREATE TABLE org_pillar AS
SELECT row_number() OVER (ORDER BY n) - 1 AS place, n, uscc, name, kind FROM organisation WHERE pillar AND kind IN ('enterprise', 'sole_trader', 'institution') ORDER BY n;
SET VARIABLE org_pillars = (SELECT count(*) FROM org_pillar);

-- Addresses, buildings and parcels, each inside the rectangle of its county and in a village of it.
CREATE TABLE place AS
WITH kinds(kind, floor, per_person) AS (VALUES
    ('address', 900, 0.3), ('building', 700, 0.05), ('parcel', 700, 0.1)
), one AS (
    SELECT kind, unnest(range(greatest(floor, (getvariable('people') * per_person)::BIGINT))) AS i FROM kinds
), numbered AS (
    SELECT row_number() OVER (ORDER BY kind, i) - 1 AS n, * FROM one
)
SELECT o.n, o.kind, o.i, v.c, v.county_code, v.county_name, v.town_code, v.town_name, v.village_code, v.village_name,
    round(west + (east - west) * (0.02 + 0.96 * share(o.n, 'x')), 6)::DECIMAL(9, 6) AS lon,
    round(south + (north - south) * (0.02 + 0.96 * share(o.n, 'y')), 6)::DECIMAL(9, 6) AS lat,
    pick(getvariable('streets'), o.n, 'street') AS street, 1 + dice(o.n, 'house', 400) AS house,
    '安徽省六安市' || v.county_name || v.town_name || pick(getvariable('streets'), o.n, 'street') || (1 + dice(o.n, 'house', 400)) || '号' AS address,
    getvariable('start')::DATE - 200 - dice(o.n, 'built', 9000)::INTEGER AS since
FROM numbered AS o JOIN village AS v ON v.village = 1 + dice(o.n, 'village', 336) JOIN county ON county.c = v.c
ORDER BY o.n;

-- Electronic certificates: type code (the defining authority's credit code and three digits), issuer, serial, version.
CREATE TABLE certificate_type AS
SELECT t, title, holder, type_code, issuer, issuer_name, mod37_after(18, type_code || issuer) AS state
FROM (
    SELECT t, title, holder, credit_code('11340000' || organisation_code('00298' || digits(300 + t, 3))) || digits(t, 3) AS type_code,
        credit_code('11341500' || organisation_code('00320' || digits(500 + t, 3))) AS issuer, issuer_name
    FROM (VALUES (1, '营业执照', 'organisation', '六安市市场监督管理局'), (2, '食品经营许可证', 'organisation', '六安市市场监督管理局'),
        (3, '居民身份证', 'person', '六安市公安局'), (4, '社会保障卡', 'person', '六安市人力资源和社会保障局'),
        (5, '不动产权证书', 'person', '六安市自然资源和规划局'), (6, '机动车驾驶证', 'person', '六安市公安局')) AS v(t, title, holder, issuer_name)
) ORDER BY t;
CREATE TABLE certificate AS
WITH one AS (
    SELECT i AS n, 1 + i % 6 AS t FROM range(greatest(2400, (getvariable('people') * 0.2)::BIGINT)) AS r(i)
), held AS (
    SELECT one.n, one.t, y.title, y.holder, y.type_code, y.issuer, y.issuer_name, y.state,
        '2026' || digits((one.n * 7919 + dice(0, 'serial', 10000000)) % 10000000, 7) AS serial, '001' AS version,
        CASE y.holder WHEN 'person' THEN p.id_number ELSE o.uscc END AS holder_code,
        CASE y.holder WHEN 'person' THEN p.name ELSE o.name END AS holder_name,
        getvariable('start')::DATE - 30 - dice(one.n, 'issued', 1000)::INTEGER AS issued_on
    FROM one JOIN certificate_type AS y ON y.t = one.t
    JOIN pillar AS p ON p.place = (one.n * 104729 + 17) % getvariable('pillars')
    JOIN org_pillar AS o ON o.place = (one.n * 104729 + 17) % getvariable('org_pillars')
)
SELECT * EXCLUDE (state), '1.2.156.3005.2.' || type_code || '.' || issuer || '.' || serial || '.' || version || '.'
    || mod37_check(mod37_after(state, serial || version)) AS certificate_id,
    CASE WHEN dice(n, 'ends', 10) < 1 THEN issued_on + 25 + dice(n, 'span', 2)::INTEGER ELSE getvariable('start')::DATE + 100 + dice(n, 'ends2', 3000)::INTEGER END AS valid_to,
    CASE WHEN dice(n, 'ends', 10) < 1 THEN 'expired' WHEN dice(n, 'ends', 100) = 99 THEN 'revoked' ELSE 'valid' END AS status
FROM held ORDER BY n;
