-- One row per person of the population library.
WITH social AS (
    SELECT person_id_normal(id_number) AS id_number,
        count(*) FILTER (status = '1') AS insured_kinds,
        coalesce(bool_or(insurance_type = '110' AND status = '1'), false) AS employee_pension_insured
    FROM human_resources.social_insurance_enrolment GROUP BY ALL
), pension AS (
    SELECT person_id_normal(id_number) AS id_number, min(pension_type) AS pension_type,
        min(_record_key) AS pension_record
    FROM human_resources.pension_payment GROUP BY ALL
), medical AS (
    SELECT DISTINCT person_id_normal(id_number) AS id_number
    FROM medical_insurance.medical_insurance_enrolment WHERE status = '1'
), certificates AS (
    SELECT person_id_normal(holder_number) AS id_number, count(*) AS valid_certificates,
        min(_record_key) FILTER (certificate_type = 'marriage_certificate') AS marriage_certificate_record
    FROM government_services.certificate_index WHERE holder_type = '1' AND status = '01' GROUP BY ALL
), cases AS (
    SELECT person_id_normal(applicant_number) AS id_number, count(*) AS cases,
        count(*) FILTER (status IN ('1', '2')) AS open_cases, max(accepted_at)::DATE AS last_accepted_on
    FROM government_services.service_case WHERE applicant_type = '1' GROUP BY ALL
)
SELECT p.id_number, p.name, p.sex, p.birth_date, p.marital_status, p.address, p.division, p.phone,
    p.death_date IS NOT NULL AS deceased,
    coalesce(insured_kinds, 0)::BIGINT AS insured_kinds,
    coalesce(employee_pension_insured, false) AS employee_pension_insured,
    medical.id_number IS NOT NULL AS medically_insured,
    pension_type, pension_record,
    coalesce(valid_certificates, 0)::BIGINT AS valid_certificates, marriage_certificate_record,
    coalesce(cases, 0)::BIGINT AS cases, coalesce(open_cases, 0)::BIGINT AS open_cases, last_accepted_on
FROM (FROM base.population WHERE id_number IS NOT NULL) AS p -- who has no number yet has no profile
LEFT JOIN social USING (id_number)
LEFT JOIN pension USING (id_number)
LEFT JOIN medical USING (id_number)
LEFT JOIN certificates USING (id_number)
LEFT JOIN cases USING (id_number)
