"""Finds the files of a folder that a server lacks, so that only those are sent. Pure: files in, a Step out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import file_digest
from pathlib import Path

from ..core.steps import Content, Step, script


def compare(folder: str, files: Mapping[str, Content]) -> Step:
    """Return a step that asks which of the files are missing in the server's ``folder``. It answers with their numbers,
    from 1.

    The server reads its files for this, because they may have been changed there.
    """
    sums = "".join(f"{_sum(path)}  {name}\n" for name, path in comparable(files).items())
    return script("Check which files are new", "compare", sign="", folder=folder, files={"sums": sums.encode()})


def comparable(files: Mapping[str, Content]) -> dict[str, Path]:
    """Return the files that a server is asked about. Links, generated files, and names with control characters or
    backslashes, which a list of checksums would escape, are always sent."""
    return {
        name: path
        for name, path in files.items()
        if isinstance(path, Path) and not path.is_symlink() and name.isprintable() and "\\" not in name
    }


def size(files: Mapping[str, Content]) -> int:
    """Return the total size of the comparable files, in bytes."""
    return sum(path.stat().st_size for path in comparable(files).values())


def there(files: Mapping[str, Content], answer: Iterable[int]) -> set[str]:
    """Return the names of the files that the server has. ``answer``: the answer to :func:`compare`."""
    asked = list(comparable(files))
    return set(asked) - {asked[number - 1] for number in answer}


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
