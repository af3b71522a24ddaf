"""Known weaknesses of what is installed: python tools/audit.py [--advisories DIR] [--environment DIR].

Without a folder pip-audit asks the package index about every package. With one, nobody is asked: the folder holds
advisories in the OSV format, as YAML or JSON (https://github.com/pypa/advisory-database has them under vulns/), and
each installed version is compared with what they name. Ends with 5 where there is a weakness, and with 1 where a
package could not be looked up: no answer is not a clean bill.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = "p2pfd"


@dataclass(frozen=True)
class Finding:
    """A weakness of an installed package, and the versions that are free of it."""

    package: str
    version: str
    name: str
    fixed: tuple[str, ...]


def plain(name: str) -> str:
    """A package's name in its one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(environment: Path) -> dict[str, str]:
    """The packages of an environment and their versions."""
    command = [str(environment / "bin" / "python"), "-m", "pip", "list", "--format", "json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - pip, by path
    return {plain(each["name"]): each["version"] for each in json.loads(told) if plain(each["name"]) != OURS}


def affected(version: str, entry: Mapping[str, Any]) -> bool:
    """Whether an advisory's entry for a package names this version."""
    from packaging.version import InvalidVersion, Version

    if version in entry.get("versions", ()):
        return True
    try:
        mine = Version(version)
    except InvalidVersion:
        return False
    for extent in entry.get("ranges", ()):
        if extent.get("type") != "ECOSYSTEM":
            continue
        inside = False
        for event in extent["events"]:
            for kind, bound in event.items():
                if kind == "introduced" and (bound == "0" or Version(str(bound)) <= mine):
                    inside = True
                if kind == "fixed" and Version(str(bound)) <= mine:
                    inside = False
                if kind == "last_affected" and Version(str(bound)) < mine:
                    inside = False
        if inside:
            return True
    return False


def advisories(folder: Path) -> Iterator[dict[str, Any]]:
    """Every advisory in a folder that was not taken back."""
    import yaml

    quick = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".json"):
            held = yaml.load(path.read_text(encoding="utf-8"), Loader=quick)  # noqa: S506 - both loaders are safe ones
            if isinstance(held, dict) and "affected" in held and "withdrawn" not in held:
                yield held


def compared(packages: Mapping[str, str], held: list[dict[str, Any]]) -> list[Finding]:
    """The installed versions that an advisory names."""
    found = []
    for advisory in held:
        for entry in advisory["affected"]:
            name = plain(entry["package"]["name"])
            if entry["package"].get("ecosystem") == "PyPI" and name in packages and affected(packages[name], entry):
                events = [event for extent in entry.get("ranges", ()) for event in extent.get("events", ())]
                fixed = tuple(str(event["fixed"]) for event in events if "fixed" in event)
                found.append(Finding(name, packages[name], advisory["id"], fixed))
    return found


def asked(environment: Path) -> tuple[list[Finding], list[str]]:
    """What the package index knows, by pip-audit, and the packages about which it did not answer."""
    [site] = (environment / "lib").glob("python3*/site-packages")
    command = [str(Path(sys.executable).parent / "pip-audit"), "--path", str(site), "-f", "json"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)  # noqa: S603 - a tool of ours
    try:
        told = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise SystemExit(f"error: pip-audit said nothing that can be read\n{done.stderr}") from None
    found = [
        Finding(plain(each["name"]), each["version"], weak["id"], tuple(weak["fix_versions"]))
        for each in told
        for weak in each.get("vulns", ())
    ]
    return found, [plain(each["name"]) for each in told if "skip_reason" in each and plain(each["name"]) != OURS]


def main() -> int:
    """Look, and say what was found."""
    parser = argparse.ArgumentParser(description="Look for known weaknesses of what is installed.")
    parser.add_argument("--advisories", type=Path, help="a folder of advisories (OSV); nobody is asked then")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv")
    args = parser.parse_args()
    packages = installed(args.environment)
    unknown: list[str] = []
    if args.advisories is None:
        found, unknown = asked(args.environment)
        source = "the package index"
    else:
        held = list(advisories(args.advisories))
        if not held:
            raise SystemExit(f"error: {args.advisories} holds no advisories in the OSV format")
        found = compared(packages, held)
        newest = max(str(each.get("modified", ""))[:10] for each in held)
        source = f"{len(held):,} advisories, the newest of {newest}"
    for each in found:
        better = " or ".join(each.fixed) or "no version"
        print(f"{each.package} {each.version}: {each.name}, free of it: {better}")  # noqa: T201 - its result
    if unknown:
        print(f"not looked up: {', '.join(sorted(unknown))}")  # noqa: T201 - its result
    looked = len(packages) - len(unknown)
    print(f"audit    {looked} of {len(packages)} packages by {source}: {len(found)} weaknesses")  # noqa: T201 - its result
    return 5 if found else 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
