"""How often the one repair that is offered for a wrong identifier is the true number.

    python -m benchmarks.repairs [--rows N] [--json]

Right numbers with a mistake: one character replaced by another of the alphabet, two neighbours swapped, or two
characters replaced. Per kind of identifier and mistake, of the wrong numbers: `offered`, the share that a repair is
offered for, and `right`, the share for which it is the true number. Of citizen numbers the date of birth and the sex
are known, as in a register. `confidence` is the share of right ones among those offered where mistakes are as
frequent as `FREQUENCY` says; `quality_checks.rules` states it, rounded down. The numbers are the same at every run.
"""

from __future__ import annotations

import argparse

import duckdb

from benchmarks.whole_city import tell
from quality_checks import macros

# How people mistype codes: Verhoeff, Error Detecting Decimal Codes (1969), some 80 % one digit, 10 % neighbours
# swapped, the rest several digits; from memory, unverified.
FREQUENCY = {"replaced": 0.8, "swapped": 0.1, "two": 0.1}
PEOPLE = """
    with body as (
        select i, '341502' || strftime(date '1930-01-01' + (hash(i) % 33000)::int, '%Y%m%d')
               || lpad((hash(i, 1) % 1000)::varchar, 3, '0') as body
        from range({rows}) t(i))
    select i, body || id_check_digit(body) as number from body
"""
BODIES = f"""
    select i, ['91', '92', '93', '12', '52', 'N3'][1 + (hash(i) % 6)::int] || '341502' || list_aggregate(list_transform(
        range(8), lambda p: substr('{macros.BASE_31}', 1 + (hash(i, p) % 31)::int, 1)), 'string_agg', '') as body
    from range({{rows}}) t(i)
"""
COMPANIES = f"""
    with body as ({BODIES}), coded as (select i, body || org_code_check(right(body, 8)) as body from body)
    select i, body || uscc_check(body) as number from coded
    where regexp_full_match(body, '[{macros.BASE_31}]+')
"""
KINDS = {  # numbers, alphabet, whether a number is right, repair
    "person_id": (
        PEOPLE,
        "0123456789X",
        "person_id_ok",
        "person_id_repair(wrong, id_birth_date(number), id_sex(number))",
    ),
    "uscc": (COMPANIES, macros.BASE_31, "uscc_ok", "uscc_repair(wrong)"),
}
REPLACED = (
    "substr({0}, 1, {1} - 1) || substr('{alphabet}', 1 + (strpos('{alphabet}', substr({0}, {1}, 1)) - 1"
    " + 1 + (hash({2}) % ({size} - 1))::int) % {size}, 1) || substr({0}, {1} + 1)"
)
MISTAKES = {
    "replaced": REPLACED.format("number", "p", "i, 4", alphabet="{alphabet}", size="{size}"),
    "swapped": "substr(number, 1, q - 1) || substr(number, q + 1, 1) || substr(number, q, 1) || substr(number, q + 2)",
    "two": REPLACED.format(
        f"({REPLACED.format('number', 'p', 'i, 4', alphabet='{alphabet}', size='{size}')})", "(1 + p % 18)", "i, 5",
        alphabet="{alphabet}", size="{size}",
    ),
}  # fmt: skip


def measured(rows: int) -> dict[str, float]:
    """Figures by name, from `rows` numbers of each kind and mistake."""
    found: dict[str, float] = {}
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute(macros.SQL)
        for kind, (numbers, alphabet, ok, repair) in KINDS.items():
            right = offered = 0.0
            for mistake, written in MISTAKES.items():
                wrong = written.format(alphabet=alphabet, size=len(alphabet))
                share, true = con.execute(f"""
                    select count(repaired) / count(*), count_if(repaired = number) / count(*) from (
                        select number, {repair} as repaired from (
                            select number, {wrong} as wrong from (
                                select *, (1 + hash(i, 3) % 18)::int as p, (1 + hash(i, 3) % 17)::int as q
                                from ({numbers.format(rows=rows)}))
                        ) where not {ok}(wrong))
                """).fetchone() or (0.0, 0.0)
                found |= {f"{kind} {mistake} offered": round(share, 3), f"{kind} {mistake} right": round(true, 3)}
                offered, right = offered + FREQUENCY[mistake] * share, right + FREQUENCY[mistake] * true
            found[f"{kind} confidence"] = round(right / offered, 3)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tell({"rows": options.rows, **measured(options.rows)}, as_json=options.json)


if __name__ == "__main__":
    main()
