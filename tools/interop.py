"""Fetch what the JavaScript peer in tests/e2e/interop stands on: ``python tools/interop.py``. Needs Node.js and npm.

The packages go into node_modules beside the peer and nowhere else, each at the version and with the checksum that
package-lock.json says. It is skipped when nothing changed since the last time.
``--check`` only says whether it was done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / "tests" / "e2e" / "interop"
STAMP = HOME / "node_modules" / "p2pfd-interop.json"
OLDEST_NODE = 20
HOW = "install Node.js 20 or newer with npm; without it the tests with the JavaScript peer are skipped"


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write("interop  " + text + "\n")
    sys.stderr.flush()


def give_up(what: str, fix: str) -> None:
    """End with a reason and a way out."""
    sys.stderr.write(f"interop  error: {what}\n         fix:   {fix}\n")
    raise SystemExit(9)


def program(name: str) -> str:
    """Where a program is."""
    found = shutil.which(name)
    if found is None:
        give_up(f"there is no {name} on this machine", HOW)
    return str(found)


def check_node() -> None:
    """js-libp2p uses what older ones lack."""
    asked = subprocess.run([program("node"), "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - node, by path
    version = asked.stdout.strip().removeprefix("v")
    major = version.split(".")[0]
    if not major.isdigit() or int(major) < OLDEST_NODE:
        give_up(f"this is Node.js {version or 'of no version'}, and the peer needs {OLDEST_NODE}", HOW)


def fingerprint() -> dict[str, str]:
    """Everything that the packages depend on; none of them is built for a machine."""
    digest = hashlib.sha256()
    for path in (HOME / "package.json", HOME / "package-lock.json", Path(__file__)):
        digest.update(path.read_bytes())
    return {"files": digest.hexdigest()}


def fetched() -> bool:
    """Whether the packages are there, as they are wanted now."""
    try:
        return bool(json.loads(STAMP.read_text()) == fingerprint())
    except (OSError, ValueError):
        return False


def main() -> None:
    """Fetch, unless that was done."""
    parser = argparse.ArgumentParser(description="Fetch what the JavaScript peer stands on.")
    parser.add_argument("--check", action="store_true", help="only say whether it is there")
    only_check = parser.parse_args().check
    check_node()
    if fetched():
        return
    if only_check:
        give_up("the JavaScript peer's modules are not here, or are others", "make interop")
    say("js-libp2p into tests/e2e/interop/node_modules, once; it takes 35 MB of disk")
    # ci: exactly what package-lock.json says, or nothing. It holds no addresses, so npm asks the registry it is set to.
    command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=HOME, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())  # noqa: S603 - npm, by path
    if done.returncode:
        give_up(
            "npm could not fetch the packages", "read npm's message above; is there a network, and is the disk full?"
        )
    STAMP.write_text(json.dumps(fingerprint()))
    say("done: python -m pytest tests/e2e/interop")


if __name__ == "__main__":
    main()
