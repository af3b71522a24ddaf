"""A bill of materials of an environment, as CycloneDX JSON: python tools/sbom.py [--out FILE] [--environment DIR]."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from toolbox import ROOT, programs


def main() -> None:
    """Write it, and say how many packages it names."""
    parser = argparse.ArgumentParser(description="Write a bill of materials of an environment.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "sbom.json")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(programs() / "cyclonedx-py"), "environment", str(args.environment / "bin" / "python")),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--of", "JSON", "--output-reproducible", "-o", str(args.out)),
    ]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - a tool of ours, by path
        raise SystemExit("error: cyclonedx-py failed; what it said stands above")
    held = json.loads(args.out.read_text())
    sys.stderr.write(f"sbom     {args.out}: CycloneDX {held['specVersion']}, {len(held['components'])} packages\n")


if __name__ == "__main__":
    main()
