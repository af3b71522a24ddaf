"""Where the processor time of a local mesh goes: by process, by layer, and by function, with py-spy.

A mesh runs to its end as `localnet up` runs it. All processes' own counts of their time are read twice a second: they
give what a round costs, from the second round's opening to the last one's, so that neither the start nor the end is in
it. Some nodes are also looked at by py-spy, many times a second; a thread that waits is left out, one that waits
for a core is not. "Self" is the innermost function of Python; what it calls in C is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.processes import LOOK, PATIENT, PROGRAM, Looks, opened

IDLE = ("EpollIOManager.get_events", "WorkerThread._work", "Condition.wait", "BaseTimedCache._background_cleanup")
"""Where threads wait, which now and then is taken for work."""
STEM = ("runpy", "p2pfd_localnet/zygote", "node/process", "trio/_", "threading.py", "outcome/", "anyio_service")
"""What is below everything says nothing: it is left out of the cumulative counts."""
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("learning", ("/torch/", "p2pfd/learning", "p2pfd_adapters/", "/sklearn/", "/numpy/", "node/workbench")),
    ("noise", ("libp2p/security", "/noise/", "network/sealed", "/cryptography/hazmat/primitives/ciphers")),
    ("yamux", ("network/yamux", "network/muxstream", "network/quicklock", "libp2p/stream_muxer")),
    ("gossipsub", ("libp2p/pubsub", "network/gossip", "network/router", "network/pace", "network/inbox")),
    ("the rest of the network", ("p2pfd/network", "/libp2p/", "/multiaddr/", "/varint")),
    ("store (SQLite)", ("node/store", "settlement/outbox")),
    ("chain's client", ("p2pfd/settlement", "/h11/", "/eth_", "/rlp/", "node/settling", "core/boundedjson")),
    ("envelopes, signatures", ("p2pfd/wire", "core/_msgpack", "core/canonical", "/nacl/", "node/keys", "/coincurve/")),
    ("role", ("p2pfd/roles", "node/driver", "core/agenda", "p2pfd/core")),
    ("telemetry", ("node/telemetry", "node/neighbours", "node/metrics", "/logging/", "/json/")),
    ("the rest of the node", ("p2pfd/node", "p2pfd_localnet/")),
    ("event loop", ("/trio/",)),
)
"""The innermost function of a stack that is of a layer decides; trio's own count only where nobody called it."""


def layer(frames: Sequence[str]) -> str:
    """Whose time a stack is."""
    loop = False
    for frame in reversed([frame.replace("(", "(/") for frame in frames]):  # py-spy writes paths below site-packages
        if "/trio/" in frame:
            loop = True
            continue
        for name, places in LAYERS:
            if any(place in frame for place in places):
                if loop and name == "the rest of the node" and "process.py" in frame:
                    return "event loop"
                return name
    return "event loop" if loop else "other"


def spy() -> str:
    """Where py-spy is; empty when it is not installed."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("py-spy", path=places) or ""


def spied(pids: Sequence[int], seconds: int, rate: int, place: Path) -> list[tuple[subprocess.Popen[bytes], Path]]:
    """Begin to look at processes."""
    begun = []
    for pid in pids:
        out = place / f"{pid}.raw"
        words = [spy(), "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(rate)]
        words += ["--format", "raw", "--function", "--nonblocking", "--output", str(out)]
        begun.append((subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), out))
    return begun


def stacks(files: Sequence[Path]) -> Counter[tuple[str, ...]]:
    """How often each stack was seen, over all."""
    seen: Counter[tuple[str, ...]] = Counter()
    for file in files:
        for line in file.read_text().splitlines() if file.exists() else ():
            frames, _, count = line.rpartition(" ")
            stack = tuple(frame for frame in frames.split(";") if frame)
            if stack and not stack[-1].startswith(IDLE):
                seen[stack] += int(count)
    return seen


def short(frame: str) -> str:
    """A function with its module, as short as it is clear."""
    name, _, path = frame.partition(" (")
    parts = path.rstrip(")").removesuffix(".py").split("/")
    return f"`{name}` ({'/'.join(parts[-2:])})"


def tables(seen: Counter[tuple[str, ...]], most: int) -> None:
    """By layer, by function itself, and by function with what it calls."""
    total = sum(seen.values())
    layers: Counter[str] = Counter()
    own: Counter[str] = Counter()
    all_below: Counter[str] = Counter()
    for frames, count in seen.items():
        layers[layer(frames)] += count
        own[frames[-1]] += count
        for frame in {frame for frame in frames if not any(place in frame for place in STEM)}:
            all_below[frame] += count
    print(f"\n{total} stacks\n\n| layer | share |\n|---|--:|")
    for name, count in layers.most_common():
        print(f"| {name} | {100 * count / total:.1f} % |")
    for title, counts in (("self", own), ("cumulative", all_below)):
        print(f"\n| function | {title} |\n|---|--:|")
        for frame, count in counts.most_common(most):
            print(f"| {short(frame)} | {100 * count / total:.1f} % |")


def main() -> None:
    """Run a mesh, and tell where its time went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="digits")
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=6, help="so many nodes are looked at by py-spy; 0: none")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=50, help="looks a second")
    parser.add_argument("--keep", type=Path, help="a directory in which the stacks stay, as py-spy writes them")
    parser.add_argument("--most", type=int, default=10, help="rows of the tables by function")
    args = parser.parse_args()
    if args.sample and not spy():
        sys.exit("there is no py-spy: make install-dev; or see the processes alone, with --sample 0")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        place = Path(folder)
        mesh = place / "mesh"
        plan = place / "profile.toml"
        plan.write_text(f'preset = "{args.preset}"\n{PATIENT}')
        words = ["up", str(plan), "-n", str(args.nodes), "--rounds", str(args.rounds), "--state", str(mesh)]
        command = [sys.executable, "-c", PROGRAM, *words, "--json", "--no-serve", "--start-timeout", "600"]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        looks = Looks(process.pid)
        spies: list[tuple[subprocess.Popen[bytes], Path]] = []
        while process.poll() is None:
            looks.take()
            running = (mesh / "mesh.json").exists() and '"running"' in (mesh / "mesh.json").read_text()
            if args.sample and running and not spies:
                chosen = sorted(looks.nodes())[:: max(1, args.nodes // args.sample)][: args.sample]
                spies = spied(chosen, args.seconds, args.rate, place)
            time.sleep(LOOK)
        said.seek(0)
        out = said.read()
        if process.returncode:
            sys.exit(out)
        for watching, _ in spies:
            watching.wait()
        times = opened(mesh)
        if args.keep is not None:
            args.keep.mkdir(parents=True, exist_ok=True)
            for _, file in spies:
                shutil.copy(file, args.keep)
        seen = stacks([file for _, file in spies])
    spent = looks.between(times[1], times[-1])
    rounds = len(times) - 2
    told = json.loads(out.strip().splitlines()[-1])
    a_round = (times[-1] - times[1]) / rounds
    print(f"{args.nodes} nodes, {len(times)} rounds, {told['seconds']:.0f} s; a round {a_round:.1f} s")
    print("\n| processes | CPU seconds in all | a round | a round and node |\n|---|--:|--:|--:|")
    for part in ("nodes", "chain", "supervisor", "zygote"):
        a_round = spent.get(part, 0) / rounds
        whole = looks.history[-1][1].get(part, 0)
        print(f"| {part} | {whole:.1f} | {a_round:.2f} | {a_round / args.nodes:.4f} |")
    if seen:
        tables(seen, args.most)


if __name__ == "__main__":
    main()
