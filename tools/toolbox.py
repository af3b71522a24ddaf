"""Tools that must not stand in the environment that they look at: an environment of their own, in .tools."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".tools"
NEEDED = ("cyclonedx-bom>=7,<8", "pip-audit>=2.9,<3", "packaging>=24", "PyYAML>=6,<7")


def programs() -> Path:
    """Where the tools' programs lie; they are installed unless that was done."""
    stamp = HOME / "installed"
    wanted = "\n".join((sys.version, *NEEDED))
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(HOME, clear=True, with_pip=True)
        pip = [str(HOME / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", *NEEDED]
        if subprocess.run(pip, check=False).returncode:  # noqa: S603 - the tools' own pip
            raise SystemExit("error: the tools could not be installed; is there a package index?")
        stamp.write_text(wanted)
    return HOME / "bin"
