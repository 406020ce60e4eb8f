"""What a file's name says of its format and of what it is packed in; content is looked at by the reader alone."""

from __future__ import annotations

from typing import Literal

from catalog.layout import Kind

Packing = Literal["", "gz", "zip"]

ENDINGS: dict[str, Kind] = {
    "csv": "csv",
    "txt": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
    "xls": "xls",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "geojson": "geojson",
    "parquet": "parquet",
}
ALLOWED = f"{', '.join(ENDINGS)}, each also .gz or .zip; .zip with one such file or one Shapefile"


def packing_of(name: str) -> Packing:
    """What the file is packed in, by its name."""
    ending = name.lower().rpartition(".")[2]
    return "gz" if ending == "gz" else "zip" if ending == "zip" else ""


def kind_of(name: str) -> Kind | None:
    """The format a file name states, its packing aside."""
    packing = packing_of(name)
    plain = name.lower().removesuffix(f".{packing}") if packing else name.lower()
    return ENDINGS.get(plain.rpartition(".")[2]) if "." in plain else None


def suffix_of(name: str) -> str:
    """What the archived file's name ends in: `.csv.gz`; nothing where the name states no format."""
    packing, kind = packing_of(name), kind_of(name)
    return (f".{kind}" if kind else "") + (f".{packing}" if packing else "")
