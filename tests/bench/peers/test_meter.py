"""The meter misses nothing of a command: not what orphans use, nor what passes its sockets; and it leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.peers.runs import HERE

BURNT, SENT = 0.4, 300_000
ORPHAN = f"""
import os, socket, sys, threading, time
server = socket.create_server(("127.0.0.1", 0))
def take():
    link, _ = server.accept()
    while link.recv(65536): pass
taker = threading.Thread(target=take); taker.start()
with socket.create_connection(server.getsockname()) as link:
    link.sendall(bytes({SENT}))
taker.join()
if os.fork():
    sys.exit(0)
os.setsid()
if os.fork():
    os._exit(0)
end = time.process_time() + {BURNT}
while time.process_time() < end: pass
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""
STAYING = """
import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces")
def test_orphans_count_and_do_not_stay(tmp_path: Path) -> None:
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*alone, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no network namespaces for this user")
    out, told = tmp_path / "meter.json", tmp_path / "pid"
    script = f'"{sys.executable}" -c "$1" "$0" && exec "{sys.executable}" -c "$2" "$0"'
    command = ["sh", "-c", script, str(told), ORPHAN, STAYING]
    subprocess.run(
        [*alone, sys.executable, str(HERE / "meter.py"), str(out), "60", str(tmp_path), "--", *command], check=True
    )
    found = json.loads(out.read_text())
    assert found["code"] == 0, (tmp_path / "err.log").read_text()
    assert not found["cut_off"]
    assert found["cpu_seconds"] >= BURNT
    assert SENT < found["wire_bytes"] < 2 * SENT
    assert found["peak_bytes"] > 0, "at the first look there may be no more than a shell that has just been forked"
    assert found["begun"] <= time.time()
    orphan = int(told.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(orphan, 0)
