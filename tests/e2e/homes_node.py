"""`p2pfd`, forked from one process that has imported it once, in a namespace of its own: twelve nodes start as one.

A line on standard input has the namespace, the directory, the files for what it says and for its result, and the
words. The answer is a line with the child's process id; another one, with its exit code, comes when it has ended.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import sys
from typing import NoReturn

from p2pfd.cli.main import main

CLONE_NEWNET = 0x40000000
LOOK_SECONDS = 0.2


def enter(namespace: str) -> None:
    """This process is in that network from here on."""
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    os.close(handle)


def become(order: dict[str, str], words: list[str]) -> NoReturn:
    """The child: a process as if it had been started there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    enter(order["namespace"])
    os.chdir(order["home"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path in ((1, order["result"]), (2, order["said"])):
        os.dup2(os.open(path, flags, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["p2pfd", *words]
    code = 1
    try:
        code = main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tell(**what: int) -> None:
    """One line."""
    os.write(1, json.dumps(what).encode() + b"\n")


def serve() -> None:
    """Until standard input ends; then the children are killed."""
    for name in (
        "p2pfd.cli.program",
        "p2pfd.learning.model",
        "p2pfd.node.process",
        "p2pfd.node.waypoint",
        "sklearn.datasets",
    ):
        importlib.import_module(name)
    children: set[int] = set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rest = b""
    while True:
        for pid in tuple(children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                children.discard(pid)
                tell(ended=pid, code=os.waitstatus_to_exitcode(status))
        if not select.select([0], [], [], LOOK_SECONDS)[0]:
            continue
        raw = os.read(0, 1 << 16)
        if not raw:
            break
        *lines, rest = (rest + raw).split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if not pid:
                become(order, order["words"])
            children.add(pid)
            tell(pid=pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    serve()
