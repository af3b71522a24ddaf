"""Build the source archive and the wheel, look into both, install the wheel elsewhere and run it.

python tools/wheel_check.py [--out DIR] [--python PYTHON]... [--without-torch] [--only-look]

The packages are installed by pip with whatever indexes it is configured with; torch as constraints.txt pins it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from email import message_from_string
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("p2pfd", "p2pfd_adapters", "p2pfd_localnet")
DATA = (
    "p2pfd/cli/output.schema.json",
    "p2pfd/experiment/presets/first-look.toml",
    "p2pfd/settlement/artifacts/Encounters.json",
    "p2pfd/settlement/artifacts/LabelMarket.json",
    "p2pfd/settlement/artifacts/Token.json",
    "p2pfd_localnet/grafana/p2pfd.json",
    "p2pfd_localnet/page/app.js",
    "p2pfd_localnet/page/index.html",
    "p2pfd_localnet/page/style.css",
    *(f"{package}/py.typed" for package in PACKAGES),
)
SUFFIXES = (".py", ".json", ".toml", ".js", ".css", ".html", ".svg", ".typed")
SOURCES = ("p2pfd", "adapters", "localnet", "contracts", "docs/howto/grafana")
TOP = ("README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "pyproject.toml", "PKG-INFO", ".gitignore")
UP = ("localnet", "up", "small", "-n", "2", "--rounds", "1", "--plain")
WITHOUT_TORCH = (
    ("p2pfd", "version"),
    ("p2pfd", "sim", "-n", "10", "--rounds", "2", "--plain"),
    ("p2pfd", "incentives", "table", "--rounds", "1", "--plain"),
    ("localnet", "presets"),
)


def wheel_problems(names: Iterable[str]) -> list[str]:
    """What a wheel has too much or too little of."""
    held = list(names)
    tops = {name.split("/")[0] for name in held}
    found = [f"{top} is none of ours" for top in sorted(tops - {*PACKAGES}) if not top.endswith(".dist-info")]
    found += [f"{name} is missing" for name in DATA if name not in held]
    inside = [name for name in held if name.split("/")[0] in PACKAGES]
    found += [f"{name} should not be there" for name in inside if not name.endswith(SUFFIXES) or "__pycache__" in name]
    if not any(name.endswith("licenses/LICENSE") for name in held):
        found.append("the licence is missing")
    return found


def source_problems(names: Iterable[str]) -> list[str]:
    """What a source archive has too much or too little of."""
    held = [name.partition("/")[2] for name in names]
    ours = tuple(f"{folder}/" for folder in SOURCES)
    found = [f"{name} should not be there" for name in held if name not in TOP and not name.startswith(ours)]
    found += [f"{name} is missing" for name in (*TOP[:-1], "contracts/vyper/SPEC.md") if name not in held]
    return found


def requirements(wheel: Path) -> list[str]:
    """What the wheel asks for, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = message_from_string(archive.read(name).decode()).get_all("Requires-Dist") or []
    return [line for line in said if "extra ==" not in line]


def look(wheel: Path, source: Path) -> list[str]:
    """What is wrong with the two archives."""
    with zipfile.ZipFile(wheel) as archive, tarfile.open(source) as sources:
        files = [entry.name for entry in sources.getmembers() if entry.isfile()]
        return wheel_problems(archive.namelist()) + source_problems(files)


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write(f"wheel    {text}\n")
    sys.stderr.flush()


def run(*words: str | Path, where: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What a command prints; it must end well."""
    line = [str(word) for word in words]
    done = subprocess.run(line, cwd=where, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise SystemExit(f"wheel    {' '.join(line)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def install(python: str, wheel: Path, folder: Path, without_torch: bool) -> Path:
    """An environment of this Python with the wheel in it; where its programs lie."""
    run(python, "-m", "venv", folder)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "-q")
    if without_torch:
        run(*pip, *(line for line in requirements(wheel) if not line.startswith("torch")))
        run(*pip, "--no-deps", wheel)
    else:
        run(*pip, "-c", ROOT / "constraints.txt", wheel)
    return folder / "bin"


def check(python: str, wheel: Path, without_torch: bool) -> None:
    """Install it in an empty environment and use it from an empty directory."""
    with tempfile.TemporaryDirectory(prefix="p2pfd-wheel-") as temp:
        home = Path(temp, "elsewhere")
        home.mkdir()
        programs = install(python, wheel, Path(temp, "env"), without_torch)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        env = {**kept, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]), "HOME": str(home)}
        commands: Sequence[Sequence[str]] = WITHOUT_TORCH if without_torch else (WITHOUT_TORCH[0], UP)
        for words in commands:
            last = run(programs / words[0], *words[1:], where=home, env=env).strip().splitlines()[-1]
            say(f"{python}: {' '.join(words)}: {last}")


def main() -> None:
    """Build, look, install, run."""
    parser = argparse.ArgumentParser(description="Build the archives, look into them, install and run the wheel.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the archives go")
    parser.add_argument("--python", action="append", help="an interpreter to install for; several times")
    parser.add_argument("--without-torch", action="store_true", help="install all but torch, and run what needs none")
    parser.add_argument("--only-look", action="store_true", help="build and look, and install nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for old in args.out.glob("p2pfd-*"):
        old.unlink()
    say(f"building into {args.out}")
    run(sys.executable, "-m", "build", "--outdir", args.out, ROOT)
    [wheel], [source] = args.out.glob("*.whl"), args.out.glob("*.tar.gz")
    if problems := look(wheel, source):
        raise SystemExit("\n".join(f"wheel    {problem}" for problem in problems))
    for path in (wheel, source):
        say(f"{path.name}, {path.stat().st_size:,} bytes: what is in it is right")
    for python in [] if args.only_look else args.python or [sys.executable]:
        check(python, wheel, args.without_torch)


if __name__ == "__main__":
    main()
