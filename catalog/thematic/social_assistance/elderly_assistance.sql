-- One row per person who receives an allowance.
WITH minimum AS (
    SELECT person_id_normal(id_number) AS id_number, max(monthly_amount) AS amount, min(_record_key) AS record
    FROM civil_affairs.minimum_living_allowance GROUP BY ALL
), elderly AS (
    SELECT person_id_normal(id_number) AS id_number, max(monthly_amount) AS amount, min(started_on) AS started_on,
        min(_record_key) AS record
    FROM civil_affairs.elderly_allowance GROUP BY ALL
), recipient AS (
    SELECT id_number FROM minimum UNION SELECT id_number FROM elderly
), pension AS (
    SELECT person_id_normal(id_number) AS id_number, sum(monthly_amount) AS amount
    FROM human_resources.pension_payment GROUP BY ALL
), disability AS (
    SELECT person_id_normal(id_number) AS id_number, min(disability_grade) AS disability_grade
    FROM disabled_persons.disability_certificate WHERE status = '01' GROUP BY ALL
), property AS (
    SELECT person_id_normal(holder_number) AS id_number, count(*) AS titles
    FROM natural_resources.real_estate_registration WHERE holder_type = '1' GROUP BY ALL
), business AS (
    SELECT person_id_normal(legal_representative_id) AS id_number, count(*) AS enterprises,
        sum(registered_capital) AS capital
    FROM base.legal_entity WHERE status = '1' AND entity_type IN ('91', '92') GROUP BY ALL
)
SELECT p.id_number, p.name, p.sex, p.birth_date, p.division, p.death_date IS NOT NULL AS deceased,
    minimum.amount AS minimum_living_amount, minimum.record AS minimum_living_record,
    elderly.amount AS elderly_amount, elderly.started_on AS elderly_started_on, elderly.record AS elderly_record,
    coalesce(pension.amount, 0)::DECIMAL(18, 2) AS pension_amount, disability_grade,
    coalesce(titles, 0)::BIGINT AS titles, coalesce(enterprises, 0)::BIGINT AS enterprises,
    coalesce(business.capital, 0)::DECIMAL(18, 2) AS enterprise_capital
FROM recipient JOIN base.population AS p USING (id_number)
LEFT JOIN minimum USING (id_number)
LEFT JOIN elderly USING (id_number)
LEFT JOIN pension USING (id_number)
LEFT JOIN disability USING (id_number)
LEFT JOIN property USING (id_number)
LEFT JOIN business USING (id_number)
