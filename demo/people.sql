-- People of the fictional city: persons, couples, children. One row per person, spouse pair and child.
-- 525,600 cells = 16 county slots x 32,850 birthdays; ordinal i falls into one cell, and the round (i // cells) and
-- the slot make its sequence number, so that no two persons share an identity number up to 16 million people.

CREATE TABLE person_body AS
WITH cell AS (
    SELECT n, (n * 400009 + dice(0, 'people', 525600)) % 525600 AS cell, n // 525600 AS round
    FROM range(getvariable('people')::BIGINT) AS r(n)
), placed AS (
    SELECT n, county.c, county.code AS county_code, county.old_code,
        2 * (round * 16 + cell % 16) + dice(n, 'sex', 2) AS sequence,
        getvariable('start')::DATE - 40 - (cell // 16)::INTEGER AS birth_date,
        dice(n, 'origin', 100) < 9 AS migrant,
        CASE WHEN dice(n, 'kind', 1000) < 8 THEN 'hong_kong' WHEN dice(n, 'kind', 1000) < 12 THEN 'macao'
            WHEN dice(n, 'kind', 1000) < 18 THEN 'taiwan' WHEN dice(n, 'kind', 1000) < 26 THEN 'foreigner'
            ELSE 'citizen' END AS kind
    FROM cell JOIN county ON cell % 16 BETWEEN first_slot AND first_slot + slots - 1
)
SELECT n, c, kind, migrant, birth_date, sequence,
    CASE sequence % 2 WHEN 1 THEN '1' ELSE '2' END AS sex,
    (year(getvariable('start')::DATE) - year(birth_date)
        - (strftime(birth_date, '%m%d') > strftime(getvariable('start')::DATE, '%m%d'))::INTEGER)::INTEGER AS age,
    CASE kind
        WHEN 'hong_kong' THEN '810000' WHEN 'macao' THEN '820000' WHEN 'taiwan' THEN '830000'
        WHEN 'foreigner' THEN '934' || pick(['840', '826', '250', '276', '643', '392', '410'], n, 'country')
        WHEN 'citizen' THEN CASE WHEN migrant THEN pick(['340103', '320102', '330106', '110105'], n, 'origin2')
            WHEN birth_date < DATE '1999-10-01' THEN old_code
            WHEN county_code = '341504' AND birth_date < DATE '2016-01-01' THEN '341522' ELSE county_code END
    END AS region,
    CASE kind WHEN 'foreigner' THEN pick(getvariable('foreign_names'), n, 'name')
        ELSE pick(getvariable('surnames'), n, 'surname') || pick(getvariable('given'), n, 'given')
            || CASE WHEN dice(n, 'two', 4) > 0 THEN pick(getvariable('given'), n, 'given2') ELSE '' END
            || CASE WHEN dice(n, 'rare', 2000) = 0 THEN '𠮷' ELSE '' END END AS name
FROM placed;

CREATE TABLE person_core AS
SELECT *, region || strftime(birth_date, '%Y%m%d') || digits(sequence, 3) AS body,
    CASE WHEN kind = 'citizen' AND birth_date < DATE '2000-01-01'
        THEN region || strftime(birth_date, '%y%m%d') || digits(sequence, 3) END AS id_15,
    -- the dead: enough of them for every rule about them in a small city, and 2 in 100 of the old in a large one
    CASE WHEN age > 55 AND kind = 'citizen' AND share(n, 'death') < greatest(0.02, least(0.35, 300.0 / getvariable('people')))
        THEN getvariable('start')::DATE - 20 - dice(n, 'death_date', 900)::INTEGER END AS death_date
FROM person_body;
DROP TABLE person_body;

-- Spouses: men and women of one county, paired by rank of birth date.
CREATE TABLE couple AS
WITH single AS (
    SELECT n, c, sex, birth_date, death_date, row_number() OVER (PARTITION BY c, sex ORDER BY birth_date, n) AS place
    FROM person_core WHERE age BETWEEN 24 AND 88 AND dice(n, 'marries', 10) < 7
), pair AS (
    SELECT h.n AS husband, w.n AS wife, h.death_date AS husband_death, w.death_date AS wife_death,
        (greatest(h.birth_date, w.birth_date) + INTERVAL 22 YEAR + INTERVAL 30 DAY)::DATE AS first_day,
        CASE WHEN h.death_date IS NULL AND w.death_date IS NULL THEN getvariable('start')::DATE - 200
            ELSE getvariable('start')::DATE - 1100 END AS last_day
    FROM single AS h JOIN single AS w ON h.c = w.c AND h.place = w.place AND h.sex = '1' AND w.sex = '2'
)
SELECT row_number() OVER (ORDER BY husband) - 1 AS n, husband, wife,
    day_between(husband, 'wedding', first_day, least(last_day, first_day + 4000)) AS married_on,
    CASE WHEN husband_death IS NULL AND wife_death IS NULL AND dice(husband, 'divorce', 100) < 12
        THEN getvariable('start')::DATE - 10 - dice(husband, 'divorced_on', 180)::INTEGER END AS divorced_on,
    husband_death IS NOT NULL AS husband_dead, wife_death IS NOT NULL AS wife_dead
FROM pair WHERE first_day < last_day ORDER BY husband;

CREATE TABLE person AS
WITH spouse AS (
    SELECT husband AS n, wife AS spouse, n AS couple, divorced_on, wife_dead AS widowed FROM couple
    UNION ALL SELECT wife, husband, n, divorced_on, husband_dead FROM couple
), whole AS (
    SELECT p.* EXCLUDE (body, c), body || person_check(body::BIGINT) AS id_number, c AS birth_county, spouse, couple,
        CASE WHEN couple IS NULL THEN '10' WHEN divorced_on IS NOT NULL THEN '40' WHEN widowed THEN '30' ELSE '20' END AS marital_status,
        least(p.n, coalesce(spouse, p.n)) AS household,
        -- pillars are named by other registers (legal representatives, holders): they take no defects
        death_date IS NULL AND age BETWEEN 22 AND 75 AND kind = 'citizen' AND dice(p.n, 'pillar', 5) = 0 AS pillar,
        death_date IS NULL AND kind = 'citizen' AND share(p.n, 'moved') < greatest(0.01, least(0.06, 60.0 / getvariable('people'))) AS moved
    FROM person_core AS p LEFT JOIN spouse ON spouse.n = p.n
)
SELECT w.* EXCLUDE (moved, pillar), pillar AND NOT moved AS pillar,
    CASE w.kind WHEN 'citizen' THEN '111' WHEN 'foreigner' THEN '553' ELSE '154' END AS id_type,
    CASE WHEN death_date IS NOT NULL THEN 'dead' WHEN moved THEN 'moved' WHEN w.kind <> 'citizen' OR migrant THEN 'permit' ELSE 'register' END AS standing,
    -- known to one register only: what goes wrong there cannot make another register look wrong
    NOT pillar AND death_date IS NULL AND dice(w.n, 'alone', 100) < CASE WHEN w.kind <> 'citizen' OR migrant THEN 40 ELSE 15 END AS alone,
    CASE WHEN w.kind <> 'citizen' THEN NULL WHEN dice(w.n, 'ethnic', 100) < 94 THEN '01' ELSE pick(['03', '15', '11', '04', '13'], w.n, 'ethnic2') END AS ethnic_group,
    '199' || digits((w.n * 7919 + dice(0, 'phone', 100000000)) % 100000000, 8) AS phone,
    a.c, a.code AS address_code, a.name AS registered_address, a.division, a.village_code, a.village_name, a.county_name, a.town_name
FROM whole AS w JOIN shared_address AS a ON a.place = (household * 7919 + 13) % getvariable('addresses')
ORDER BY w.n;
DROP TABLE person_core;

CREATE TABLE pillar AS
SELECT row_number() OVER (ORDER BY n) - 1 AS place, * EXCLUDE (n, pillar), n AS person FROM person WHERE pillar ORDER BY n;
-- The first half represents organisations, the second half owns property: nobody does both by accident.
SET VARIABLE pillars = (SELECT count(*) // 2 FROM pillar);
CREATE TABLE married_pillar AS
SELECT row_number() OVER (ORDER BY place) - 1 AS place, * EXCLUDE (place) FROM pillar WHERE marital_status = '20' ORDER BY place;
SET VARIABLE married_pillars = (SELECT count(*) FROM married_pillar);

-- Farm households with a credit rating; their villages are rated too.
CREATE TABLE rated_household AS
SELECT n, village_code, 5 + dice(n, 'line', 20) AS line FROM person
WHERE standing = 'register' AND NOT alone AND n = household AND age BETWEEN 25 AND 75 AND chosen(n, 'credit', 0.1, 600)
    AND right(village_code, 1) <> '3' ORDER BY n;

-- Children under 18 and the couple of their mother's county of birth whose wife was about 26 at the birth.
CREATE TABLE child AS
WITH mother AS (
    SELECT w.birth_county, w.birth_date, husband, wife FROM couple JOIN person AS w ON w.n = couple.wife
), young AS (
    SELECT n, birth_county, birth_date, (birth_date - INTERVAL 22 YEAR - to_days(dice(n, 'mother', 3000)::INTEGER))::DATE AS around
    FROM person WHERE age < 18 AND standing = 'register'
)
SELECT young.n, mother.husband AS father, mother.wife AS mother
FROM young ASOF JOIN mother ON young.birth_county = mother.birth_county AND young.around >= mother.birth_date
WHERE date_diff('year', mother.birth_date, young.birth_date) <= 45
ORDER BY young.n;
