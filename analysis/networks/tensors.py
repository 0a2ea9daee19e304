"""Files of tensors: safetensors with facts as JSON, written whole, and verified when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from analysis.project import files
from analysis.project.errors import UserError
from analysis.project.paths import shown


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    metadata = {"facts": text, "seal": _seal(digest(plain), text)}
    content = safetensors.torch.save(plain, metadata=metadata)
    with files.written_whole(path) as temporary:
        # Not by safetensors, whose error for a full disk is not the system's.
        temporary.write_bytes(content)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors, on the CPU, and facts. Raises ``UserError`` for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = safetensors.torch.load_file(path)
        if metadata["seal"] == _seal(digest(tensors), metadata["facts"]):
            facts = json.loads(metadata["facts"])
            if isinstance(facts, dict):
                return tensors, facts
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError):
        pass
    raise unusable(path, "is truncated or altered")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: their names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, because NumPy lacks some of PyTorch's types.
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def unusable(path: Path, reason: str) -> UserError:
    """Return the error for a file that work cannot go on from."""
    return UserError(f"{shown(path)} {reason}.\nDelete it, and run the study again.")


def _seal(tensors: str, facts: str) -> str:
    return hashlib.sha256(f"{tensors} {facts}".encode()).hexdigest()
