"""`p2pfd version`: what runs here, for bug reports."""

from __future__ import annotations

import argparse
import platform

import p2pfd
from p2pfd import plugins
from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.screen import Screen

_PARTS = ("torch", "libp2p", "trio", "eth-account", "py-evm", "numpy", "scikit-learn")


def run(args: argparse.Namespace, screen: Screen) -> int:
    """The versions of p2pfd, of Python and of the libraries that results depend on."""
    found = {"p2pfd": p2pfd.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PARTS:
        found[name] = plugins.version_of(name) or "not installed"
    screen.result({"versions": found})
    if not screen.as_json:
        for name, text in found.items():
            screen.say(f"{name:<14}{text}")
    return exits.OK.code


VERSION = Command("version", "the versions that a bug report needs", "p2pfd version --json", lambda _: None, run)
