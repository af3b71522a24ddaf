"""The rivals' environments, each of its own: ``make bench-peers`` makes those that are missing before it measures.

They lie in `.bench/peers` and take about 4 GB. Nothing of them touches `.venv`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
HOME = Path(os.environ.get("PEERS_HOME", ROOT / ".bench" / "peers"))
RIVALS = {
    "flower": (("requirements-flower.txt", ()),),
    "p2pfl": (("requirements-p2pfl.txt", ()), ("requirements-p2pfl-bare.txt", ("--no-deps",))),
}
SHOWN = {"flower": ("flwr", "ray", "torch"), "p2pfl": ("p2pfl", "ray", "grpcio", "lightning", "torch")}
STAMP = "installed.json"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Asked for the build that p2pfd has here, if pip's own places do not have it."""
ASKED = "import json,sys,importlib.metadata as m;print(json.dumps({n:m.version(n) for n in sys.argv[1:]}))"


def python_of(rival: str) -> Path:
    """A rival's interpreter."""
    return HOME / rival / "bin" / "python"


def digest(rival: str) -> str:
    """Of what a rival's environment is made from."""
    parts = [(HERE / name).read_bytes() for name, _ in RIVALS[rival]]
    return hashlib.sha256(b"\0".join([*parts, sys.version.encode()])).hexdigest()


def missing(rival: str) -> bool:
    """Whether its environment is not here, or was made from something else."""
    stamp = HOME / rival / STAMP
    return not stamp.exists() or json.loads(stamp.read_text())["digest"] != digest(rival)


def install(rival: str) -> None:
    """Make it anew."""
    place = HOME / rival
    if place.exists():
        shutil.rmtree(place)
    print(f"installing {rival} into {place} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    build = f"torch=={version('torch')}"
    if not _pip(rival, build) and not _pip(rival, "--extra-index-url", TORCH_CPU_INDEX, build):
        raise SystemExit(
            f"error: pip finds no {build} for {rival}. Fix: install that build in .venv which pip can find"
        )
    for name, options in RIVALS[rival]:
        if not _pip(rival, *options, "-r", str(HERE / name)):
            raise SystemExit(f"error: {rival} cannot be installed; what pip says stands above. Fix: see {HERE / name}")
    (place / STAMP).write_text(json.dumps({"digest": digest(rival), "versions": versions(rival)}))


def _pip(rival: str, *asked: str) -> bool:
    """Whether its pip could install this."""
    command = [str(python_of(rival)), "-m", "pip", "install", "-q", "--disable-pip-version-check", *asked]
    return subprocess.run(command, check=False).returncode == 0


def versions(rival: str) -> dict[str, str]:
    """What is in it that results depend on."""
    asked = [str(python_of(rival)), "-c", ASKED, *SHOWN[rival]]
    found: dict[str, str] = json.loads(subprocess.run(asked, capture_output=True, check=True, text=True).stdout)
    return found


def main() -> None:
    """Make what is missing."""
    for rival in RIVALS:
        if missing(rival):
            install(rival)
        print(f"{rival}: {', '.join(f'{name} {version}' for name, version in versions(rival).items())}")


if __name__ == "__main__":
    main()
