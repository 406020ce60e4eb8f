"""How a record breaks each rule that stewards wrote: one entry per rule id, SQL over the clean record.

Add an entry when a rule is added to the catalogue; `tests/test_demo.py` names the rule that lacks one. A good entry
changes the rule's own column, to something a clerk could have typed, and trips no other rule. `guest` is a query whose
row (as `g`, with an `entity`) takes part: with `extra`, the wrong record is a new one about that guest, and columns of
the guest's with the same name come along. `"<rule>@<resource>"` says in which resource a comparison is planted so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

START = "getvariable('start')::DATE"
DEAD = f"SELECT 'p' || n AS entity, * FROM person WHERE standing = 'dead' AND death_date < {START} - 100"
OLD_DEAD = f"{DEAD} AND birth_date + INTERVAL 82 YEAR < death_date"
ENDED = (
    "SELECT 'o' || n AS entity, * FROM organisation WHERE status = '3' AND NOT alone AND NOT untaxed"
    f" AND deregistered_on < {START} - 40"
)
UNTAXED = "NOT _alone AND uscc IN (SELECT uscc FROM organisation WHERE untaxed)"
TAXED = (  # a cooperative is in the market regulator's register and not in the tax office's
    "NOT _alone AND uscc IN (SELECT uscc FROM organisation WHERE kind IN ('enterprise', 'sole_trader') AND NOT untaxed)"
)
MOVED = (
    "SELECT 'p' || n AS entity, * FROM person WHERE standing = 'moved'"
    f" AND n IN (SELECT n FROM departed WHERE cancelled_on < {START} - 40)"
)
DEBTORS = '(SELECT * FROM feed."court.dishonest_debtor" WHERE removed_on IS NULL)'
RESERVED = "_n IN (SELECT n FROM figure WHERE reserved AND division = '341500')"
ENTERPRISE = "SELECT 'o' || n AS entity, * FROM organisation WHERE kind = 'enterprise' AND NOT pillar AND NOT alone"
UNKNOWN_ORGANISATION = "credit_code('91341502' || organisation_code('XY' || digits(_n % 1000000, 6)))"
UNKNOWN_PERSON = "'34150219000101' || digits(_n % 1000, 3) || id_check_digit('34150219000101' || digits(_n % 1000, 3))"
INDEX = 'feed."government_services.certificate_index"'
LATEST = (
    f"certificate_id NOT IN (SELECT previous_certificate_id FROM {INDEX} WHERE previous_certificate_id IS NOT NULL)"
)
NEWER = (
    f"FROM {INDEX} o WHERE o.version = '2' AND o.status = '01' AND o.certificate_type = c.certificate_type"
    " AND o.issuer_uscc = c.issuer_uscc"
)
OTHER_PAPER = "certificate_type IN ('residence_certificate', 'disability_certificate')"
THIRD_VERSION = (
    "regexp_replace(certificate_id, '[0-9]{3}[.].$', '003.') || mod37_check(mod37_after(18, "
    + " || ".join([*(f"split_part(certificate_id, '.', {part})" for part in (6, 7, 8)), "'003'"])
    + "))"
)
EXPIRED = f"status = '05' AND {LATEST}"
NOT_OF_MARRIAGE = "holder_type = '1' AND certificate_type <> 'marriage_certificate'"
PILLAR = "SELECT 'g' || n AS entity, * FROM person WHERE pillar AND standing = 'register'"


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a record; see the module."""

    cells: Mapping[str, str] = field(default_factory=dict)
    where: str = "true"
    guest: str = ""
    extra: bool = False
    suggests: bool = True  # the rule finds a value to suggest


def _day(column: str, days: int) -> str:
    return f"({column}::DATE + ({days}))::VARCHAR"


def _years(column: str, years: int) -> str:
    return f"({column}::DATE + INTERVAL {years} YEAR)::DATE::VARCHAR"


def _number(region: str, birth: str) -> str:
    body = f"({region} || {birth} || substr(id_number, 15, 3))"
    return f"{body} || id_check_digit({body})"


def _birth(where: str) -> Wrong:
    return Wrong({"birth_date": _day("birth_date", 1)}, f"{where} AND length(id_number) = 18")


def _late(column: str) -> Wrong:
    """Still stated as valid although its time is over."""
    return Wrong({"valid_to": f"({START} - 10)::VARCHAR"}, f"status = '01' AND {column} IS NOT NULL")


def _before(column: str, other: str, where: str = "true", **more: str) -> Wrong:
    """`column` lies a day before `other`."""
    return Wrong({column: _day(other, -1), **more}, f"{where} AND {other} IS NOT NULL")


SEX = Wrong({"sex": "CASE sex WHEN '1' THEN '2' ELSE '1' END"}, "id_type = '111'")
SWAPPED = Wrong({"longitude": "latitude", "latitude": "longitude"})
# into the north-eastern corner of the county's rectangle, which no longer is the county
CORNER = Wrong(
    {
        "longitude": "(SELECT round(east - (east - west) * 0.02, 6)::VARCHAR FROM county WHERE code = division)",
        "latitude": "(SELECT round(north - (north - south) * 0.02, 6)::VARCHAR FROM county WHERE code = division)",
    },
    suggests=False,
)
HOUSEHOLD_OF_ONE = {"household_number": "'DX' || g.id_number", "household_members": "'1'"}
OTHER_DIGIT = "left(registration_number, 14) || (right(registration_number, 1)::INTEGER + 3) % 10"
FIVE_POINTS = r"\(\(([^,]+), ([^,]+), ([^,]+), ([^,]+), ([^,]+)\)\)"
ELSEWHERE = Wrong({"division": "CASE division WHEN '341524' THEN '341523' ELSE '341524' END"})
UNKNOWN_ADDRESS = Wrong({"address_code": "left(address_code, 6) || '9999999999'"}, "address_code IS NOT NULL")
ENDED_HOLDER = Wrong({"uscc": "g.uscc", "holder_name": "g.name"}, "status = '01'", ENDED)
VALID_AGAIN = Wrong({"status": "'01'"}, "status = '05'")

WRITTEN: dict[str, Wrong] = {
    # public security
    "PSB-001": _birth("id_type = '111'"),
    "PSB-002": SEX,
    "PSB-003": Wrong({"birth_date": "'1890-01-01'", "id_number": _number("left(id_number, 6)", "'18900101'")}),
    "PSB-004": Wrong({"id_number": _number("'349999'", "substr(id_number, 7, 8)")}),
    "PSB-005": Wrong({"id_number": _number("'342401'", "substr(id_number, 7, 8)")}, "birth_date >= '2000-01-01'"),
    "PSB-009": Wrong(
        {"division": "CASE division WHEN '341522' THEN '342423' WHEN '341523' THEN '342425' WHEN '341524' THEN '342426'"
         " ELSE '342427' END"},
        "division IN ('341522', '341523', '341524', '341525')",
    ),
    "PSB-006": Wrong({"name": "name || '　'"}),
    "PSB-007": Wrong(guest=DEAD, extra=True),
    "PSB-008": UNKNOWN_ADDRESS,
    "PSB-101": _birth("id_type IN ('111', '154')"),
    "PSB-102": Wrong({"permit_type": "CASE permit_type WHEN '2' THEN '3' ELSE '2' END"}, "id_type = '154'"),
    "PSB-103": _before("valid_to", "valid_from"),
    "PSB-104": Wrong({"name": "name || '　'"}),
    "PSB-105": Wrong({"birth_date": "'1890-01-01'"}, "id_type = '553'"),
    "PSB-010": Wrong({"registered_on": "(g.birth_date + 30)::VARCHAR"}, guest=MOVED, extra=True),
    "PSB-201": Wrong({"death_date": "NULL"}, "reason = '1'"),
    "PSB-202": _before("cancelled_on", "death_date"),
    "PSB-203": Wrong({"cancelled_on": f"({START} + 300)::VARCHAR"}),
    "PSB-301": SWAPPED,
    "PSB-302": Wrong({"crs": "'4326'"}),
    "PSB-303": CORNER,
    "PSB-304": Wrong({"address_code": "'341500' || substr(address_code, 7)"}),
    "PSB-305": Wrong({"full_address": "replace(full_address, (SELECT name FROM county WHERE code = division), '')"}),
    "PSB-306": Wrong({"full_address": "replace(replace(full_address, '安徽省', ''), '六安市', '六安市安徽省')"}),
    "PSB-307": Wrong({"address_code": "left(address_code, 7) || '9' || substr(address_code, 9)"}, extra=True),
    # civil affairs
    "CAB-001": _birth("id_type = '111'"),
    "CAB-002": Wrong({"marital_status": "'40'"}, "business_type = '1'"),
    "CAB-003": Wrong({"marital_status": "'20'"}, "business_type = '2'"),
    "CAB-004": Wrong({"registered_on": _years("birth_date", 15)}, "business_type = '1' AND birth_date > '1970-01-01'"),
    "CAB-101": Wrong({"death_date": f"({START} + 300)::VARCHAR", "cremated_on": "NULL"}),
    "CAB-102": _before("cremated_on", "death_date"),
    "CAB-201": Wrong(HOUSEHOLD_OF_ONE, guest=DEAD, extra=True),
    "CAB-202": _before("valid_to", "approved_on"),
    "CAB-203": Wrong({"household_members": "(household_members::INTEGER + 7)::VARCHAR"}),
    "CAB-301": Wrong({"started_on": _years("g.birth_date", 80)}, guest=OLD_DEAD, extra=True),
    "CAB-302": Wrong({"started_on": _years("birth_date", 70)}),
    "CAB-401": Wrong({"entity_type": "CASE entity_type WHEN '51' THEN '52' ELSE '51' END"}),
    "CAB-402": _before("approved_on", "founded_on"),
    "CAB-403": _before("valid_to", "valid_from"),
    "CAB-501": SWAPPED,
    "CAB-502": ELSEWHERE,
    "CAB-503": Wrong({"place_code": "left(place_code, 7) || '9' || substr(place_code, 9)"}, extra=True),
    # human resources
    "HRS-001": _birth("id_type IN ('111', '154')"),
    "HRS-002": Wrong({"status": "'1'"}, guest=DEAD, extra=True),
    "HRS-101": Wrong({"employed_on": _years("birth_date", 10)}),
    "HRS-102": _before("ended_on", "employed_on"),
    "HRS-103": Wrong(
        {"employed_on": f"({START} - 5)::VARCHAR", "employer_uscc": "g.uscc", "employer_name": "g.name"}, guest=ENDED
    ),
    "HRS-201": _birth("id_type = '111'"),
    "HRS-202": Wrong(guest=DEAD, extra=True),
    # health
    "HLT-001": _birth("id_type = '111'"),
    "HLT-002": SEX,
    "HLT-003": Wrong({"certificate_number": "'1' || substr(certificate_number, 2)"}),
    "HLT-004": Wrong({"mother_id_number": UNKNOWN_PERSON}, "mother_id_type = '111'"),
    "HLT-101": _before("valid_to", "valid_from", status="'05'"),
    "HLT-102": _late("valid_to"),
    "HLT-103": Wrong({"uscc": "g.uscc", "name": "g.name", "legal_representative_name": "g.legal_representative_name",
                      "division": "g.division"}, "status = '01'", ENDED),
    "HLT-201": _birth("id_type IN ('111', '154')"),
    "HLT-202": Wrong({"last_visit_on": _day("death_date", 10)}, "death_date IS NOT NULL"),
    # market regulation
    "MRB-001": Wrong({"entity_type": "CASE entity_type WHEN '91' THEN '93' ELSE '91' END"}),
    "MRB-002": _before("approved_on", "founded_on"),
    "MRB-003": _before("deregistered_on", "founded_on", "status IN ('2', '3')"),
    "MRB-004": Wrong({"deregistered_on": "NULL"}, "status IN ('2', '3')"),
    "MRB-005": Wrong({"status": "'1'"}, UNTAXED),
    "MRB-006": Wrong({"legal_representative_id_number": UNKNOWN_PERSON}, "status = '1'"),
    "MRB-007": Wrong({"legal_representative_id_number": "g.id_number", "legal_representative_name": "g.name"},
                     "status = '1'", DEAD),
    "MRB-008": Wrong({"industry": "'A'"}),
    "MRB-009": Wrong({"registered_capital": "'-5'"}),
    "MRB-010": Wrong({"registered_capital": "(registered_capital::DECIMAL(18, 2) * 10000)::VARCHAR"},
                     TAXED),
    "MRB-011": Wrong({"registration_number": OTHER_DIGIT}),
    "MRB-012": Wrong({"registration_number": "registration_number(CASE division WHEN '341524' THEN '341523'"
                      " ELSE '341524' END || substr(registration_number, 7, 8))"}),
    "MRB-013": Wrong({"registered_address": "replace(registered_address, (SELECT name FROM county WHERE code ="
                      " division), CASE division WHEN '341524' THEN '霍山县' ELSE '金寨县' END)"}),
    "MRB-101": Wrong({"entity_type": "'91'"}),
    "MRB-102": _before("approved_on", "founded_on"),
    "MRB-103": Wrong({"status": "'1'"}, UNTAXED),
    "MRB-201": Wrong({"decided_on": f"({START} + 60)::VARCHAR"}),
    "MRB-202": Wrong({"uscc": UNKNOWN_ORGANISATION}),
    "MRB-203": Wrong({"decision": "'4'"}, "decision = '1'"),
    "MRB-204": Wrong({"decision": "'4'", "successor_uscc": "uscc"}, "decision = '1'"),
    "MRB-205": Wrong({"decision": "'4'", "successor_uscc": UNKNOWN_ORGANISATION}, "decision = '1'"),
    "MRB-206": Wrong({"decision": "'4'", "successor_uscc": "g.uscc", "decided_on": f"({START} - 5)::VARCHAR"},
                     "decision = '1'", ENDED),
    "MRB-301": Wrong({"licence_number": "'JX' || substr(licence_number, 3)"}),
    "MRB-302": Wrong({"business_kind": "CASE business_kind WHEN '1' THEN '2' ELSE '1' END"}),
    "MRB-303": VALID_AGAIN,
    "MRB-304": ENDED_HOLDER,
    "MRB-401": Wrong({"decided_on": _day("published_on", -90)}),
    "MRB-402": Wrong({"amount": "'0.00'"}, "penalty_kind = '2'"),
    "MRB-403": Wrong({"public_until": _years("published_on", 4)}),
    "MRB-501": _before("removed_on", "listed_on"),
    "MRB-502": Wrong({"listed_on": f"({START} + 30)::VARCHAR", "removed_on": "NULL"}),
    # development and reform, court
    "DRC-001": Wrong({"evaluated_on": f"({START} + 30)::VARCHAR"}),
    "DRC-002": Wrong({"credit_grade": "'1'"}, f"uscc IN (SELECT uscc FROM {DEBTORS})"),
    "DRC-003": Wrong({"uscc": UNKNOWN_ORGANISATION}),
    "DRC-101": Wrong({"decided_on": _day("published_on", -60)}),
    "DRC-102": _before("valid_to", "valid_from"),
    "DRC-103": Wrong({"uscc": "g.uscc", "name": "g.name", "decided_on": f"({START} - 5)::VARCHAR",
                      "published_on": f"({START} - 4)::VARCHAR"}, guest=ENDED),
    "CRT-001": Wrong({"case_number": "replace(case_number, '执', '民')"}),
    "CRT-002": Wrong({"performance": "'3'"}, f"removed_on IS NULL AND published_on::DATE < {START} - 40"),
    "CRT-003": _before("removed_on", "published_on"),
    # establishment, agriculture
    "EST-001": Wrong({"entity_type": "CASE entity_type WHEN '11' THEN '12' ELSE '11' END"}),
    "EST-002": _before("approved_on", "founded_on"),
    "AGR-001": Wrong({"entity_type": "CASE entity_type WHEN 'N1' THEN 'N2' ELSE 'N1' END"}),
    "AGR-002": Wrong({"village_code": "'341500' || substr(village_code, 7)"}, "left(uscc, 2) <> 'N2'"),
    "AGR-101": Wrong({"farmer_members": "(members::INTEGER + 1)::VARCHAR"}),
    "AGR-102": Wrong({"farmer_members": "'0'"}),
    "AGR-201": Wrong({"rated_households": "(households::INTEGER + 1)::VARCHAR"}),
    "AGR-202": Wrong({"collective_uscc": "(SELECT min(uscc) FROM organisation WHERE kind = 'township' AND pillar)"}),
    "AGR-203": Wrong({"loan_balance": "(credit_line::DECIMAL(18, 2) + 1)::VARCHAR"}),
    "AGR-301": Wrong({"village_code": "left(village_code, 6) || '999999'"}),
    "AGR-302": Wrong({"loan_balance": "(credit_line::DECIMAL(18, 2) + 1)::VARCHAR"}),
    "AGR-303": Wrong({"household_code": "'NX' || substr(household_code, 3)", "rated_on": _day("g.death_date", 20)},
                     guest=DEAD, extra=True),
    # education, disabled persons
    "EDU-001": _birth("id_type IN ('111', '154')"),
    "EDU-002": Wrong({"school_code": "'9999999999'"}),
    "EDU-003": Wrong({"student_number": "'X' || g.id_number"}, "status = '1'", DEAD, extra=True),
    "EDU-004": Wrong({"grade": "'15'"}),
    "EDU-101": Wrong({"uscc": "g.uscc", "name": "g.name", "division": "g.division"},
                     guest="SELECT 'o' || n AS entity, * FROM organisation WHERE kind = 'association' AND NOT alone"),
    "EDU-102": Wrong({"teachers": "(students::INTEGER + 10)::VARCHAR"}),
    "DPF-001": Wrong({"certificate_number": "'9' || substr(certificate_number, 2)"}),
    "DPF-002": Wrong({"disability_grade": "CASE disability_grade WHEN '1' THEN '2' ELSE '1' END"}),
    "DPF-003": Wrong({"certificate_number": "g.id_number || disability_type || disability_grade"},
                     "status = '01'", DEAD, extra=True),
    # finance
    "FIN-001": _before("due_on", "granted_on"),
    "FIN-002": Wrong({"balance": "(amount::DECIMAL(18, 2) + 1)::VARCHAR"}),
    "FIN-003": Wrong({"annual_rate": "'36.5'"}),
    "FIN-004": Wrong({"granted_on": f"({START} - 5)::VARCHAR", "uscc": "g.uscc", "borrower_name": "g.name",
                      "balance": "'0.00'"}, guest=ENDED),
    "FIN-101": Wrong({"month": "replace(month, '-', '/')"}),
    "FIN-102": Wrong({"balance": "'-' || balance"}),
    # statistics
    "STA-001": Wrong({"period": "replace(period, '-', '/')"}),
    "STA-002": Wrong({"unit": "'万元'"}),
    "STA-003": Wrong({"value": "(value::DECIMAL(18, 2) * 2)::VARCHAR"}, f"{RESERVED} AND indicator <> '0101'"),
    "STA-004": Wrong({"published_on": "period || '-15'"}, "NOT contains(period, 'Q')"),
    # government services
    "GSB-001": Wrong({"finished_at": "(accepted_at::TIMESTAMP - INTERVAL 1 HOUR)::VARCHAR"}),
    "GSB-002": Wrong({"finished_at": "NULL"}, "status = '3'"),
    "GSB-003": Wrong({"applicant_number": "left(applicant_number, 17) || 'Z'"}, "applicant_type = '1'"),
    "GSB-004": Wrong({"applicant_number": "g.id_number", "applicant_name": "g.name",
                      "accepted_at": f"({START} - 3)::VARCHAR || ' 09:30:00'",
                      "finished_at": f"({START} - 3)::VARCHAR || ' 10:30:00'"}, "applicant_type = '1'", DEAD),
    "GSB-101": Wrong({"issuer_uscc": "(SELECT min(uscc) FROM organisation WHERE prefix = '12' AND pillar)"}),
    "GSB-102": Wrong({"version": "(version::INTEGER + 1)::VARCHAR"}, f"previous_certificate_id IS NULL AND {LATEST}"),
    "GSB-103": Wrong({"holder_number": "left(holder_number, 17) || 'Z'"}, "holder_type = '1'"),
    "GSB-104": Wrong({"holder_number": UNKNOWN_ORGANISATION}, "holder_type = '2' AND status <> '01'"),
    "GSB-105": Wrong({"holder_number": UNKNOWN_PERSON}, NOT_OF_MARRIAGE),
    "GSB-106": Wrong({"status": "'01'"}, f"{EXPIRED} AND certificate_type <> 'marriage_certificate'"),
    "GSB-107": Wrong({"previous_certificate_id": "certificate_id"}, f"{EXPIRED} AND previous_certificate_id IS NULL"),
    "GSB-108": Wrong(
        {"previous_certificate_id": f"(SELECT min(certificate_id) FROM {INDEX} WHERE status = '01' AND version = '1')"},
        "status = '01' AND previous_certificate_id IS NOT NULL",
    ),
    "GSB-109": Wrong(
        {"certificate_number": f"(SELECT min(o.certificate_number) {NEWER})"},
        f"version = '1' AND status = '01' AND {LATEST} AND (certificate_type, issuer_uscc) IN"
        f" (SELECT (certificate_type, issuer_uscc) FROM {INDEX} WHERE version = '2' AND status = '01')",
    ),
    "GSB-110": Wrong({"status": "'03'"}, f"{OTHER_PAPER} AND status = '01'"),
    "GSB-111": Wrong({"status": "'03'", "revoked_on": f"({START} + 300)::VARCHAR"}, f"{OTHER_PAPER} AND status = '01'"),
    "GSB-112": Wrong({"previous_certificate_id": THIRD_VERSION},
                     "status = '01' AND previous_certificate_id IS NOT NULL"),
    # housing
    "HCB-001": SWAPPED,
    "HCB-002": UNKNOWN_ADDRESS,
    "HCB-003": Wrong({"longitude": "(longitude::DECIMAL(18, 6) + 0.01)::VARCHAR"}),
    "HCB-101": _before("valid_to", "valid_from"),
    "HCB-102": Wrong({"contractor_uscc": "g.uscc", "contractor_name": "g.name", "issued_on": f"({START} - 5)::VARCHAR"},
                     "_alone", ENDED),
    "HCB-103": Wrong({"contract_price": "(contract_price::DECIMAL(18, 2) * 10000)::VARCHAR"}),
    # natural resources
    "NRB-001": Wrong({"parcel_code": "(SELECT min(code) FROM place WHERE kind = 'parcel')"}),
    "NRB-002": Wrong({c: f"replace({c}, 'GB', 'GX')" for c in ("parcel_code", "unit_number")}),
    "NRB-003": Wrong({"holder_number": "left(holder_number, 17) || 'Z'"}),
    "NRB-101": SWAPPED,
    "NRB-102": ELSEWHERE,
    "NRB-103": Wrong({"outline": "'POINT (' || longitude || ' ' || latitude || ')'"}),
    "NRB-104": Wrong({"outline": "replace(outline, '))', '1))')"}),
    "NRB-105": Wrong({"outline": f"regexp_replace(outline, '{FIVE_POINTS}', '((\\1, \\3, \\2, \\4, \\5))')"}),
    "NRB-106": Wrong({"outline": f"regexp_replace(outline, '{FIVE_POINTS}', '((\\5, \\4, \\3, \\2, \\1))')"}),
    "NRB-107": Wrong({"outline": '(SELECT min(outline) FROM feed."natural_resources.land_parcels" WHERE NOT _free)'}),
    "NRB-203": Wrong({"outline": "'POLYGON ((117.3 29.5, 117.5 29.7, 117.5 29.5, 117.3 29.7, 117.3 29.5))'"}),
    "NRB-201": Wrong({"max_longitude": "(min_longitude::DECIMAL(9, 6) - 1)::VARCHAR"}),
    "NRB-202": Wrong({"name": "name || '（旧）'"}),
    # tax
    "TAX-001": _before("closed_on", "registered_on", "taxpayer_status = '07'"),
    "TAX-002": Wrong({"closed_on": "NULL"}, "taxpayer_status = '07'"),
    "TAX-003": Wrong({"registered_on": _day("registered_on", -60)}),
    "TAX-004": Wrong({"registered_capital": "(registered_capital::DECIMAL(18, 2) * 10000)::VARCHAR"}),
    "TAX-101": Wrong({"amount": "'0.00'"}),
    "TAX-102": _before("period_to", "period_from"),
    "TAX-103": Wrong({"uscc": UNKNOWN_ORGANISATION}),
    "TAX-201": Wrong({"score": "CASE WHEN score::DECIMAL(5, 1) >= 90 THEN '75.0' ELSE '95.0' END"},
                     "tax_credit_grade IN ('A', 'B', 'C')"),
    "TAX-202": Wrong({"year": "'2009'"}),
    "TAX-301": Wrong({"month": "replace(month, '-', '/')"}),
    "TAX-302": Wrong({"amount": "(amount::DECIMAL(18, 2) * 2)::VARCHAR"}, RESERVED),
    # medical insurance, transport, water
    "MIB-001": _birth("id_type IN ('111', '154')"),
    "MIB-002": Wrong({"status": "'1'"}, guest=DEAD, extra=True),
    "TRB-001": VALID_AGAIN,
    "TRB-002": ENDED_HOLDER,
    "TRB-101": Wrong({"issued_on": _years("birth_date", 10)}),
    "TRB-102": _late("valid_to"),
    "TRB-103": Wrong(
        {"qualification_number": "'CX' || substr(qualification_number, 3)"}, "status = '01'", DEAD, extra=True
    ),
    "WSC-001": _before("last_reading_on", "opened_on"),
    "WSC-002": UNKNOWN_ADDRESS,
    # thematic
    "CVT-001": Wrong({"credit_line": "'0.00'", "loan_balance": "'0.00'"},
                     "village_code IN (SELECT village_code FROM rated_household)"),
    "CVT-002": Wrong({"collective_uscc": "g.uscc"}, guest=ENDED),
    "CVT-003": Wrong(
        {"collective_uscc": "g.uscc"},
        guest=f"SELECT 'k' || place AS entity, * FROM org_pillar WHERE uscc IN (SELECT uscc FROM {DEBTORS})",
    ),
    "EFT-001": Wrong(
        {"holder_name": "holder_name || '子'"},
        "certificate_type = 'business_licence' AND status = '01' AND certificate_id IN (SELECT min(certificate_id)"
        f" FROM {INDEX} WHERE certificate_type = 'business_licence' AND status = '01' GROUP BY holder_number)",
    ),
    "EFT-002": Wrong({"taxpayer_status": "'04'"}, "taxpayer_status = '07'"),
    "GSP-001": Wrong(
        {"pension_type": "'1'"},
        guest="SELECT 'p' || n AS entity, * FROM person WHERE NOT pillar AND id_number IN (SELECT id_number FROM "
        "feed.\"human_resources.social_insurance_enrolment\" WHERE insurance_type = '110' AND status = '1')",
        extra=True,
    ),
    "GSP-002": Wrong(
        {"holder_number": "g.id_number", "holder_name": "g.name"},
        "certificate_type = 'marriage_certificate' AND status = '01'",
        f"{PILLAR} AND marital_status = '10'",
    ),
    "thematic.inclusive_finance.enterprise_credit.uscc.refers": Wrong(
        {"uscc": "g.uscc", "borrower_name": "g.name", "balance": "'5.00'"},
        "status = '1'",
        "SELECT 'o' || n AS entity, * FROM organisation WHERE kind = 'association' AND NOT alone",
    ),
    "IFT-001": Wrong({"uscc": "g.uscc", "borrower_name": "g.name", "balance": "'5.00'",
                      "granted_on": _day("g.deregistered_on", -10)}, guest=ENDED),
    "IFT-002": Wrong({"uscc": "g.uscc", "name": "g.name"}, guest=ENDED),
    "SAT-001": Wrong(
        HOUSEHOLD_OF_ONE,
        guest=f"{PILLAR} AND id_number IN (SELECT "
        "legal_representative_id_number FROM organisation WHERE status = '1' AND prefix IN ('91', '92') GROUP BY ALL "
        "HAVING sum(capital) >= 200)",
        extra=True,
    ),
    "SAT-002": Wrong(
        HOUSEHOLD_OF_ONE,
        guest=f"{PILLAR} AND id_number IN (SELECT "
        'holder_number FROM feed."natural_resources.real_estate_registration" GROUP BY ALL HAVING count(*) > 3)',
        extra=True,
    ),
    "SAT-003": Wrong(
        HOUSEHOLD_OF_ONE,
        guest="SELECT 'p' || n AS entity, * FROM person WHERE NOT pillar AND id_number IN (SELECT id_number FROM "
        'feed."human_resources.pension_payment" WHERE monthly_amount::DECIMAL(18, 2) >= 3000)',
        extra=True,
    ),
    # an entity that stands in two registers which both have the say
    "legal_entity.entity_type.agrees@civil_affairs.social_organisation_registration": Wrong(
        {"entity_type": "'51'"}, guest=ENTERPRISE, extra=True
    ),
    "legal_entity.registered_capital.agrees@civil_affairs.social_organisation_registration": Wrong(
        {"registered_capital": "(g.capital + 1)::VARCHAR"}, guest=ENTERPRISE, extra=True
    ),
    "legal_entity.deregistered_on.agrees@civil_affairs.social_organisation_registration": Wrong(
        {"deregistered_on": "(g.deregistered_on + 1)::VARCHAR", "registered_capital": "g.capital::VARCHAR"},
        guest=f"{ENTERPRISE} AND status = '3'",
        extra=True,
    ),
    "spatial.kind.agrees@civil_affairs.place_names": Wrong(
        {"place_code": "g.code"}, guest="SELECT 'a' || n AS entity, * FROM shared_address", extra=True
    ),
}  # fmt: skip
