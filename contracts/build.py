"""Compile the contracts and write their ABI and bytecode where the package finds them; ``--check`` only compares.

Run as ``python contracts/build.py [--check] [CONTRACT ...]`` where the ``contracts`` extra is installed. Nothing needs
it at run time.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

from vyper.compiler import compile_from_file_input
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.settings import OptimizationLevel, Settings

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "vyper"
ARTIFACTS = HERE.parent / "p2pfd" / "settlement" / "artifacts"
LIBRARIES = Path(str(distribution("snekmate").locate_file("")))
EVM = "shanghai"
PARTS = {
    "Token": ("Token.vy",),
    "LabelMarket": ("LabelMarket.vy", "rounds.vy", "serum.vy", "staking.vy"),
    "OptimisticMarket": ("OptimisticMarket.vy", "Court.vy", "rounds.vy", "staking.vy"),
    "SampledMarket": ("SampledMarket.vy", "Court.vy", "rounds.vy", "serum.vy", "staking.vy"),
    "Court": ("Court.vy", "serum.vy"),
    "Encounters": ("Encounters.vy", "purse.vy", "registry.vy", "papers.vy"),
}


def compiled(path: Path) -> dict[str, Any]:
    """A contract's ABI and bytecode."""
    bundle = FilesystemInputBundle([SOURCES, LIBRARIES])
    with _seldom_collected():
        out = compile_from_file_input(
            bundle.load_file(path.resolve()),
            input_bundle=bundle,
            output_formats=["abi", "bytecode", "bytecode_runtime"],
            settings=Settings(evm_version=EVM, optimize=OptimizationLevel.GAS),
        )
    return {key: out[key] for key in ("abi", "bytecode", "bytecode_runtime")}


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Nearly all that the compiler makes lives until it is done: to look for cycles in it is a fifth of its time."""
    usual = gc.get_threshold()
    gc.set_threshold(200_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def artifact(name: str) -> str:
    """The text of a contract's artifact file."""
    out = compiled(SOURCES / f"{name}.vy")
    value = {
        "contract": name,
        "compiler": f"vyper {version('vyper')}",
        "libraries": f"snekmate {version('snekmate')}",
        "evm": EVM,
        "sources": {part: hashlib.sha256((SOURCES / part).read_bytes()).hexdigest() for part in PARTS[name]},
        "runtime_bytes": len(out["bytecode_runtime"]) // 2 - 1,
        "abi": out["abi"],
        "bytecode": out["bytecode"],
    }
    return json.dumps(value, indent=1, sort_keys=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the artifacts, or say which of them are not what the sources compile to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("names", nargs="*", metavar="CONTRACT", help="these alone; all of them where none is named")
    given = parser.parse_args(arguments)
    check = given.check
    stale = []
    for name in given.names or PARTS:
        target = ARTIFACTS / f"{name}.json"
        text = artifact(name)
        if not target.exists() or target.read_text() != text:
            stale.append(name)
            if not check:
                target.write_text(text)
    if check and stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python contracts/build.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
