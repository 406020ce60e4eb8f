"""JSON Schemas of the catalogue's files, for editors: completion and red lines while a steward types.

Derived from `catalog.models`; nothing is stated here twice. Add a file kind to `KINDS` when the catalogue gets one.
`python -m catalog.schema_export` writes them anew; a test compares. Cross-checks between files stay in `catalog.load`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from catalog.jurisdiction import Jurisdiction
from catalog.models import CodeList, Department, Library, Product, Resource, ThematicTable

# Kind of file -> its model, and the fields that the file's place says (they must not stand in the file).
KINDS: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "department": (Department, ("name",)),
    "resource": (Resource, ("department", "name")),
    "library": (Library, ("name",)),
    "thematic": (ThematicTable, ("topic", "name", "sql")),
    "product": (Product, ("name",)),
    "code_list": (CodeList, ("name",)),
    "jurisdiction": (Jurisdiction, ()),
}


def schema(kind: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one kind of file."""
    model, given = KINDS[kind]
    made = model.model_json_schema(by_alias=True, mode="validation")
    for field in given:
        del made["properties"][field]
    made["required"] = [field for field in made.get("required", ()) if field not in given]
    if "Authority" in made.get("$defs", {}):
        made["$defs"] |= _authority(made["$defs"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _authority(defined: dict[str, Any]) -> dict[str, Any]:
    """An authority as it is written: a department's name, a term, a list of terms, or `by` and `of`."""
    written = defined["Authority"]["properties"]
    one = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Term"}]}
    terms = {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]}
    by_kind = {
        "type": "object",
        "properties": {
            "by": next(kind for kind in written["by"]["anyOf"] if kind["type"] == "string"),
            "of": {"type": "object", "additionalProperties": terms, "minProperties": 1},
        },
        "required": ["by", "of"],
        "additionalProperties": False,
    }
    described = defined["Authority"]["description"]
    return {"Authority": {"description": described, "anyOf": [*terms["anyOf"], by_kind]}}


def texts() -> dict[str, str]:
    """Text of each schema file by file name."""
    return {f"{kind}.json": json.dumps(schema(kind), ensure_ascii=False, indent=1) + "\n" for kind in KINDS}


def export(folder: Path) -> None:
    """Write every schema into `folder`."""
    folder.mkdir(exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    export(Path(__file__).parent / "schema")
