"""Findings as a file: Parquet for machines, CSV and XLSX for people; no cell can become a formula."""

from __future__ import annotations

from pathlib import Path

import xlsxwriter

from quality_checks.masking import masked_findings
from resources.city import City

FORMATS = (".parquet", ".csv", ".xlsx")
XLSX_ROWS = 1_048_575  # rows a sheet can hold below its header
# What a spreadsheet would run: OWASP's list of leading characters.
FORMULA = r"^[=+\-@\t\r]"

FINDINGS = """
    SELECT {finding_id} AS finding_id, f.rule_id, f.standard, f.dimension, f.indicator, f.severity, f.department,
           f.resource, f.record_key, f."column", f.observed_value, f.suggested_value, f.suggestion_method,
           f.suggestion_confidence, f.reason, f.delivery_id, f.first_seen, f.last_seen,
           coalesce(s.state, f.status) AS status
    FROM ({findings}) f LEFT JOIN shuyuan.ledger.item_states s ON s.item_id = f.finding_id
    ORDER BY f.department, f.resource, f.rule_id, f.record_key, f."column"
"""


def export_findings(city: City, path: Path, *, unmasked: bool = False) -> int:
    """Write all findings, one row per rule and record ever violated; returns the number of rows.

    Personal and sensitive values, and what reasons quote of them, are masked unless `unmasked`; the finding's id is
    then a pseudonym, the same in every file of this home. The file appears whole or not at all, readable by its owner
    alone. In CSV a cell that a spreadsheet would run as a formula is
    prefixed with an apostrophe; in XLSX it is a plain string.

    Raises:
        ValueError: the name ends in none of .parquet, .csv, .xlsx, or there are too many rows for one sheet.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"{path.name}: the name must end in one of {', '.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    con = city.con
    found = "FROM quality.findings" if unmasked else masked_findings(con, city.catalog)
    # of the id everything but the key stands beside it: unkeyed, it would give away a masked key to who tries them all
    shown = "f.finding_id" if unmasked else f"left(sha256('{city.home.pseudonym_key()}' || f.finding_id), 32)"
    told = FINDINGS.format(finding_id=shown, findings=found)
    con.execute(f"CREATE OR REPLACE TEMP TABLE export_findings AS {told}")
    try:
        rows = _count(city)
        if path.suffix == ".parquet":
            con.execute(f"COPY export_findings TO '{_quoted(partial)}' (FORMAT parquet, COMPRESSION zstd)")
        elif path.suffix == ".csv":
            con.execute(f"COPY ({_harmless(city)}) TO '{_quoted(partial)}' (FORMAT csv, HEADER, FORCE_QUOTE *)")
        else:
            _write_xlsx(city, partial, rows)
        partial.chmod(0o600)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        con.execute("DROP TABLE export_findings")
    return rows


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _count(city: City) -> int:
    row = city.con.execute("SELECT count(*) FROM export_findings").fetchone()
    return int(row[0]) if row else 0


def _harmless(city: City) -> str:
    described = city.con.execute("DESCRIBE export_findings").fetchall()
    cells = [
        f"""CASE WHEN regexp_matches("{name}", '{FORMULA}') THEN '''' || "{name}" ELSE "{name}" END AS "{name}\""""
        if kind == "VARCHAR"
        else f'"{name}"'
        for name, kind, *_ in described
    ]
    return f"SELECT {', '.join(cells)} FROM export_findings"


def _write_xlsx(city: City, path: Path, rows: int) -> None:
    if rows > XLSX_ROWS:
        raise ValueError(f"{rows} findings do not fit one sheet of {XLSX_ROWS} rows: export to .parquet or .csv")
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet("findings 问题数据")
        bold = book.add_format({"bold": True})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        found = city.con.execute("SELECT * FROM export_findings")
        names = [column[0] for column in found.description]
        sheet.write_row(0, 0, names, bold)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, max(rows, 1), len(names) - 1)
        dates = {index for index, name in enumerate(names) if name in ("first_seen", "last_seen")}
        number = 0
        while chunk := found.fetchmany(10_000):
            for row in chunk:  # a spreadsheet is written cell by cell
                number += 1
                for index, value in enumerate(row):
                    if value is not None:
                        sheet.write(number, index, value, day if index in dates else None)
