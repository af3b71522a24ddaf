"""Where data lies on this machine: the user's own folder, and the platform's cache, where downloads go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "P2PFD_DATA"
"""The environment variable that names the user's folder of data."""


def cache_folder() -> Path:
    """The folder for downloads that this platform has for such things."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and Path(named).is_absolute():
        return Path(named, "p2pfd", "data")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "p2pfd" / "data"
    return Path.home() / ".cache" / "p2pfd" / "data"


def user_folder(given: Path | None = None) -> Path | None:
    """The folder that was given, else the one that the environment names, else none."""
    if given is not None:
        return given
    named = os.environ.get(VARIABLE, "")
    return Path(named).expanduser() if named else None


def folders(given: Path | None = None) -> tuple[Path, ...]:
    """Where to look, in this order."""
    own = user_folder(given)
    return (cache_folder(),) if own is None else (own, cache_folder())


def download_folder(given: Path | None = None) -> Path:
    """Where downloads go: the user's folder, unless it may only be read."""
    own = user_folder(given)
    return own if own is not None and os.access(own, os.W_OK) else cache_folder()
