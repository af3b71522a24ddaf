"""Arrays in a NumPy archive, read without ever unpickling."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from p2pfd.errors import StorageError


def read_arrays(path: Path, *names: str) -> list[npt.NDArray[np.generic]]:
    """The arrays of these names; StorageError when the file lacks one or is none of NumPy's."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # a path would stay open on an error
            return [np.asarray(file[name]) for name in names]
    except KeyError as error:
        raise StorageError(f"{path} has no array {error.args[0]}", f"it must have {', '.join(names)}") from error
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        TypeError,
        MemoryError,
    ) as error:
        raise StorageError(
            f"{path} is not a NumPy archive that can be read: {error}", "delete it and fetch it again"
        ) from error
