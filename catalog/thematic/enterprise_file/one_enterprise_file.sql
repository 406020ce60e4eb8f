-- One row per enterprise, sole trader or cooperative.
WITH taxpayer AS (
    SELECT uscc_normal(uscc) AS uscc, min(taxpayer_status) AS taxpayer_status, min(_record_key) AS taxpayer_record
    FROM tax.taxpayer_registration GROUP BY ALL
), staff AS (
    SELECT uscc_normal(employer_uscc) AS uscc, count(DISTINCT id_number) AS insured_employees
    FROM human_resources.social_insurance_enrolment WHERE status = '1' GROUP BY ALL
), licences AS (
    SELECT holder_number AS uscc, count(*) AS valid_licences
    FROM base.certificate WHERE status = '01' AND certificate_type <> 'business_licence' GROUP BY ALL
), licence AS (
    SELECT uscc_normal(holder_number) AS uscc, arg_min(holder_name, _record_key) AS licence_holder_name,
        min(_record_key) AS licence_record
    FROM government_services.certificate_index
    WHERE certificate_type = 'business_licence' AND status = '01' GROUP BY ALL
)
SELECT e.uscc, e.name, e.entity_type, e.status, e.legal_representative_name, e.registered_address, e.division,
    e.industry, e.registered_capital, e.founded_on, e.deregistered_on, taxpayer_status, taxpayer_record,
    coalesce(insured_employees, 0)::BIGINT AS insured_employees,
    coalesce(valid_licences, 0)::BIGINT AS valid_licences,
    licence_holder_name, licence_record, e._sources::BIGINT AS departments
FROM base.legal_entity AS e
LEFT JOIN taxpayer USING (uscc)
LEFT JOIN staff USING (uscc)
LEFT JOIN licences USING (uscc)
LEFT JOIN licence USING (uscc)
WHERE e.entity_type IN ('91', '92', '93')
