"""Fetch the local chains that p2pfd can settle on beside its own: ``python tools/chains.py``. Needs npm.

anvil and ganache, each at one version whose checksum stands below, go into the directory .chains and nowhere else.
It is skipped when nothing changed since the last time. A chain found on PATH is used before the one fetched here.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".chains"
STAMP = HOME / "p2pfd-chains.json"
PACKAGES = {"@foundry-rs/anvil": "1.7.1", "ganache": "7.9.2"}
CHECKSUMS = {
    "@foundry-rs/anvil": "rcy+hu8e90DNizfh5WpbJjMiadgDBtV3JHe2M6OsdmIzoDH77Gk0sVgNxr7LnBiKpkzt6pV2XEOI7XMXmJo1Kg==",
    "@foundry-rs/anvil-linux-amd64": (
        "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg=="
    ),
    "ganache": "7gsVVDpO9AhrFyDMWWl7SpMsPpqGcnAzjxz3k32LheIPNd64p2XsY9GYRdhWmKuryb60W1iaWPZWDkFKlbRWHA==",
}
"""SHA-512 of the packages as they were tried; of anvil's builds, one for each kind of machine, those that were."""


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write("chains   " + text + "\n")
    sys.stderr.flush()


def give_up(what: str, fix: str) -> None:
    """End with a reason and a way out."""
    sys.stderr.write(f"chains   error: {what}\n         fix:   {fix}\n")
    raise SystemExit(9)


def fingerprint() -> dict[str, str]:
    """Everything that the directory depends on."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return {"files": digest, "machine": f"{platform.system()} {platform.machine()}"}


def fetched(now: dict[str, str]) -> bool:
    """Whether the directory was filled by this, and still holds what it held."""
    try:
        held = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    return bool(held == now and all((HOME / "node_modules" / name / "package.json").is_file() for name in PACKAGES))


def check(lock: Path) -> None:
    """npm compares what it fetched with what the registry says; this compares it with what we said."""
    held = json.loads(lock.read_text())["packages"]
    for name, wanted in CHECKSUMS.items():
        entry = held.get(f"node_modules/{name}")
        if entry is not None and entry.get("integrity") != "sha512-" + wanted:
            give_up(
                f"{name} is not the package that was tried: its checksum is {entry.get('integrity')}",
                "do not run it; look at what the registry of this npm offers under that name",
            )


def main() -> None:
    """Fetch, unless that was done."""
    now = fingerprint()
    if fetched(now):
        return
    npm = shutil.which("npm")
    if npm is None:
        give_up(
            "there is no npm on this machine",
            "install Node.js 18 or newer (Debian and Ubuntu: apt-get install npm), "
            "or put an anvil of your own on PATH; the embedded chain needs neither",
        )
    say("anvil 1.7.1 and ganache 7.9.2 into .chains, once; they take 220 MB of disk")
    HOME.mkdir(exist_ok=True)
    STAMP.unlink(missing_ok=True)
    (HOME / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))
    command = [str(npm), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=HOME, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())  # noqa: S603 - npm, by path
    if done.returncode:
        give_up("npm could not fetch the chains", "read npm's message above; is there a network, and is the disk full?")
    check(HOME / "node_modules" / ".package-lock.json")
    STAMP.write_text(json.dumps(now))
    say("done: localnet up --chain anvil, localnet up --chain ganache")


if __name__ == "__main__":
    main()
