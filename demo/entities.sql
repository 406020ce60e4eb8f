-- Organisations, places and certificates of the fictional city. One row per entity; counts have floors, so that in the
-- smallest city every rule still finds an entity of its own to go wrong.

CREATE TABLE organisation_body AS
WITH kinds(kind, prefix, floor, per_person) AS (VALUES
    ('enterprise', '91', 900, 0.03), ('sole_trader', '92', 700, 0.04), ('cooperative', '93', 300, 0.001),
    ('institution', '12', 900, 0.001), ('government', '11', 80, 0.0), ('association', '51', 300, 0.0005),
    ('non_enterprise', '52', 200, 0.0005), ('foundation', '53', 80, 0.0),
    ('village_group', 'N1', 100, 0.0), ('village', 'N2', 336, 0.0), ('township', 'N3', 42, 0.0)
), one AS (
    SELECT kind, prefix, unnest(range(greatest(floor, (getvariable('people') * per_person)::BIGINT))) AS i,
        NULL::VARCHAR AS given_code, NULL::VARCHAR AS given_name FROM kinds
    UNION ALL
    SELECT CASE left(code, 2) WHEN '91' THEN 'enterprise' ELSE 'government' END, left(code, 2),
        1000000000 + row_number() OVER (ORDER BY name), code, title FROM department
)
SELECT row_number() OVER (ORDER BY prefix, i) - 1 AS n, * FROM one ORDER BY 1;

-- `department` holds the providers of the catalogue: they are organisations of the city too.
CREATE TABLE organisation AS
WITH placed AS (
    SELECT o.*, v.village, v.c, v.county_code AS division, v.county_name, v.town_name, v.village_code, v.village_name,
        prefix || v.county_code || organisation_code(organisation_body((o.n * 7368787 + dice(0, 'organisation', 887503681)) % 887503681)) AS body,
        p.id_number AS person_id, p.name AS person_name, p.phone AS person_phone,
        getvariable('start')::DATE - 800 - dice(o.n, 'founded', 6000)::INTEGER AS founded_on,
        CASE WHEN o.kind IN ('enterprise', 'sole_trader') AND dice(o.n, 'status', 100) < 10 THEN '3'
            WHEN o.kind = 'enterprise' AND dice(o.n, 'status', 100) < 16 THEN '2' ELSE '1' END AS status,
        dice(o.n, 'pillar', 4) = 0 OR given_code IS NOT NULL AS pillar
    FROM organisation_body AS o
    JOIN village AS v ON v.village = CASE WHEN o.kind = 'village' THEN o.i % 336 + 1 WHEN o.kind = 'township' THEN (o.i % 42) * 8 + 1
        ELSE 1 + dice(o.n, 'village', 336) END
    JOIN pillar AS p ON p.place = (o.n * 7919 + dice(0, 'pillar', 1000)) % getvariable('pillars')
)
SELECT * EXCLUDE (body, status, pillar, given_code, given_name, person_id, person_name, person_phone),
    coalesce(given_code, credit_code(body)) AS uscc,
    person_id AS legal_representative_id_number, person_name AS legal_representative_name,
    '111' AS legal_representative_id_type, person_phone AS phone, prefix AS entity_type,
    coalesce(given_name, CASE kind
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
    END) AS name,
    -- pillars are named by other registers and stay in business
    CASE WHEN pillar THEN '1' ELSE status END AS status, pillar, NOT pillar AND dice(n, 'alone', 100) < 15 AS alone,
    CASE WHEN NOT pillar AND status <> '1' THEN getvariable('start')::DATE - 30 - dice(n, 'closed', 300)::INTEGER END AS deregistered_on,
    NOT pillar AND status <> '1' AND dice(n, 'untaxed', 4) = 0 AS untaxed, -- ended long before, unknown to the tax office
    founded_on + dice(n, 'approved', 300)::INTEGER AS approved_on,
    (10 + dice(n, 'capital', 990))::DECIMAL(18, 2) AS capital,
    pick(['01', '13', '47', '51', '52', '54', '62', '65', '72', '80'], n, 'industry') AS industry,
    1 + dice(n, 'staff', 60) AS staff,
    '安徽省六安市' || county_name || town_name || pick(getvariable('streets'), n, 'street') || (1 + dice(n, 'house', 300)) || '号' AS registered_address
FROM placed ORDER BY n;
DROP TABLE organisation_body;

-- Organisations one can count through: employers and holders, schools, hospitals, villages.
CREATE TABLE org_pillar AS
SELECT row_number() OVER (ORDER BY n) - 1 AS place, * EXCLUDE (n), n AS organisation
FROM organisation WHERE pillar AND kind IN ('enterprise', 'sole_trader') ORDER BY n;
SET VARIABLE org_pillars = (SELECT count(*) FROM org_pillar);
CREATE TABLE school AS
SELECT *, row_number() OVER (PARTITION BY pillar ORDER BY n) - 1 AS place,
    '2134' || digits(n % 1000000, 6) AS school_code, CASE WHEN contains(name, '小学') THEN '211' ELSE '311' END AS school_type
FROM organisation WHERE kind = 'institution' AND (contains(name, '中心小学') OR contains(name, '中学')) ORDER BY n;
SET VARIABLE schools = (SELECT count(*) FROM school WHERE pillar);
CREATE TABLE hospital AS
SELECT *, row_number() OVER (PARTITION BY pillar ORDER BY n) - 1 AS place FROM organisation
WHERE kind = 'institution' AND contains(name, '卫生院') ORDER BY n;
SET VARIABLE hospitals = (SELECT count(*) FROM hospital WHERE pillar);

-- Electronic certificates, one row per certificate and version. A type code is the credit code of the authority that
-- defined the type and three digits; an issuer is a department of the city. A renewed certificate has two versions.
CREATE TABLE certificate_type AS
SELECT t, certificate_type, certificate_name, holder_type, type_code, issuer_uscc, issuer_name,
    mod37_after(18, type_code || issuer_uscc) AS state
FROM (
    SELECT v.* EXCLUDE (department), credit_code('11340000' || organisation_code('XX1000' || digits(t, 2))) || digits(t, 3) AS type_code,
        coalesce(d.code, o.uscc) AS issuer_uscc, coalesce(d.title, o.name) AS issuer_name
    FROM (VALUES (1, 'business_licence', '营业执照', '2', 'market_regulation'), (2, 'food_licence', '食品经营许可证', '2', 'market_regulation'),
        (3, 'road_transport_licence', '道路运输经营许可证', '2', 'transport'), (4, 'construction_licence', '建筑工程施工许可证', '2', 'housing'),
        (5, 'residence_certificate', '居住证', '1', 'public_security'), (6, 'disability_certificate', '残疾人证', '1', 'disabled_persons'),
        (7, 'marriage_certificate', '结婚证', '1', 'civil_affairs')) AS v(t, certificate_type, certificate_name, holder_type, department)
    LEFT JOIN department AS d ON d.name = v.department
    CROSS JOIN (SELECT uscc, name FROM organisation WHERE kind = 'government' AND pillar ORDER BY n LIMIT 1) AS o
) ORDER BY t;

CREATE TABLE certificate AS
WITH one AS (
    SELECT i AS n, 1 + i % 7 AS t, CASE WHEN dice(i, 'renewed', 10) = 0 THEN 2 ELSE 1 END AS versions,
        getvariable('start')::DATE - 900 - dice(i, 'issued', 700)::INTEGER AS first_issued
    FROM range(greatest(4900, (getvariable('people') * 0.1)::BIGINT)) AS r(i)
), held AS (
    SELECT one.*, y.* EXCLUDE (t), '2026' || digits((one.n * 7919 + dice(0, 'serial', 10000000)) % 10000000, 7) AS serial,
        CASE WHEN y.t = 7 THEN m.id_number WHEN y.holder_type = '1' THEN p.id_number ELSE o.uscc END AS holder_number,
        CASE WHEN y.t = 7 THEN m.name WHEN y.holder_type = '1' THEN p.name ELSE o.name END AS holder_name,
        CASE y.holder_type WHEN '1' THEN '111' END AS holder_id_type,
        o.registered_address, o.division
    FROM one JOIN certificate_type AS y ON y.t = one.t
    JOIN pillar AS p ON p.place = (one.n * 104729 + 17) % getvariable('pillars')
    JOIN married_pillar AS m ON m.place = one.n // 7 % getvariable('married_pillars')
    JOIN org_pillar AS o ON o.place = (one.n * 104729 + 17) % getvariable('org_pillars')
), versioned AS (
    SELECT held.*, version, version = versions AS current, dice(n, 'alone', 100) < 12 AS alone,
        first_issued + 365 * (version - 1)::INTEGER AS issued_on,
        CASE WHEN version < versions THEN first_issued + 364
            WHEN dice(n, 'ends', 10) = 0 THEN getvariable('start')::DATE - 20 - dice(n, 'ended', 300)::INTEGER
            ELSE getvariable('start')::DATE + 150 + dice(n, 'ends2', 3000)::INTEGER END AS valid_to,
        '1.2.156.3005.2.' || type_code || '.' || issuer_uscc || '.' || serial || '.' || digits(version, 3) || '.'
            || mod37_check(mod37_after(state, serial || digits(version, 3))) AS certificate_id
    FROM held, range(1, 3) AS r(version) WHERE version <= versions
)
SELECT * EXCLUDE (state, type_code, first_issued, t), issued_on AS valid_from,
    CASE WHEN valid_to < getvariable('start')::DATE THEN '05' ELSE '01' END AS status,
    lag(certificate_id) OVER (PARTITION BY n ORDER BY version) AS previous_certificate_id
FROM versioned ORDER BY n, version;

-- The economy: one row per indicator, division and period. The city is the sum of its counties; a month is published
-- in the middle of the next. What tax office and banks count is told by them from three months earlier on.
CREATE TABLE figure AS
WITH indicator(indicator, quarterly) AS (VALUES ('0101', true), ('0203', false), ('0301', false), ('0302', false), ('0401', false), ('0402', false)),
period AS (
    SELECT false AS quarterly, k, strftime(getvariable('start')::DATE - to_months(k::INTEGER), '%Y-%m') AS period,
        (date_trunc('month', getvariable('start')::DATE) - to_months(k::INTEGER - 1) + INTERVAL 17 DAY)::DATE AS published_on FROM range(2, 14) AS r(k)
    UNION ALL
    SELECT true, k, year(q) || '-Q' || quarter(q), (q + INTERVAL 3 MONTH + INTERVAL 19 DAY)::DATE
    FROM (SELECT k, (date_trunc('quarter', getvariable('start')::DATE) - to_months((3 * k)::INTEGER))::DATE AS q FROM range(1, 5) AS r(k))
), of_county AS (
    SELECT indicator, county.code AS division, period, k, published_on,
        (20 + dice(c * 1000 + k, indicator, 4000) / 100)::DECIMAL(18, 2) AS value FROM indicator JOIN period USING (quarterly), county
), told AS (
    FROM of_county UNION ALL SELECT indicator, '341500', period, k, published_on, sum(value) FROM of_county GROUP BY ALL
)
SELECT row_number() OVER (ORDER BY indicator, division, period) AS n, * REPLACE (value::DECIMAL(18, 2) AS value),
    'm' || indicator || division || period AS entity, indicator IN ('0301', '0401', '0402') AS counted, k > 10 AS early,
    -- periods in which counties make no mistake, so that a wrong total can be told
    k IN (3, 4) AND NOT counted OR k IN (12, 13) AND counted AS reserved,
    ((dice(hash(indicator, division, period) % 1000000, 'growth', 200) - 60) / 10)::DECIMAL(5, 1) AS growth
FROM told ORDER BY 1;
