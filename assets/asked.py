"""Requests as a pass judges them: beside the findings, and by the value alone that the record states.

`assets.requests` raises them, `assets.correction_facts` gathers what their records show.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from catalog.load import Catalog
from quality_checks.corrections import ItemState
from quality_checks.macros import name, quote
from quality_checks.requests import DIMENSION, INDICATOR, SEVERITY, SUFFIX
from quality_checks.sources import macros, normal_macro


def read_asked(con: DuckDBPyConnection) -> None:
    """`corrections_asked`: the requests with an item that may move; each becomes a row of `corrections_findings`.

    One that its applicant took back, or whose values were erased, is evaluated no more.
    """
    con.execute("""
        CREATE OR REPLACE TEMP TABLE corrections_asked AS
        SELECT * FROM shuyuan.ledger.requests
        WHERE request_id IN (SELECT finding_id FROM corrections_items_now)
    """)
    con.execute(f"""
        INSERT INTO corrections_findings BY NAME
        SELECT request_id AS finding_id, concat(department, '.', resource, '{SUFFIX}') AS rule_id, department, resource,
               '{DIMENSION}' AS dimension, '{INDICATOR}' AS indicator, '{SEVERITY}' AS severity,
               coalesce(record_key, '') AS record_key, column_name AS "column", doubted AS observed_value,
               proposed AS suggested_value, reason, '' AS delivery_id, false AS unknown,
               record_key IS NOT NULL AND request_id NOT IN (
                   SELECT finding_id FROM corrections_items_now WHERE state = '{ItemState.rule_withdrawn}'
               ) AS evaluated
        FROM corrections_asked
    """)


def same_sql(
    con: DuckDBPyConnection, catalog: Catalog, of: str, one: str, other: str, *, asked: str = "corrections_asked"
) -> str:
    """SQL: whether two texts of a field say the same value; both empty do.

    `of` is the alias of a relation with `library` and `attribute`, those that stand in the table `asked`: their normal
    form decides, else the text without regard to width, case and blanks. Writing a value otherwise corrects nothing.
    """
    cases = []
    for library_name, attribute in con.execute(
        f"SELECT DISTINCT library, attribute FROM {asked} WHERE library IS NOT NULL ORDER BY ALL"
    ).fetchall():
        library = catalog.libraries.get(library_name)
        if library and attribute in library.attributes:
            con.execute(macros(library))
            kind, normal = library.attributes[attribute].as_column().sql_type, normal_macro(library, attribute)
            forms = (f"{name(normal)}(TRY_CAST({text} AS {kind}))" for text in (one, other))
            cases.append(
                f"WHEN {of}.library = {quote(library_name)} AND {of}.attribute = {quote(attribute)}"
                f" THEN ({' = '.join(forms)})"
            )
    plain = " = ".join(f"half_width(coalesce({text}, ''))" for text in (one, other))
    by_normal_form = f"CASE {' '.join(cases)} END" if cases else "false"
    return f"({plain} OR coalesce({by_normal_form}, false))"
