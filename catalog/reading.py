"""Reading the catalogue's YAML files into their types, and what is said of whatever is wrong in them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from catalog.sources import SECRET_SHOWN

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, order=True)
class CatalogProblem:
    """One wrong statement in one file."""

    file: str
    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        value = f" = {self.value}" if self.value else ""
        return f"{self.file}: {self.field}{value}: {self.allowed}"


class CatalogError(Exception):
    """The catalogue cannot be used; `problems` lists every reason."""

    def __init__(self, problems: Iterable[CatalogProblem]) -> None:
        self.problems = sorted(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__("\n".join([f"{len(self.problems)} {noun} in the catalogue:", *map(str, self.problems)]))


class _StrictLoader(yaml.CSafeLoader):
    """YAML without silent surprises: a repeated key is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """What a file says. A process that reads the catalogue again parses what changed; nobody may change the result."""
    return yaml.load(text, _StrictLoader)  # noqa: S506  # a subclass of CSafeLoader


@dataclass
class Reader:
    """A catalogue folder being read: which files were looked at, and every problem so far.

    `unread` are the names of what stands in a file that could not be read: to name it elsewhere is no mistake.
    """

    root: Path
    problems: list[CatalogProblem] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    def report(self, file: Path | str, where: str, value: object, allowed: str) -> None:
        name = file if isinstance(file, str) else str(file.relative_to(self.root))
        shown = "" if value is None else repr(value)
        self.problems.append(CatalogProblem(name, where, shown[:120], allowed))

    def read(self, path: Path, model: type[Model], **given: object) -> Model | None:
        """One YAML file as a model; what the path already says (department, name) is given."""
        self.seen.add(path)
        if read := self._read(path, model, given):
            return read
        _, *names = path.relative_to(self.root).with_suffix("").parts
        self.unread |= {*names, ".".join(names)}
        return None

    def _read(self, path: Path, model: type[Model], given: Mapping[str, object]) -> Model | None:
        try:
            data = _parsed(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark else "(file)"
            self.report(path, where, None, f"not readable as YAML: {getattr(error, 'problem', error)}")
            return None
        if not isinstance(data, dict):
            self.report(path, "(file)", data, "a mapping of fields")
            return None
        for key in given.keys() & data.keys():
            self.report(path, key, data[key], "leave it out: the file's place says it")
        try:
            return model.model_validate({**data, **given})
        except ValidationError as error:
            for item in error.errors(include_url=False):
                where = ".".join(_stated(item["loc"])) or "(file)"
                value = None if _unshown(item) else item["input"]
                allowed = item["msg"].removeprefix("Value error, ")
                if item["type"] == "extra_forbidden":
                    fields = set(_fields_at(model, item["loc"])) - given.keys()
                    value, allowed = None, f"no such field; allowed: {', '.join(sorted(fields))}"
                elif item["type"] == "string_type" and isinstance(value, int | float):
                    allowed += " (quote it: an unquoted code is read as a number)"
                self.report(path, where, value, allowed)
            return None

    def named(self, folder: str, model: type[Model]) -> dict[str, Model]:
        """Every YAML file of a folder as a model, by file name."""
        read = {path.stem: self.read(path, model, name=path.stem) for path in self.files(folder)}
        return {name: value for name, value in read.items() if value is not None}

    def files(self, folder: str, pattern: str = "*.yaml") -> Iterator[Path]:
        yield from sorted((self.root / folder).glob(pattern))

    def known(self, file: str, where: str, value: str, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        if value not in names and value.removeprefix("base.") not in self.unread:
            listed = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
            self.report(file, where, value, f"must be one of: {listed or '(none exists)'}")


def _stated(where: Sequence[int | str]) -> Iterator[str]:
    """The parts of a place as the file states them: without the tag that pydantic adds below `source`, and without the
    field that a plain authority stands in.
    """
    for before, part in zip((None, *where), where, strict=False):
        if before != "source" and (before, part) != ("authority", "terms"):
            yield str(part)


def _unshown(item: Any) -> bool:
    """Whether an error's value is not repeated: nothing is there, a whole mapping is, or it may be a secret."""
    may_be_secret = item["type"] == SECRET_SHOWN or item["loc"] == ("source",) or "credentials" in item["loc"]
    return item["type"] == "missing" or isinstance(item["input"], dict) or may_be_secret


def _fields_at(model: type[BaseModel], where: Sequence[int | str]) -> list[str]:
    """Names of the fields that may stand where the last part of `where` stands."""
    for part, tag in zip(where, (*where[1:], None), strict=True):
        for name, stated in model.model_fields.items():
            inner = list(_models_in(stated.annotation))
            if part in (name, stated.alias) and inner:
                model = next((m for m in inner if tag in _kinds(m)), inner[0])
                break
    return [stated.alias or name for name, stated in model.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models inside `Model | None`, `tuple[Model, ...]`, `dict[str, Model]` or `One | Other`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _kinds(model: type[BaseModel]) -> tuple[object, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
