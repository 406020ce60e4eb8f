-- What happens between the first and the second day: births, deaths, moves, companies that end or merge, certificates
-- reissued or revoked. One row per event; whom it happens to stands in one register only and takes no defect.

CREATE TABLE life_event AS
WITH chosen_person AS (
    SELECT n, id_number, row_number() OVER (ORDER BY hash(n, 'life', getvariable('seed')), n) AS place
    FROM person WHERE alone AND standing = 'register' AND couple IS NULL AND kind = 'citizen'
), newborn AS (
    SELECT p.n, p.id_number, row_number() OVER (ORDER BY p.birth_date DESC, p.n) AS place
    FROM child JOIN person AS p ON p.n = child.n JOIN person AS m ON m.n = child.mother JOIN person AS f ON f.n = child.father
    WHERE NOT p.alone AND NOT m.alone AND NOT f.alone AND m.standing IN ('register', 'permit') AND f.standing IN ('register', 'permit')
), company AS (
    SELECT n, uscc, row_number() OVER (ORDER BY hash(n, 'life', getvariable('seed')), n) AS place
    FROM organisation WHERE kind = 'enterprise' AND alone AND status = '1'
), paper AS (
    SELECT n, certificate_id, mod37_after(18, split_part(certificate_id, '.', 6) || split_part(certificate_id, '.', 7)
            || split_part(certificate_id, '.', 8) || '002') AS next_state,
        row_number() OVER (ORDER BY hash(n, 'life', getvariable('seed')), n) AS place
    FROM certificate WHERE certificate_type IN ('residence_certificate', 'disability_certificate')
        AND version = 1 AND current AND status = '01'
)
SELECT *, getvariable('start')::DATE AS happened_on FROM (
    SELECT 'p' || n AS entity, CASE WHEN place <= 3 THEN 'death' ELSE 'move' END AS event, 'population' AS library,
        id_number AS key, NULL::VARCHAR AS followed_by FROM chosen_person WHERE place <= 6
    UNION ALL SELECT 'p' || n, 'birth', 'population', id_number, NULL FROM newborn WHERE place <= 3
    UNION ALL SELECT 'o' || n, 'deregistration', 'legal_entity', uscc, NULL FROM company WHERE place <= 3
    UNION ALL SELECT 'o' || one.n, 'merger', 'legal_entity', one.uscc, other.uscc
        FROM company AS one JOIN company AS other ON other.place = one.place + 3 WHERE one.place BETWEEN 4 AND 6
    UNION ALL SELECT 'o' || n, 'successor', 'legal_entity', uscc, NULL FROM company WHERE place BETWEEN 7 AND 9
    UNION ALL SELECT 'c' || n, 'revocation', 'certificate', certificate_id, NULL FROM paper WHERE place <= 3
    UNION ALL SELECT 'c' || n, 'reissue', 'certificate', certificate_id,
        regexp_replace(certificate_id, '[0-9]{3}[.].$', '002.') || mod37_check(next_state) FROM paper WHERE place BETWEEN 4 AND 6
) ORDER BY entity;

-- Newborn children are known to the hospital and the register alone.
UPDATE person SET alone = true WHERE 'p' || n IN (SELECT entity FROM life_event WHERE event = 'birth');

-- People on the household register, and those struck off it; first and last day on which the record is told.
CREATE TABLE resident AS
SELECT p.*, CASE WHEN event = 'birth' THEN 2 END AS first_day, CASE WHEN event IN ('death', 'move') THEN 1 END AS last_day
FROM person AS p LEFT JOIN life_event ON entity = 'p' || n WHERE standing = 'register';
CREATE TABLE departed AS
SELECT *, coalesce(death_date + 5, greatest(birth_date + 25, getvariable('start')::DATE - 10 - dice(n, 'left', 300)::INTEGER)) AS cancelled_on, death_date + 2 AS cremated_on,
    1 AS first_day FROM person WHERE standing IN ('dead', 'moved')
UNION ALL BY NAME
SELECT p.* REPLACE (CASE event WHEN 'death' THEN 'dead' ELSE 'moved' END AS standing, CASE event WHEN 'death' THEN happened_on END AS death_date),
    happened_on AS cancelled_on, CASE event WHEN 'death' THEN happened_on + 1 END AS cremated_on, 2 AS first_day
FROM person AS p JOIN life_event ON entity = 'p' || n WHERE event IN ('death', 'move');

-- Enterprises on the register, one row more for those that end; and every end with who succeeds.
CREATE TABLE registered AS
SELECT o.*, 1 AS first_day, CASE WHEN event IN ('deregistration', 'merger') THEN 1 END AS last_day
FROM organisation AS o LEFT JOIN life_event ON entity = 'o' || n WHERE kind IN ('enterprise', 'cooperative')
UNION ALL BY NAME
SELECT o.* REPLACE ('3' AS status, happened_on AS deregistered_on), 2 AS first_day
FROM organisation AS o JOIN life_event ON entity = 'o' || n WHERE event IN ('deregistration', 'merger');
CREATE TABLE ended AS
SELECT o.* EXCLUDE (alone, untaxed), o.untaxed AS alone, 1 AS first_day,
    CASE WHEN o.status = '3' AND dice(o.n, 'merged', 4) = 0 THEN into_one.uscc END AS successor_uscc
FROM organisation AS o JOIN org_pillar AS into_one ON into_one.place = (o.n * 104729 + 3) % getvariable('org_pillars')
WHERE o.deregistered_on IS NOT NULL AND NOT o.alone
UNION ALL BY NAME
SELECT o.* EXCLUDE (untaxed) REPLACE ('3' AS status, happened_on AS deregistered_on), 2 AS first_day, followed_by AS successor_uscc
FROM organisation AS o JOIN life_event ON entity = 'o' || n WHERE event IN ('deregistration', 'merger');

-- Certificates of the index: a revoked one has a second record, a reissued one too, and its new version.
CREATE TABLE indexed AS
SELECT c.*, 1 AS first_day, CASE WHEN event IS NOT NULL THEN 1 END AS last_day, NULL::DATE AS revoked_on
FROM certificate AS c LEFT JOIN life_event ON key = certificate_id
UNION ALL BY NAME
SELECT c.* REPLACE (CASE event WHEN 'revocation' THEN '03' ELSE '05' END AS status,
        CASE event WHEN 'revocation' THEN valid_to ELSE happened_on END AS valid_to),
    2 AS first_day, CASE event WHEN 'revocation' THEN happened_on END AS revoked_on
FROM certificate AS c JOIN life_event ON key = certificate_id
UNION ALL BY NAME
SELECT c.* REPLACE (followed_by AS certificate_id, certificate_id AS previous_certificate_id, 2 AS version, happened_on AS issued_on,
    happened_on AS valid_from, happened_on + 3650 AS valid_to), 2 AS first_day
FROM certificate AS c JOIN life_event ON key = certificate_id WHERE event = 'reissue';
