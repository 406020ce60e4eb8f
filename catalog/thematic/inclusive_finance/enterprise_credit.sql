-- One row per legal entity with a loan or tax arrears.
WITH loan AS (
    SELECT uscc_normal(uscc) AS uscc, count(*) AS loans, sum(amount) AS amount, sum(balance) AS balance,
        sum(balance) FILTER (status = '3') AS nonperforming,
        min(_record_key) FILTER (status <> '4' AND balance > 0) AS open_loan_record
    FROM finance.inclusive_loan GROUP BY ALL
), arrears AS (
    SELECT uscc_normal(uscc) AS uscc, sum(amount) AS amount, min(_record_key) AS arrears_record
    FROM tax.tax_arrears GROUP BY ALL
), taxpayer AS (
    SELECT uscc_normal(uscc) AS uscc, min(taxpayer_status) AS taxpayer_status
    FROM tax.taxpayer_registration GROUP BY ALL
), permit AS (
    SELECT uscc_normal(uscc) AS uscc, count(*) AS permits FROM development_and_reform.administrative_permit GROUP BY ALL
), penalty AS (
    SELECT uscc_normal(uscc) AS uscc, count(*) FILTER (public_until >= _as_of) AS penalties
    FROM market_regulation.administrative_penalty GROUP BY ALL
)
SELECT e.uscc, e.name, e.entity_type, e.status, e.division, e.industry, e.founded_on, e.deregistered_on,
    taxpayer_status, credit.credit_grade, credit.tax_credit_grade, credit.seriously_dishonest, credit.judgment_debtor,
    coalesce(permit.permits, 0)::BIGINT AS permits,
    coalesce(penalty.penalties, 0)::BIGINT AS penalties,
    coalesce(loan.loans, 0)::BIGINT AS loans,
    coalesce(loan.amount, 0)::DECIMAL(18, 2) AS loan_amount,
    coalesce(loan.balance, 0)::DECIMAL(18, 2) AS loan_balance,
    coalesce(loan.nonperforming, 0)::DECIMAL(18, 2) AS nonperforming_balance,
    open_loan_record,
    coalesce(arrears.amount, 0)::DECIMAL(18, 2) AS arrears,
    arrears_record
FROM base.legal_entity AS e
LEFT JOIN loan USING (uscc)
LEFT JOIN arrears USING (uscc)
LEFT JOIN taxpayer USING (uscc)
LEFT JOIN base.social_credit AS credit USING (uscc)
LEFT JOIN permit USING (uscc)
LEFT JOIN penalty USING (uscc)
WHERE loan.uscc IS NOT NULL OR arrears.uscc IS NOT NULL
