"""Which of a folder's files a server lacks, so that only those are sent. Pure: files in, a Step out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import file_digest
from pathlib import Path

from ..core.steps import Content, Step, script


def compare(folder: str, files: Mapping[str, Content]) -> Step:
    """Ask which of the files aren't below the server's ``folder``. Answers with their numbers, the first being 1.

    What is there is read for it: somebody may have changed it.
    """
    sums = "".join(f"{_sum(path)}  {name}\n" for name, path in comparable(files).items())
    return script("See which files are new", "compare", folder, files={"sums": sums.encode()})


def comparable(files: Mapping[str, Content]) -> dict[str, Path]:
    """Those of the files that a server is asked about: neither links nor what we make ourselves, and none of a name
    that would mean something in a list."""
    return {
        name: path
        for name, path in files.items()
        if isinstance(path, Path) and not path.is_symlink() and name.isprintable() and "\\" not in name
    }


def size(files: Mapping[str, Content]) -> int:
    """Bytes of all that a server is asked about."""
    return sum(path.stat().st_size for path in comparable(files).values())


def there(files: Mapping[str, Content], answer: Iterable[int]) -> set[str]:
    """The names of those that the server has, from the answer to :func:`compare`."""
    asked = list(comparable(files))
    return set(asked) - {asked[number - 1] for number in answer}


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
