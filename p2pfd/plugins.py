"""Plug-ins by name: what installed packages offer under an entry-point group. The only user of importlib.metadata."""

from __future__ import annotations

import importlib
import os
import re
import sys
from functools import lru_cache
from importlib.metadata import EntryPoints, PackageNotFoundError, entry_points, requires, version
from typing import Any

from p2pfd.errors import EnvironmentProblem, PlanError

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([<>=!~0-9.,a-z\s]*)")


def names(group: str) -> tuple[str, ...]:
    """The names in a group, in alphabetical order; nothing is imported."""
    return tuple(sorted(_found(group).names))


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def requirements(package: str) -> tuple[tuple[str, str], ...]:
    """What an installed package needs to run: names, and versions as they are written down; no extras."""
    try:
        texts = requires(package) or []
    except PackageNotFoundError:
        return ()
    found = (_REQUIREMENT.match(text) for text in texts if ";" not in text)
    return tuple((match[1], match[2].replace(" ", "")) for match in found if match is not None)


def load(group: str, name: str) -> Any:
    """The object behind a name, imported now; PlanError lists the legal names when there is no such one."""
    entries = _found(group)
    if name not in entries.names:
        legal = ", ".join(names(group)) or "none is installed"
        raise PlanError(f"there is no {name!r} among {group}", f"the names are: {legal}")
    entry = entries[name]
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise EnvironmentProblem(
            f"the plug-in {name!r} ({entry.value}) does not load: {error}", "reinstall the package that offers it"
        ) from error


def load_or_import(group: str, text: str) -> Any:
    """The object behind an installed name, or at ``module:name`` in a module that can be imported from here.

    Meant for people who name their own code; nothing that comes from a peer may get here.
    """
    module, colon, name = text.partition(":")
    if not colon:
        return load(group, text)
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise PlanError(f"{text!r} cannot be imported: {error}", "write my_package.module:Class") from error


def _found(group: str) -> EntryPoints:
    return _read(group, tuple(sys.path))


@lru_cache(maxsize=64)
def _read(group: str, path: tuple[str, ...]) -> EntryPoints:
    """Reading every package's file takes tens of milliseconds; what is installed on a path stays there meanwhile."""
    return entry_points(group=group)
