"""Secrets, looked up when they are needed: the catalogue names where each one is, never what it is."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catalog.sources import Secret
from resources.failures import PermanentError

LIMIT = 100_000  # bytes; a private key has 3,000


@dataclass(frozen=True)
class Vault:
    """Where secrets are: `environment` gives a variable's value, `folder` holds files. Both come from the settings."""

    environment: Callable[[str], str | None]
    folder: Path

    def path(self, name: str) -> Path:
        """A file named in the catalogue: absolute, or below the folder of secrets."""
        return self.folder / name

    def reveal(self, secret: Secret) -> str:
        """The secret's value, without the line end of its file.

        Raises:
            PermanentError: it is not set, not readable, empty, or a file outside the folder of secrets that others may
                read.
        """
        if secret.env:
            value = self.environment(secret.env)
            if not value:
                raise PermanentError(f"environment variable {secret.env} is not set; it must hold the secret")
            return value
        return self._from_file(self.path(secret.file or ""))

    def _from_file(self, path: Path) -> str:
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > LIMIT:
                raise PermanentError(f"secret file {path} is no ordinary file of at most {LIMIT:,} bytes")
            inside = path.resolve().is_relative_to(self.folder.resolve())
            if not inside and found.st_mode & 0o077:
                mode = f"{stat.S_IMODE(found.st_mode):04o}"
                allowed = f"allowed: 0600, or a file in {self.folder}"
                raise PermanentError(f"secret file {path} has mode {mode}: others may read it; {allowed}")
            value = path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise PermanentError(f"secret file {path} cannot be read: {why}") from error
        if not value:
            raise PermanentError(f"secret file {path} is empty")
        return value
