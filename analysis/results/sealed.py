"""JSON files that hold the SHA-256 of their own content, so that damage to them is found.

That is no protection against forgery, which would only have to write another seal.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from analysis.project import files
from analysis.project.forms import Section, problem

# A record of a thousand classes is a tenth of this.
_LARGEST = 10_000_000


class Broken(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its name."""


class Sealed(Section, ser_json_inf_nan="strings"):
    """A record that is stored with the SHA-256 of its content."""

    def sealed(self) -> bytes:
        """Return the content of the file."""
        content = json.loads(self.model_dump_json())
        return _file({"sha256": _seal(content), **content})

    def write(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        with files.written_whole(path) as temporary:
            temporary.write_bytes(self.sealed())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the record in a file. Raises ``Broken``."""
        try:
            with path.open("rb") as file:
                written = file.read(_LARGEST + 1)
            if len(written) > _LARGEST:
                raise Broken(f"is larger than {_LARGEST:,} bytes")
            content = json.loads(written)
            # The seal covers the content; white space is compared as well.
            same = written == _file(content)
            seal = content.pop("sha256")
        except FileNotFoundError:
            raise Broken("is missing") from None
        except IsADirectoryError:
            raise Broken("is a folder") from None
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
            raise Broken("is truncated or altered: it is not a sealed record") from None
        if not same or seal != _seal(content):
            raise Broken("is truncated or altered: its content does not match its SHA-256")
        try:
            return cls.model_validate_json(json.dumps(content))
        except ValidationError as error:
            raise Broken(f"is not valid: {problem(error, cls).rstrip('.')}") from None


def _file(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
