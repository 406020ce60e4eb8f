-- What each department knows of the city when nobody makes a mistake: one section per resource, `-- @ resource format`.
-- A section gives the declared columns by name, and: n (unique, order of the file), entity (whom the record is about:
-- an entity takes at most one defect in the whole city), free (may take a defect), alone (no other register speaks of
-- the entity's attributes). Columns nobody declared are left out.

-- @ public_security.resident_registration csv
SELECT *, 'p' || n AS entity, NOT pillar AS free,
    CASE WHEN dice(n, 'former', 40) = 0 THEN pick(getvariable('surnames'), n, 'former2') || pick(getvariable('given'), n, 'former3') END AS former_name,
    'H' || digits(household, 9) AS household_number, CASE WHEN n = household THEN '01' ELSE '10' END AS relationship,
    birth_date + 30 + dice(n, 'settled', 9)::INTEGER AS registered_on
FROM resident;

-- @ public_security.residence_permit csv
SELECT *, 'p' || n AS entity, NOT pillar AS free,
    CASE kind WHEN 'citizen' THEN 'CHN' WHEN 'hong_kong' THEN 'HKG' WHEN 'macao' THEN 'MAC' WHEN 'taiwan' THEN 'TWN'
        ELSE CASE substr(region, 4, 3) WHEN '840' THEN 'USA' WHEN '826' THEN 'GBR' WHEN '250' THEN 'FRA' WHEN '276' THEN 'DEU'
            WHEN '643' THEN 'RUS' WHEN '392' THEN 'JPN' ELSE 'KOR' END END AS nationality,
    'JZ' || digits(n, 10) AS permit_number,
    CASE kind WHEN 'citizen' THEN '1' WHEN 'hong_kong' THEN '2' WHEN 'macao' THEN '2' WHEN 'taiwan' THEN '3' ELSE '5' END AS permit_type,
    greatest(birth_date + 10, getvariable('start')::DATE - 60 - dice(n, 'permit', 600)::INTEGER) AS valid_from,
    getvariable('start')::DATE + 200 + dice(n, 'permit', 800)::INTEGER AS valid_to, registered_address AS residence_address
FROM person WHERE standing = 'permit';

-- @ public_security.household_cancellation csv
SELECT *, 'p' || n AS entity, true AS free, CASE standing WHEN 'dead' THEN '1' ELSE '2' END AS reason
FROM departed;

-- @ public_security.standard_address jsonl
SELECT *, 'a' || n AS entity, alone OR dice(n, 'free', 2) = 0 AS free, code AS address_code, name AS full_address,
    town_name AS town, village_name AS community, '4490' AS crs, since AS surveyed_on
FROM place WHERE kind = 'address';

-- @ civil_affairs.marriage_registration csv
WITH party AS (
    SELECT 2 * n AS m, husband AS n, wife AS other, married_on, divorced_on FROM couple
    UNION ALL SELECT 2 * n + 1, wife, husband, married_on, divorced_on FROM couple
)
SELECT p.* EXCLUDE (n), m AS n, 'p' || p.n AS entity, NOT p.pillar AS free,
    CASE WHEN divorced_on IS NULL THEN '1' ELSE '2' END AS business_type, coalesce(divorced_on, married_on) AS registered_on,
    CASE WHEN divorced_on IS NULL THEN 'J' ELSE 'L' END || '341500-' || strftime(coalesce(divorced_on, married_on), '%Y') || '-' || digits(m // 2, 8) AS certificate_number,
    o.id_type AS partner_id_type, o.id_number AS partner_id_number, o.name AS partner_name, p.county_name || '民政局婚姻登记处' AS office
FROM party JOIN person AS p ON p.n = party.n JOIN person AS o ON o.n = party.other
WHERE p.standing IN ('register', 'permit') AND o.standing IN ('register', 'permit') AND NOT p.alone AND NOT o.alone;

-- @ civil_affairs.death_registration csv
SELECT *, 'p' || n AS entity, true AS free, county_name || '殡仪馆' AS funeral_home
FROM departed WHERE standing = 'dead';

-- @ civil_affairs.minimum_living_allowance xlsx
SELECT *, 'p' || n AS entity, NOT pillar AS free, 'D' || digits(household, 9) AS household_number,
    CASE WHEN contains(town_name, '街道') THEN '1' ELSE '2' END AS category, (300 + 10 * dice(n, 'allowance', 50))::DECIMAL(18, 2) AS monthly_amount,
    count(*) OVER (PARTITION BY household) AS household_members, getvariable('start')::DATE - 30 - dice(n, 'approved', 300)::INTEGER AS approved_on,
    getvariable('start')::DATE + 200 + dice(n, 'allowance_ends', 150)::INTEGER AS valid_to, '62284800' || digits(n, 11) AS bank_account
FROM person WHERE standing = 'register' AND NOT alone AND NOT pillar AND age >= 2 AND chosen(n, 'poor', 0.02, 230) AND dice(n, 'amount', 80) < 56;

-- @ civil_affairs.elderly_allowance xlsx
SELECT *, 'p' || n AS entity, NOT pillar AS free, (50 + 50 * (age >= 85)::INTEGER)::DECIMAL(18, 2) AS monthly_amount,
    (birth_date + INTERVAL 80 YEAR + INTERVAL 20 DAY)::DATE AS started_on, getvariable('start')::DATE - 14 AS last_payment_on, '62284801' || digits(n, 11) AS bank_account
FROM person WHERE standing = 'register' AND NOT alone AND birth_date + INTERVAL 80 YEAR + INTERVAL 60 DAY < getvariable('start')::DATE;

-- @ civil_affairs.social_organisation_registration xlsx
SELECT *, 'o' || n AS entity, NOT pillar AS free, capital AS registered_capital, approved_on AS valid_from,
    getvariable('start')::DATE + 300 + dice(n, 'ends', 1000)::INTEGER AS valid_to, county_name || '民政局' AS supervisory_unit
FROM organisation WHERE kind IN ('association', 'non_enterprise', 'foundation');

-- @ civil_affairs.place_names xlsx
SELECT *, 'a' || n AS entity, true AS free, code AS place_code, 'Lu''an ' || n AS pinyin, pick(['12', '15', '21', '22'], n, 'type') AS place_type,
    '4490' AS crs, since AS named_on
FROM place WHERE kind = 'place';

-- @ human_resources.social_insurance_enrolment csv.gz
WITH covered AS (
    SELECT p.*, unnest(CASE WHEN age BETWEEN 20 AND 59 AND chosen(n, 'employed', 0.5, 500) THEN ['110', '210'] ELSE ['170'] END) AS insurance_type
    FROM person AS p WHERE standing IN ('register', 'permit') AND NOT alone AND age >= 16 AND dice(n, 'insured', 10) < 7
)
SELECT p.* EXCLUDE (n, name, phone), p.name, p.phone, p.n * 1000 + insurance_type::INTEGER AS n, 'p' || p.n AS entity, NOT p.pillar AS free,
    CASE WHEN age >= 60 THEN '3' ELSE '1' END AS status,
    CASE WHEN insurance_type <> '170' THEN o.uscc END AS employer_uscc, CASE WHEN insurance_type <> '170' THEN o.name END AS employer_name,
    getvariable('start')::DATE - 40 - dice(p.n, 'enrolled', 120)::INTEGER AS enrolled_on, getvariable('start')::DATE - 20 AS last_contribution_on,
    (3000 + 100 * dice(p.n, 'base', 120))::DECIMAL(18, 2) AS contribution_base
FROM covered AS p JOIN org_pillar AS o ON o.place = p.n * 104729 % getvariable('org_pillars');

-- @ human_resources.employment_registration csv
SELECT p.* EXCLUDE (name), p.name, 'p' || p.n AS entity, NOT p.pillar AS free, 'JY' || digits(p.n, 10) AS registration_number,
    o.uscc AS employer_uscc, o.name AS employer_name, getvariable('start')::DATE - 170 - dice(p.n, 'employed_on', 300)::INTEGER AS employed_on,
    pick(['10', '20', '30', '40', '60', '70', '80'], p.n, 'education') AS education, NULL::DATE AS ended_on
FROM person AS p JOIN org_pillar AS o ON o.place = p.n * 104729 % getvariable('org_pillars')
WHERE standing IN ('register', 'permit') AND NOT p.alone AND age BETWEEN 20 AND 59 AND chosen(p.n, 'employed', 0.5, 500);

-- @ human_resources.pension_payment xlsx
SELECT * EXCLUDE (id_number), CASE WHEN dice(n, 'legacy', 12) = 0 THEN coalesce(id_15, id_number) ELSE id_number END AS id_number,
    'p' || n AS entity, NOT pillar AS free, pick(['1', '2', '3'], n, 'pension') AS pension_type,
    (200 + 50 * dice(n, 'amount', 80))::DECIMAL(18, 2) AS monthly_amount, (birth_date + INTERVAL 60 YEAR + INTERVAL 1 MONTH)::DATE AS started_on,
    getvariable('start')::DATE - 17 AS last_payment_on, '62284802' || digits(n, 11) AS bank_account
FROM person WHERE standing = 'register' AND NOT alone AND birth_date + INTERVAL 60 YEAR + INTERVAL 90 DAY < getvariable('start')::DATE AND chosen(n, 'pension', 0.6, 700);

-- @ civil_affairs.grid_visit xlsx
WITH visit AS (
    SELECT n, name, sex, birth_date, phone, registered_address, true AS known FROM person
    WHERE standing = 'register' AND kind = 'citizen' AND chosen(n, 'grid', 0.01, 100)
    UNION ALL -- in no register: each is visited twice
    SELECT u // 2, pick(getvariable('surnames'), u // 2, 'unknown') || pick(getvariable('given'), u // 2, 'unknown2') || pick(getvariable('given'), u // 2, 'unknown3'),
        (1 + dice(u // 2, 'unknown_sex', 2))::VARCHAR, getvariable('start')::DATE - 8000 - dice(u // 2, 'unknown_birth', 20000)::INTEGER,
        '198' || digits((u // 2 * 7919 + dice(0, 'unknown_phone', 100000000)) % 100000000, 8), a.name, false
    FROM range(greatest(16, (getvariable('people') * 0.0002)::BIGINT)) AS r(u)
    JOIN shared_address AS a ON a.place = (u // 2 * 104729 + 7) % getvariable('addresses')
), noted AS (
    SELECT *, row_number() OVER (ORDER BY NOT known, n) AS v FROM visit
)
-- three in ten are noted with a slip, and none with two
SELECT v AS n, CASE WHEN known THEN 'p' ELSE 'u' END || n AS entity, known AS free, false AS alone, 'ZF' || digits(v, 10) AS visit_number, sex,
    CASE WHEN slip < 8 THEN left(name, length(name) - 1) || pick(getvariable('given'), v, 'slip_character')
        WHEN slip < 12 THEN left(name, 1) || reverse(substr(name, 2)) ELSE name END AS name,
    CASE WHEN slip BETWEEN 12 AND 19 AND day(birth_date) <= 12 THEN make_date(year(birth_date), day(birth_date), month(birth_date))
        WHEN slip BETWEEN 12 AND 19 THEN (birth_date + INTERVAL 10 YEAR)::DATE ELSE birth_date END AS birth_date,
    CASE WHEN slip < 20 OR dice(v, 'grid_phone', 10) < 7 THEN CASE WHEN slip BETWEEN 20 AND 24 THEN left(phone, 10) || (right(phone, 1)::INTEGER + 1) % 10 ELSE phone END END AS phone,
    CASE WHEN slip BETWEEN 25 AND 29 THEN replace(replace(registered_address, '安徽省', ''), '六安市', '') ELSE registered_address END AS address,
    getvariable('start')::DATE - 1 - dice(v, 'visited', 60)::INTEGER AS visited_on, '正常' AS remark
FROM (SELECT *, dice(v, 'slip', 100) AS slip FROM noted);

-- @ health.newborn_screening csv
SELECT p.n, 'p' || p.n AS entity, true AS free, 'SC' || digits(p.n, 10) AS card_number, CASE WHEN dice(p.n, 'screened_name', 2) = 0 THEN p.name END AS name,
    p.sex, p.birth_date, 1 AS birth_order, m.id_type AS mother_id_type, m.id_number AS mother_id_number,
    p.birth_date + 3 + dice(p.n, 'collected', 4)::INTEGER AS collected_on, '合格' AS remark
FROM child JOIN person AS p ON p.n = child.n JOIN person AS m ON m.n = child.mother JOIN person AS f ON f.n = child.father
WHERE NOT p.alone AND NOT m.alone AND NOT f.alone AND m.standing IN ('register', 'permit') AND f.standing IN ('register', 'permit')
    AND chosen(p.n, 'screened', 0.05, 600);

-- @ health.birth_certificate csv
SELECT p.*, 'p' || p.n AS entity, true AS free, 'R' || digits(p.n, 9) AS certificate_number, 2500 + dice(p.n, 'weight', 1800) AS weight_grams,
    m.name AS mother_name, m.id_type AS mother_id_type, m.id_number AS mother_id_number,
    f.name AS father_name, f.id_type AS father_id_type, f.id_number AS father_id_number,
    h.uscc AS hospital_uscc, p.birth_date + 3 + dice(p.n, 'issued', 20)::INTEGER AS issued_on,
    CASE WHEN life.entity IS NOT NULL THEN 2 END AS first_day
FROM child JOIN person AS p ON p.n = child.n JOIN person AS m ON m.n = child.mother JOIN person AS f ON f.n = child.father
JOIN hospital AS h ON h.pillar AND h.place = p.n * 7919 % getvariable('hospitals')
LEFT JOIN life_event AS life ON life.entity = 'p' || p.n
WHERE (NOT p.alone OR life.entity IS NOT NULL) AND NOT m.alone AND NOT f.alone AND m.standing IN ('register', 'permit') AND f.standing IN ('register', 'permit');

-- @ health.health_record parquet
SELECT * EXCLUDE (id_number), CASE WHEN dice(n, 'legacy', 25) = 0 THEN coalesce(id_15, id_number) ELSE id_number END AS id_number,
    'p' || n AS entity, NOT pillar AS free, '341500' || digits(n, 11) AS record_number, pick(['1', '2', '3', '4', '5'], n, 'blood') AS blood_type,
    greatest(birth_date + 30, getvariable('start')::DATE - 1500 - dice(n, 'record', 2000)::INTEGER) AS created_on,
    CASE WHEN death_date IS NULL THEN greatest(birth_date + 31, getvariable('start')::DATE - 40 - dice(n, 'visit', 200)::INTEGER) END AS last_visit_on
FROM person WHERE standing IN ('register', 'permit', 'dead') AND NOT alone AND dice(n, 'record', 10) < 8;

-- @ health.medical_institution_licence xlsx
SELECT * EXCLUDE (status), 'o' || n AS entity, NOT pillar AS free, 'PDY' || digits(n, 9) AS licence_number, pick(['1', '2', '9'], n, 'class') AS institution_class,
    '01' AS status, registered_address AS address, 10 + dice(n, 'beds', 90) AS beds, approved_on AS issued_on, approved_on AS valid_from,
    getvariable('start')::DATE + 300 + dice(n, 'ends', 1000)::INTEGER AS valid_to
FROM hospital WHERE NOT alone;

-- @ market_regulation.enterprise_registration csv
SELECT * EXCLUDE (n), n + 1000000000 * (first_day - 1) AS n, 'o' || n AS entity, NOT pillar AS free, registration_number(substr(uscc, 3, 6) || digits(n, 8)) AS registration_number, capital AS registered_capital,
    founded_on AS term_from, CASE WHEN dice(n, 'term', 2) = 0 THEN founded_on + 20000 END AS term_to,
    '一般项目：商品销售；技术服务；信息咨询' AS business_scope
FROM registered;

-- @ market_regulation.sole_trader_registration csv
SELECT *, 'o' || n AS entity, NOT pillar AS free, legal_representative_name AS operator_name, legal_representative_id_type AS operator_id_type,
    legal_representative_id_number AS operator_id_number, registered_address AS business_address
FROM organisation WHERE kind = 'sole_trader';

-- @ market_regulation.deregistration csv
SELECT *, 'o' || n AS entity, true AS free, CASE WHEN successor_uscc IS NOT NULL THEN '4' WHEN status = '3' THEN '1' ELSE '2' END AS decision, deregistered_on AS decided_on,
    '六市监' || CASE status WHEN '3' THEN '销' ELSE '吊' END || '字〔' || year(deregistered_on) || '〕' || n || '号' AS document_number
FROM ended;

-- @ market_regulation.food_licence json
SELECT * EXCLUDE (n), n * 10 + version AS n, 'c' || n AS entity, true AS free, 'JY' || pick(['1', '2', '3'], n, 'food') || digits(n, 13) AS licence_number, holder_number AS uscc,
    pick(['1', '2', '3'], n, 'food') AS business_kind, registered_address AS business_address
FROM certificate WHERE certificate_type = 'food_licence' AND current;

-- @ establishment.institution_registration xlsx
SELECT *, 'o' || n AS entity, NOT pillar AS free, CASE kind WHEN 'institution' THEN capital END AS initial_fund,
    CASE kind WHEN 'institution' THEN approved_on END AS valid_from,
    CASE kind WHEN 'institution' THEN getvariable('start')::DATE + 300 + dice(n, 'ends', 1000)::INTEGER END AS valid_to, county_name || '人民政府' AS supervisory_unit
FROM organisation WHERE kind IN ('institution', 'government');

-- @ agriculture.village_collective xlsx
SELECT *, 'o' || n AS entity, NOT pillar AND kind <> 'village' AS free, 100 + dice(n, 'households', 400) AS households, 500 + dice(n, 'people', 1500) AS members,
    (100 + dice(n, 'assets', 5000))::DECIMAL(18, 2) AS assets
FROM organisation WHERE kind IN ('village_group', 'village', 'township');

-- @ agriculture.farmer_cooperative xlsx
SELECT *, 'o' || n AS entity, NOT pillar AS free, 20 + dice(n, 'members', 200) AS members, 20 + dice(n, 'members', 200) * 9 // 10 AS farmer_members,
    CASE WHEN dice(n, 'level', 3) = 0 THEN pick(['1', '2', '3', '4'], n, 'level2') END AS demonstration_level
FROM organisation WHERE kind = 'cooperative' AND NOT alone;

-- @ agriculture.credit_village xlsx
WITH listed AS (SELECT village_code, count(*) AS rated, sum(line) AS line FROM rated_household GROUP BY village_code)
SELECT o.* EXCLUDE (alone), rated IS NULL AS alone, 'v' || n AS entity, NOT pillar AS free, uscc AS collective_uscc, pick(['AAA', 'AA', 'A', 'B'], n, 'grade') AS credit_grade,
    getvariable('start')::DATE - 100 - dice(n, 'rated', 100)::INTEGER AS rated_on,
    coalesce(rated, 0) + 200 + dice(n, 'households', 300) AS households, coalesce(rated, 0) + 20 AS rated_households,
    (coalesce(line, 0) + 500 + dice(n, 'line', 900))::DECIMAL(18, 2) AS credit_line, (100 + dice(n, 'balance', 400))::DECIMAL(18, 2) AS loan_balance
FROM organisation AS o LEFT JOIN listed ON listed.village_code = o.village_code WHERE kind = 'village';

-- @ agriculture.credit_household csv
SELECT *, 'p' || n AS entity, NOT pillar AS free, 'NH' || digits(n, 10) AS household_code, 1 + dice(n, 'members', 6) AS members,
    pick(['AAA', 'AA', 'A', 'B'], n, 'grade') AS credit_grade, line::DECIMAL(18, 2) AS credit_line, dice(n, 'balance', 5)::DECIMAL(18, 2) AS loan_balance, getvariable('start')::DATE - 100 - dice(n, 'rated', 100)::INTEGER AS rated_on
FROM (SELECT n, line FROM rated_household) JOIN person USING (n);

-- @ education.school xlsx
SELECT *, 'o' || n AS entity, NOT pillar AS free, registered_address AS address, 200 + dice(n, 'students', 900) AS students, 20 + dice(n, 'teachers', 80) AS teachers
FROM school WHERE NOT alone;

-- @ education.student_enrolment csv
SELECT p.*, 'p' || p.n AS entity, true AS free, 'G' || p.id_number AS student_number, s.school_code, p.age - 5 AS grade, '1' AS status,
    make_date((year(getvariable('start')::DATE) - p.age + 5), 9, 1) AS enrolled_on,
    g.name AS guardian_name, g.id_type AS guardian_id_type, g.id_number AS guardian_id_number
FROM person AS p JOIN school AS s ON s.pillar AND s.place = p.n * 7919 % getvariable('schools')
LEFT JOIN child ON child.n = p.n LEFT JOIN person AS g ON g.n = child.mother AND g.standing IN ('register', 'permit')
WHERE p.standing = 'register' AND NOT p.alone AND p.age BETWEEN 6 AND 14;

-- @ finance.inclusive_loan csv
SELECT r.n, 'l' || r.n AS entity, true AS free, 'HT' || digits(r.n, 12) AS contract_number, o.uscc, o.name AS borrower_name,
    pick(['六安皋城村镇银行', '大别山农商银行', '淠河惠民银行'], r.n, 'lender') AS lender_name, pick(['1', '2', '3', '4'], r.n, 'type') AS loan_type,
    (10 + dice(r.n, 'amount', 490))::DECIMAL(18, 2) AS amount, (dice(r.n, 'amount', 490) // 2)::DECIMAL(18, 2) AS balance,
    (3.2 + dice(r.n, 'rate', 20) / 10.0)::DECIMAL(18, 4) AS annual_rate, getvariable('start')::DATE - 30 - dice(r.n, 'granted', 300)::INTEGER AS granted_on,
    getvariable('start')::DATE + 100 + dice(r.n, 'due', 700)::INTEGER AS due_on, pick(['true', 'false'], r.n, 'guaranteed') AS guaranteed, '1' AS status
FROM range(greatest(600, (getvariable('people') * 0.02)::BIGINT)) AS r(n)
JOIN org_pillar AS o ON o.place = r.n * 104729 % getvariable('org_pillars');

-- @ government_services.certificate_index csv
SELECT * EXCLUDE (n, alone), n * 10 + version + 5 * (first_day - 1) AS n, 'c' || n AS entity, true AS free, NOT licence AS alone, certificate_type || '-' || digits(n, 10) AS certificate_number
FROM (SELECT *, certificate_type IN ('food_licence', 'road_transport_licence', 'construction_licence') AS licence FROM indexed)
WHERE NOT (licence AND alone);

-- @ government_services.service_case jsonl
WITH one AS (
    SELECT n, dice(n, 'applicant', 3) > 0 AS by_person, getvariable('start')::TIMESTAMP - to_days(20 + dice(n, 'accepted', 200)::INTEGER) + to_minutes(540 + dice(n, 'minute', 420)) AS accepted_at
    FROM range(greatest(900, (getvariable('people') * 0.15)::BIGINT)) AS r(n)
)
SELECT one.n, 's' || one.n AS entity, true AS free, 'BJ' || digits(one.n, 12) AS case_number, '3415' || digits(100 + dice(one.n, 'item', 60), 6) AS item_code,
    pick(['户口登记', '社会保障卡申领', '营业执照办理', '不动产转移登记', '食品经营许可', '高龄津贴申请'], one.n, 'item') AS item_name,
    CASE WHEN by_person THEN '1' ELSE '2' END AS applicant_type, CASE WHEN by_person THEN p.name ELSE o.name END AS applicant_name,
    CASE WHEN by_person THEN p.id_type END AS applicant_id_type, CASE WHEN by_person THEN p.id_number ELSE o.uscc END AS applicant_number,
    (SELECT issuer_uscc FROM certificate_type WHERE t = 1) AS department_uscc, pick(['1', '2', '3', '4'], one.n, 'channel') AS channel,
    accepted_at, accepted_at + to_hours(dice(one.n, 'hours', 60)) AS finished_at, 5 AS promised_days, '3' AS status, 4 + dice(one.n, 'stars', 2) AS satisfaction
FROM one JOIN pillar AS p ON p.place = one.n * 104729 % getvariable('pillars') JOIN org_pillar AS o ON o.place = one.n * 104729 % getvariable('org_pillars');

-- @ housing.buildings csv
SELECT s.*, 'a' || s.n AS entity, dice(s.n, 'free', 2) = 1 AS free, 'FW' || digits(s.n, 12) AS building_code, code AS address_code, name AS address, '4490' AS crs,
    pick(['1', '2', '3', '4'], s.n, 'structure') AS structure, pick(['05', '07', '08'], s.n, 'use') AS land_use, 1 + dice(s.n, 'floors', 30) AS floors_above,
    dice(s.n, 'below', 3) AS floors_below, (80 + dice(s.n, 'area', 9000))::DECIMAL(18, 2) AS area, since AS completed_on
FROM shared_address AS s WHERE place < greatest(800, (getvariable('people') * 0.03)::BIGINT);

-- @ housing.construction_licence csv
SELECT t.* EXCLUDE (n, division), t.n * 10 + version AS n, 'c' || t.n AS entity, true AS free, '3415' || digits(t.n, 12) AS licence_number,
    t.county || pick(getvariable('brands'), t.n, 'project') || pick(getvariable('given'), t.n, 'project2') || '小区建设工程' AS project_name,
    t.holder_number AS builder_uscc, t.holder_name AS builder_name, o.uscc AS contractor_uscc, o.name AS contractor_name, parcel.code AS parcel_code,
    left(parcel.code, 6) AS division, (1000 + dice(t.n, 'area', 90000))::DECIMAL(18, 2) AS area,
    ((1000 + dice(t.n, 'area', 90000)) * (0.2 + share(t.n, 'price') / 2))::DECIMAL(18, 2) AS contract_price
FROM (SELECT certificate.*, '六安市' AS county, 1 + dice(n, 'county', 7) AS at FROM certificate WHERE certificate_type = 'construction_licence' AND current) AS t
JOIN parcel_count AS k ON k.c = t.at JOIN county_parcel AS parcel ON parcel.c = t.at AND parcel.place = t.n * 7919 % parcels
JOIN org_pillar AS o ON o.place = (t.n * 104729 + 31) % getvariable('org_pillars');

-- @ natural_resources.division_boundaries csv
WITH area AS (
    SELECT c AS n, code AS division, name, west, east, south, north, false AS free FROM county
    UNION ALL -- neighbours nobody's coordinates lie in: what goes wrong with them harms nobody
    SELECT 100 + place, code, zh, 117.30 + place % 10 * 0.3, 117.50 + place % 10 * 0.3, 29.50 + place // 10 * 0.3, 29.70 + place // 10 * 0.3, true
    FROM (SELECT *, row_number() OVER (ORDER BY code) AS place FROM codes.gbt_2260
        WHERE code LIKE '34%' AND code NOT LIKE '%00' AND coalesce(valid_to, '') = '' AND code NOT IN (SELECT code FROM county))
)
SELECT *, 'd' || n AS entity, west::DECIMAL(9, 6) AS min_longitude, east::DECIMAL(9, 6) AS max_longitude,
    south::DECIMAL(9, 6) AS min_latitude, north::DECIMAL(9, 6) AS max_latitude, octagon(west, east, south, north) AS outline, '4490' AS crs, DATE '2016-01-01' AS effective_on
FROM area;

-- @ natural_resources.land_parcels csv
SELECT *, 'a' || n AS entity, dice(n, 'free', 2) = 0 AS free, code AS parcel_code, name AS location, pick(['01', '05', '06', '07', '08'], n, 'use') AS land_use,
    (500 + dice(n, 'area', 30000))::DECIMAL(18, 2) AS area, '4490' AS crs, since AS surveyed_on,
    'POLYGON ((' || (longitude - 0.0005) || ' ' || (latitude - 0.0005) || ', ' || (longitude + 0.0005) || ' ' || (latitude - 0.0005) || ', '
        || (longitude + 0.0005) || ' ' || (latitude + 0.0005) || ', ' || (longitude - 0.0005) || ' ' || (latitude + 0.0005) || ', '
        || (longitude - 0.0005) || ' ' || (latitude - 0.0005) || '))' AS outline
FROM place WHERE kind = 'parcel';

-- @ natural_resources.real_estate_registration csv.gz
SELECT t.n, 't' || t.n AS entity, true AS free, '皖（2026）六安市不动产权第' || digits(t.n, 7) || '号' AS title_number, parcel.code || 'F' || digits(t.n % 100000000, 8) AS unit_number,
    parcel.code AS parcel_code, t.code AS address_code, t.name AS location, t.division,
    CASE WHEN dice(t.n, 'holder', 5) > 0 THEN '1' ELSE '2' END AS holder_type,
    CASE WHEN dice(t.n, 'holder', 5) > 0 THEN p.name ELSE o.name END AS holder_name, CASE WHEN dice(t.n, 'holder', 5) > 0 THEN p.id_type END AS holder_id_type,
    CASE WHEN dice(t.n, 'holder', 5) > 0 THEN p.id_number ELSE o.uscc END AS holder_number, pick(['05', '07'], t.n, 'use') AS land_use,
    (60 + dice(t.n, 'area', 150))::DECIMAL(18, 2) AS area, greatest(t.since, getvariable('start')::DATE - 4000) AS registered_on
FROM shared_address AS t JOIN parcel_count AS k ON k.c = t.c JOIN county_parcel AS parcel ON parcel.c = t.c AND parcel.place = t.n * 7919 % parcels
JOIN pillar AS p ON p.place = getvariable('pillars') + t.n * 104729 % getvariable('pillars') JOIN org_pillar AS o ON o.place = t.n * 104729 % getvariable('org_pillars')
WHERE dice(t.n, 'title', 10) < 8;

-- @ tax.taxpayer_registration csv
SELECT *, 'o' || n AS entity, NOT pillar AS free, pick(['1', '2'], n, 'taxpayer') AS taxpayer_kind, capital AS registered_capital,
    CASE status WHEN '1' THEN '03' WHEN '3' THEN '07' ELSE '05' END AS taxpayer_status, founded_on + 15 AS registered_on,
    CASE status WHEN '3' THEN deregistered_on - 5 END AS closed_on
FROM organisation WHERE kind IN ('enterprise', 'sole_trader') AND NOT alone AND NOT untaxed;

-- @ tax.tax_arrears csv
SELECT r.n, 'x' || r.n AS entity, true AS free, 'QS' || digits(r.n, 10) AS arrears_number, o.uscc, o.name, pick(['01', '04', '10', '12'], r.n, 'tax') AS tax_type,
    DATE '2026-01-01' AS period_from, DATE '2026-06-30' AS period_to, (1000 + dice(r.n, 'amount', 90000))::DECIMAL(18, 2) AS amount, DATE '2026-09-15' AS announced_on
FROM range(greatest(300, (getvariable('people') * 0.001)::BIGINT)) AS r(n)
JOIN org_pillar AS o ON o.place = (r.n * 104729 + 5) % getvariable('org_pillars');

-- @ medical_insurance.medical_insurance_enrolment parquet
SELECT p.* EXCLUDE (name, phone, division), p.name, p.phone, p.division, 'p' || p.n AS entity, NOT p.pillar AS free,
    CASE WHEN age BETWEEN 20 AND 59 AND chosen(p.n, 'employed', 0.5, 500) THEN '310' ELSE '390' END AS insurance_kind, '1' AS status,
    CASE WHEN age BETWEEN 20 AND 59 AND chosen(p.n, 'employed', 0.5, 500) THEN o.uscc END AS employer_uscc,
    greatest(p.birth_date + 5, getvariable('start')::DATE - 400 - dice(p.n, 'medical', 1000)::INTEGER) AS enrolled_on,
    make_date(year(getvariable('start')::DATE), 12, 31) AS paid_until
FROM person AS p JOIN org_pillar AS o ON o.place = p.n * 104729 % getvariable('org_pillars')
WHERE standing IN ('register', 'permit') AND NOT p.alone AND dice(p.n, 'medical', 10) < 9;

-- @ disabled_persons.disability_certificate xlsx
SELECT *, 'p' || n AS entity, NOT pillar AS free, type AS disability_type, grade AS disability_grade, id_number || type || grade AS certificate_number,
    '01' AS status, greatest(birth_date + 400, getvariable('start')::DATE - 900 - dice(n, 'issued', 2000)::INTEGER) AS issued_on,
    getvariable('start')::DATE + 300 + dice(n, 'disability_ends', 2000)::INTEGER AS valid_to,
    pick(getvariable('surnames'), n, 'guardian') || pick(getvariable('given'), n, 'guardian2') AS guardian_name
FROM (
    SELECT *, pick(['1', '2', '4', '5', '6'], n, 'disability') AS type, pick(['1', '2', '3', '4'], n, 'disability_grade') AS grade
    FROM person WHERE standing = 'register' AND NOT alone AND age >= 4 AND chosen(n, 'disabled', 0.03, 200)
);

-- @ transport.driver_qualification csv
SELECT *, 'p' || n AS entity, NOT pillar AS free, 'CY' || digits(n, 12) AS qualification_number, pick(['1', '2', '4', '5'], n, 'transport') AS transport_kind,
    '01' AS status, getvariable('start')::DATE - 100 - dice(n, 'issued', 900)::INTEGER AS issued_on, getvariable('start')::DATE - 100 - dice(n, 'issued', 900)::INTEGER AS valid_from,
    getvariable('start')::DATE + 300 + dice(n, 'driver_ends', 1000)::INTEGER AS valid_to
FROM person WHERE standing IN ('register', 'permit') AND NOT alone AND age BETWEEN 25 AND 58 AND chosen(n, 'driver', 0.03, 400);

-- @ transport.road_transport_licence csv
SELECT * EXCLUDE (n), n * 10 + version AS n, 'c' || n AS entity, true AS free, '3415' || digits(n, 12) AS licence_number, holder_number AS uscc,
    pick(['1', '2', '3', '4', '5'], n, 'transport') AS transport_kind, 1 + dice(n, 'vehicles', 40) AS vehicles
FROM certificate WHERE certificate_type = 'road_transport_licence' AND current;

-- @ water_supply.water_account csv
SELECT t.n, 'w' || t.n AS entity, true AS free, 'S' || digits(t.n, 11) AS account_number, '1' AS holder_type, p.name AS holder_name, p.id_type AS holder_id_type,
    p.id_number AS holder_number, t.code AS address_code, t.name AS address, t.division, greatest(t.since, getvariable('start')::DATE - 3000) AS opened_on,
    getvariable('start')::DATE - 25 AS last_reading_on, CASE WHEN dice(t.n, 'arrears', 20) = 0 THEN (10 + dice(t.n, 'arrears2', 200))::DECIMAL(18, 2) ELSE 0::DECIMAL(18, 2) END AS arrears
FROM shared_address AS t JOIN pillar AS p ON p.place = t.n * 104729 % getvariable('pillars')
WHERE dice(t.n, 'water', 10) < 7;

-- @ development_and_reform.credit_subject csv
SELECT *, place AS n, 'k' || place AS entity, true AS free, pick(['A', 'B', 'B', 'M', 'C', 'D'], place, 'tax_credit') AS tax_credit_grade,
    CASE WHEN place % 3 = 2 THEN pick(['1', '2'], place, 'credit') ELSE pick(['2', '3', '4'], place, 'credit') END AS credit_grade,
    getvariable('start')::DATE - 20 - dice(place, 'evaluated', 20)::INTEGER AS evaluated_on
FROM org_pillar;

-- @ development_and_reform.administrative_permit csv
SELECT r.n, 'pm' || r.n AS entity, true AS free, '六发改许〔2026〕' || r.n || '号' AS permit_number, o.uscc, o.name,
    pick(['1', '3', '4', '5'], r.n, 'permit_kind') AS permit_kind, '企业投资项目核准' AS content, decided_on, decided_on AS valid_from,
    decided_on + 1000 AS valid_to, decided_on + 1 + dice(r.n, 'published', 7)::INTEGER AS published_on
FROM (SELECT n, getvariable('start')::DATE - 30 - dice(n, 'permitted', 300)::INTEGER AS decided_on
    FROM range(greatest(300, (getvariable('people') * 0.001)::BIGINT)) AS s(n)) AS r
JOIN org_pillar AS o ON o.place = (r.n * 104729 + 7) % getvariable('org_pillars');

-- @ market_regulation.administrative_penalty csv
SELECT r.n, 'pn' || r.n AS entity, true AS free, '六市监罚〔2026〕' || r.n || '号' AS decision_number, o.uscc, o.name,
    pick(['1', '2', '2', '4'], r.n, 'penalty') AS penalty_kind, '未按规定公示年度报告' AS facts,
    CASE WHEN pick(['1', '2', '2', '4'], r.n, 'penalty') = '2' THEN (500 + dice(r.n, 'fine', 50000))::DECIMAL(18, 2) END AS amount,
    decided_on, decided_on + 1 + dice(r.n, 'published', 15)::INTEGER AS published_on, decided_on + 400 AS public_until
FROM (SELECT n, getvariable('start')::DATE - 30 - dice(n, 'punished', 300)::INTEGER AS decided_on
    FROM range(greatest(300, (getvariable('people') * 0.001)::BIGINT)) AS s(n)) AS r
JOIN org_pillar AS o ON o.place = (r.n * 104729 + 11) % getvariable('org_pillars');

-- @ market_regulation.serious_violation xlsx
SELECT *, place AS n, 'k' || place AS entity, true AS free, '六市监列严〔2025〕' || place || '号' AS decision_number, '提交虚假材料取得登记' AS reason,
    CASE WHEN dice(place, 'repaired', 2) = 0 THEN listed_on + 30 + dice(place, 'removed', 60)::INTEGER END AS removed_on
FROM (SELECT *, getvariable('start')::DATE - 100 - dice(place, 'listed', 700)::INTEGER AS listed_on FROM org_pillar WHERE place % 3 = 1);

-- @ court.dishonest_debtor xlsx
SELECT *, place AS n, 'k' || place AS entity, true AS free, '（2026）皖15执' || (100 + place) || '号' AS case_number,
    CASE WHEN performed THEN '3' ELSE pick(['1', '2'], place, 'performance') END AS performance,
    CASE WHEN performed THEN published_on + 10 + dice(place, 'removed', 20)::INTEGER END AS removed_on
FROM (SELECT *, dice(place, 'performed', 2) = 0 AS performed, getvariable('start')::DATE - 60 - dice(place, 'debtor', 600)::INTEGER AS published_on
    FROM org_pillar WHERE place % 3 = 0);

-- @ tax.tax_credit xlsx
SELECT *, place AS n, 'k' || place AS entity, true AS free, year(getvariable('start')::DATE) - 1 AS year,
    CASE tax_credit_grade WHEN 'A' THEN 90 + dice(place, 'score', 10) WHEN 'B' THEN 70 + dice(place, 'score', 20)
        WHEN 'C' THEN 40 + dice(place, 'score', 30) WHEN 'D' THEN dice(place, 'score', 40) END::DECIMAL(18, 1) AS score
FROM (SELECT *, pick(['A', 'B', 'B', 'M', 'C', 'D'], place, 'tax_credit') AS tax_credit_grade FROM org_pillar);

-- @ statistics.economic_indicator xlsx
SELECT *, NOT reserved OR division = '341500' AS free, NOT counted AS alone, '亿元' AS unit, CASE WHEN k = 2 THEN '1' ELSE '2' END AS status FROM figure WHERE NOT (counted AND early);

-- @ tax.tax_revenue xlsx
SELECT *, NOT reserved OR division = '341500' AS free, early AS alone, period AS month, (value * 10000)::DECIMAL(18, 2) AS amount FROM figure WHERE indicator = '0301';

-- @ finance.credit_balance xlsx
SELECT *, true AS free, early AS alone, CASE indicator WHEN '0401' THEN '1' ELSE '2' END AS kind, period AS month, value AS balance
FROM figure WHERE indicator IN ('0401', '0402');
