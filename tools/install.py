"""Make or refresh the virtual environment: ``python tools/install.py [--dev]``. Needs nothing but a Python.

It is skipped when nothing changed since the last time: pyproject.toml, constraints.txt, the Python and TORCH are
stamped into the environment. torch is the largest part by far, so the build without GPU code is preferred:
first from whatever indexes pip is configured with, then, on Linux, from PyTorch's own, and at last the plain one.
The environment variable TORCH overrides all that with one pip requirement, which is remembered (docs/howto/gpu.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

OLDEST, NEWEST = (3, 11), (3, 13)
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "p2pfd-install.json"


def say(text: str) -> None:
    """Tell whoever watches the installation."""
    sys.stderr.write("install  " + text + "\n")
    sys.stderr.flush()


def give_up(what: str, fix: str) -> None:
    """End with a reason and a way out."""
    sys.stderr.write(f"install  error: {what}\n         fix:   {fix}\n")
    raise SystemExit(9)


def check_python() -> None:
    """This release runs on some versions of Python and not on others."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    found = "{}.{}".format(*sys.version_info[:2])
    wanted = "{}.{} to {}.{}".format(*OLDEST, *NEWEST)
    give_up(
        f"{sys.executable} is Python {found}, and p2pfd runs on {wanted}",
        "name another one, for example: make up PYTHON=python3.12",
    )


def fingerprint() -> dict[str, str]:
    """Everything that an installed environment depends on."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "tools/install.py"):
        digest.update((ROOT / name).read_bytes())
    return {"files": digest.hexdigest(), "python": platform.python_version(), "torch": chosen_torch()}


def chosen_torch() -> str:
    """The requirement in TORCH, or the one of last time; empty for the build without GPU code."""
    chosen = os.environ.get("TORCH")
    if chosen is None:
        chosen = str(stamp().get("from", {}).get("torch", ""))
    return "" if chosen == "cpu" else chosen


def stamp() -> dict[str, Any]:
    """What the environment was made from; empty when nobody knows."""
    try:
        held = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) and isinstance(held.get("from"), dict) else {}


def installed(now: dict[str, str], dev: bool) -> bool:
    """Whether the environment was made from exactly this, with at least these extras."""
    held = stamp()
    return bool(held.get("from") == now and (held.get("dev") or not dev))


def make_environment() -> None:
    """An empty virtual environment, unless there is one of this Python."""
    config = VENV / "pyvenv.cfg"
    if config.exists() and (VENV / "bin" / "python").exists():
        probe = [str(VENV / "bin" / "python"), "-c", "import platform; print(platform.python_version())"]
        found = subprocess.run(probe, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own interpreter
        if found == platform.python_version():
            return
        say(".venv holds Python {}; made anew with {}".format(found or "nothing that runs", platform.python_version()))
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)  # noqa: S603 - this interpreter
    if made.returncode:
        give_up(
            f"{sys.executable} -m venv failed",
            "install Python's venv module (Debian and Ubuntu: apt-get install python3-venv) and run this again",
        )


def pip(*arguments: str, quiet: bool = False) -> bool:
    """Run the environment's pip; whether it succeeded."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    sink = subprocess.DEVNULL if quiet else None
    # pip's own messages go to stderr, so that a command such as `make up` keeps stdout for its result.
    out = sink or sys.stderr.fileno()
    return subprocess.run(command, check=False, stdout=out, stderr=sink).returncode == 0  # noqa: S603 - pip, by path


def pinned_torch() -> str:
    """The version of torch in constraints.txt."""
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.startswith("torch=="):
            return line.strip()
    give_up("constraints.txt does not pin torch", "restore the line torch==VERSION")
    return ""


def install_torch(chosen: str) -> None:
    """torch by the first way that works here."""
    constraints = ["-c", str(ROOT / "constraints.txt")]
    if chosen:
        say(f"torch as TORCH asks: {chosen}")
        if not pip("install", "-qq", *chosen.split()):
            give_up(f"pip could not install {chosen!r}", "check TORCH; docs/howto/gpu.md has examples")
        return
    pin = pinned_torch()
    probe = ["install", "-qq", "--dry-run", "--no-deps", "--only-binary=:all:", pin + "+cpu"]
    if pip(*probe, quiet=True):
        done = pip("install", "-qq", pin + "+cpu")
    elif platform.system() == "Linux":
        say("torch from " + TORCH_CPU_INDEX)
        done = pip("install", "-qq", "--extra-index-url", TORCH_CPU_INDEX, pin + "+cpu")
        if not done:
            say("no build without GPU code was found; taking the full one, which is several GB")
            done = pip("install", "-qq", *constraints, "torch")
    else:
        done = pip("install", "-qq", *constraints, "torch")
    if not done:
        give_up("pip could not install " + pin, "read pip's message above; is there a network, and is the disk full?")


def size_of(folder: Path) -> int:
    """The bytes of all files under a folder."""
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file() and not entry.is_symlink())


def main() -> None:
    """Install, unless that was done."""
    parser = argparse.ArgumentParser(description="Make or refresh .venv.")
    parser.add_argument("--dev", action="store_true", help="also what the tests and checks need")
    dev = parser.parse_args().dev
    check_python()
    now = fingerprint()
    if installed(now, dev):
        return
    say(f"Python {platform.python_version()} into .venv, once; about 300 MB to fetch, of which torch is 190 MB")
    make_environment()
    STAMP.unlink(missing_ok=True)
    install_torch(now["torch"])
    target = str(ROOT) + ("[dev]" if dev else "")
    say("p2pfd and what it stands on" + (", and the tools of the developers" if dev else ""))
    pins = [] if now["torch"] else ["-c", str(ROOT / "constraints.txt")]
    if not pip("install", "-qq", *pins, "-e", target):
        give_up("pip could not install p2pfd", "read pip's message above; is there a network, and is the disk full?")
    STAMP.write_text(json.dumps({"from": now, "dev": dev}))
    say(f"done: .venv takes {size_of(VENV) // 1_000_000} MB")


if __name__ == "__main__":
    main()
