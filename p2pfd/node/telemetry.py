"""One stream of events per node, a JSON object a line: what `logs`, `status` and reports read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import structlog

from p2pfd.core.ticks import Clock
from p2pfd.errors import EnvironmentProblem

FILE = "events.jsonl"
Emitter = Callable[[str, Mapping[str, object]], None]


def _text(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return str(value)


def _render(_: object, __: str, fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, default=_text, separators=(",", ":"), ensure_ascii=False)


def event_stream(path: Path, node: str, clock: Clock) -> tuple[Emitter, IO[str]]:
    """A function that writes events to a file, line by line, and the file to close in the end."""
    stream = path.open("a", buffering=1, encoding="utf-8")

    def stamp(_: object, __: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        event = fields["event"]
        rest = {key: value for key, value in fields.items() if key != "event"}
        return {"t": clock.now(), "node": node, "event": event, **rest}

    log = structlog.wrap_logger(
        structlog.WriteLogger(stream), processors=[stamp, _render], cache_logger_on_first_use=True
    )

    def emit(name: str, fields: Mapping[str, object]) -> None:
        try:
            log.msg(name, **fields)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror}", "free some disk space") from error

    return emit, stream
