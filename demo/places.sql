-- Places of the fictional city: addresses, parcels, named places. One row per place, each in a village and inside the
-- outline of its county. A place marked `alone` is known to its own
-- register only.

CREATE TABLE place AS
WITH kinds(kind, digit, floor, per_person) AS (VALUES
    ('address', '1', 1200, 0.3), ('place', '2', 500, 0.002), ('parcel', '3', 700, 0.05)
), one AS (
    SELECT kind, digit, unnest(range(greatest(floor, (getvariable('people') * per_person)::BIGINT))) AS i FROM kinds
), numbered AS (
    SELECT row_number() OVER (ORDER BY digit, i) - 1 AS n, * FROM one
), spread AS (
    SELECT o.*, v.c, v.county_code AS division, v.county_name, v.town_code, v.town_name, v.village_code, v.village_name, v.village,
        west + (east - west) * off_corner(0.02 + 0.96 * share(o.n, 'x'), 0.02 + 0.96 * share(o.n, 'y')) AS x,
        south + (north - south) * off_corner(0.02 + 0.96 * share(o.n, 'y'), 0.02 + 0.96 * share(o.n, 'x')) AS y,
        pick(getvariable('streets'), o.n, 'street') AS road, 1 + dice(o.n, 'house', 800) || '号' AS house_number,
        getvariable('start')::DATE - 200 - dice(o.n, 'since', 9000)::INTEGER AS since
    FROM numbered AS o JOIN village AS v ON v.village = 1 + dice(o.n, 'village', 336) JOIN county ON county.c = v.c
)
SELECT * EXCLUDE (x, y, digit), x::DECIMAL(9, 6) AS longitude, y::DECIMAL(9, 6) AS latitude,
    CASE kind WHEN 'parcel' THEN division || digits(i // 100000000 % 1000, 3) || digits(i // 100000 % 1000, 3) || 'GB' || digits(i % 100000, 5)
        ELSE division || digit || digits(i, 9) END AS code,
    CASE kind WHEN 'place' THEN village_name || pick(['老街', '水库', '大桥', '广场', '河', '岭', '湾'], n, 'place') || pick(getvariable('given'), n, 'place2')
        ELSE '安徽省六安市' || county_name || town_name || road || house_number END AS name,
    kind <> 'place' AND dice(n, 'alone', 100) < 15 AS alone
FROM spread ORDER BY n;

-- Places one can count through: shared addresses (of the whole city) and parcels (of one county).
CREATE TABLE shared_address AS
SELECT row_number() OVER (ORDER BY n) - 1 AS place, * FROM place WHERE kind = 'address' AND NOT alone ORDER BY n;
SET VARIABLE addresses = (SELECT count(*) FROM shared_address);
CREATE TABLE county_parcel AS
SELECT row_number() OVER (PARTITION BY c ORDER BY n) - 1 AS place, c, code FROM place WHERE kind = 'parcel' AND NOT alone;
CREATE TABLE parcel_count AS SELECT c, count(*) AS parcels FROM county_parcel GROUP BY c;
