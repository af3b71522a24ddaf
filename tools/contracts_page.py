"""The page of the contracts' interfaces, from the compiled contracts that come along with p2pfd."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_utils import keccak

ARTIFACTS = Path(__file__).parents[1] / "p2pfd" / "settlement" / "artifacts"
HEAD = """# The contracts' interfaces

<!-- written by python -m tools.reference -->

From the compiled contracts that come along (`p2pfd/settlement/artifacts`), for whoever calls them from elsewhere. What
the functions do, in which order they refuse and with which words, and what each was measured to cost is in the
[specification](../../contracts/vyper/SPEC.md). A selector is the first four bytes of the Keccak-256 of the signature, a
topic all 32. Amounts are in the token's smallest unit, times in seconds of the chain.
"""


def type_of(entry: Mapping[str, Any]) -> str:
    """A parameter's type as signatures have it."""
    kind = str(entry["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(map(type_of, entry["components"])) + ")" + kind.removeprefix("tuple")


def signature(entry: Mapping[str, Any]) -> str:
    """Name and types, of which selectors and topics are hashes."""
    return f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"


def named(parameters: Sequence[Mapping[str, Any]]) -> str:
    """Parameters as one reads them."""
    shown = []
    for entry in parameters:
        kind = type_of(entry) + (" indexed" if entry.get("indexed") else "")
        shown.append(f"{kind} {entry.get('name', '')}".strip())
    return ", ".join(shown)


def contract(path: Path) -> str:
    """One contract's section."""
    held = json.loads(path.read_text())
    abi = held["abi"]
    sources = ", ".join(f"`{name}`" for name in held["sources"])
    lines = [
        f"\n## {held['contract']}\n",
        f"{held['runtime_bytes']:,} bytes of code, by {held['compiler']} for {held['evm']}, from {sources}.\n",
    ]
    made = next((entry for entry in abi if entry["type"] == "constructor"), None)
    lines.append(f"Constructor: `({named(made['inputs'])})`\n" if made else "The constructor takes nothing.\n")
    functions = sorted((entry for entry in abi if entry["type"] == "function"), key=lambda entry: entry["name"])
    for title, views in (("Functions that change something", False), ("Functions that only read", True)):
        rows = [
            f"| `{keccak(text=signature(f))[:4].hex()}` | `{f['name']}({named(f['inputs'])})` | "
            + (f"`{named(f['outputs'])}` |" if f["outputs"] else "|")
            for f in functions
            if (f["stateMutability"] in ("view", "pure")) == views
        ]
        if rows:
            lines += [
                f"### {title} of {held['contract']}\n",
                "| selector | function | returns |",
                "|---|---|---|",
                *rows,
            ]
            lines.append("")
    events = sorted((entry for entry in abi if entry["type"] == "event"), key=lambda entry: entry["name"])
    if events:
        lines += [f"### Events of {held['contract']}\n", "| topic | event |", "|---|---|"]
        lines += [f"| `{keccak(text=signature(e)).hex()}` | `{e['name']}({named(e['inputs'])})` |" for e in events]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return HEAD + "".join(contract(path) for path in sorted(ARTIFACTS.glob("*.json")))
