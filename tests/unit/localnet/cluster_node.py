"""What a node does as far as a host can tell: it writes, says so, repeats what it hears, and ends when told to."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def run(config: Path, control: int, status: int) -> int:
    home = config.parent
    (home / "events.jsonl").write_text('{"t":1,"node":"node-0","event":"node.ready"}\n')

    def say(**fields: object) -> None:
        os.write(status, json.dumps({"node": home.name, **fields}).encode() + b"\n")

    say(event="ready", pid=os.getpid())
    with os.fdopen(control, "rb") as lines:
        for line in lines:
            say(event="heard", line=json.loads(line))
    sys.stdout.write("the end\n")
    return 0
