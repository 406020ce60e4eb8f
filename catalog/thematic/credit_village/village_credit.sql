-- One row per rated village.
WITH listed AS (
    SELECT village_code, count(*) AS households, sum(credit_line) AS credit_line, sum(loan_balance) AS loan_balance
    FROM agriculture.credit_household GROUP BY ALL
)
SELECT v.village_code, v.village_name, v.division, v.credit_grade, v.rated_on, uscc_normal(v.collective_uscc) AS collective_uscc,
    c.name AS collective_name, c.status AS collective_status, c.legal_representative_name AS chair, s.judgment_debtor AS collective_debtor,
    v.households, v.rated_households, v.credit_line, v.loan_balance,
    coalesce(l.households, 0)::BIGINT AS listed_households,
    coalesce(l.credit_line, 0)::DECIMAL(18, 2) AS listed_credit_line,
    coalesce(l.loan_balance, 0)::DECIMAL(18, 2) AS listed_loan_balance,
    v._record_key AS village_record
FROM agriculture.credit_village AS v
LEFT JOIN listed AS l ON l.village_code = v.village_code
LEFT JOIN base.legal_entity AS c ON c.uscc = uscc_normal(v.collective_uscc)
LEFT JOIN base.social_credit AS s ON s.uscc = uscc_normal(v.collective_uscc)
WHERE v.village_code IS NOT NULL -- a record without its key has a finding of its own
