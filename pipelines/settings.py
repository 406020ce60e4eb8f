"""Where this installation keeps its things: the only place that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from resources.reader import Limits
from resources.secrets import Vault


class Settings(BaseSettings):
    """`SHUYUAN_*` variables with defaults that work from a clone.

    `home` holds landing files, lake, archive, outbox and reports; `catalog` the YAML; `postgres_url` an external
    server (`postgresql+psycopg2://…`), by default one is embedded under the home; `secrets` files with the secrets of
    departments' sources, by default `secrets` below the home. `file_*` is what reading one delivered file may take:
    seconds (and more for each megabyte), memory, times its size when it is unpacked.
    """

    model_config = SettingsConfigDict(env_prefix="SHUYUAN_", frozen=True, extra="ignore")

    home: Path = Path("data")
    catalog: Path = Path("catalog")
    postgres_url: SecretStr | None = None
    secrets: Path | None = None
    memory_limit: str = Field(default="3GB", pattern=r"^\d+(\.\d+)?(MB|GB)$")
    threads: int | None = Field(default=None, ge=1)
    file_seconds: float = Field(default=Limits.seconds, gt=0)
    file_memory_mb: int = Field(default=Limits.memory_mb, ge=512)
    file_unpacked_ratio: int = Field(default=Limits.unpacked_ratio, ge=1)

    @property
    def limits(self) -> Limits:
        """What reading one delivered file may take."""
        return Limits(self.file_seconds, self.file_memory_mb, self.file_unpacked_ratio)

    def model_post_init(self, _context: Any) -> None:
        object.__setattr__(self, "home", self.home.absolute())
        object.__setattr__(self, "catalog", self.catalog.absolute())

    def vault(self) -> Vault:
        """Where the secrets are that the catalogue names."""
        folder = self.secrets or self.home / "secrets"
        return Vault(os.environ.get, folder.absolute())  # noqa: TID251  # the one place
