"""What the tests need: a Node.js with the modules that the peer stands on, and nodes that listen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALLER = Path(__file__).parents[3] / "tools" / "interop.py"


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js; skips with the reason where it or a module is missing, and fails in CI."""
    checked = subprocess.run([sys.executable, str(INSTALLER), "--check"], capture_output=True, text=True, check=False)
    found = shutil.which("node")
    if checked.returncode == 0 and found is not None:
        return found
    reason = checked.stderr.strip() or "there is no node on PATH"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
