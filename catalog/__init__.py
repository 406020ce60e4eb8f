"""What exists: the catalogue's YAML and CSV files, and the frozen types that read them."""

from catalog.columns import Column, ColumnType, Identifier, Level
from catalog.indicators import DIMENSIONS, INDICATORS, Dimension
from catalog.load import Catalog, load_catalog
from catalog.models import Attribute, CodeList, Cycle, Department, Describes, Library, Product, Resource, ThematicTable
from catalog.reading import CatalogError, CatalogProblem
from catalog.rules import Accusation, Lookup, Rule, Severity

__all__ = [
    "DIMENSIONS",
    "INDICATORS",
    "Accusation",
    "Attribute",
    "Catalog",
    "CatalogError",
    "CatalogProblem",
    "CodeList",
    "Column",
    "ColumnType",
    "Cycle",
    "Department",
    "Describes",
    "Dimension",
    "Identifier",
    "Level",
    "Library",
    "Lookup",
    "Product",
    "Resource",
    "Rule",
    "Severity",
    "ThematicTable",
    "load_catalog",
]
