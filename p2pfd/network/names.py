"""What may be said under which name, whatever the transport."""

from __future__ import annotations

import re

from p2pfd.errors import NetworkError
from p2pfd.network.api import Topic
from p2pfd.network.settings import NetworkSettings

MAX_TOPIC = 256
_REQUEST = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")


def check_topic(topic: Topic) -> None:
    """NetworkError unless it can be a topic's name."""
    if not 0 < len(topic.encode()) <= MAX_TOPIC:
        raise NetworkError(f"the topic {topic[:50]!r} is empty or long", f"a topic has 1 to {MAX_TOPIC} bytes")


def check_message(topic: Topic, raw: bytes, settings: NetworkSettings) -> None:
    """NetworkError unless this can be published."""
    check_topic(topic)
    if len(raw) > settings.message_bytes:
        raise NetworkError(
            f"a message of {len(raw)} bytes on {topic}, at most {settings.message_bytes}",
            "put it as a blob, and publish its hash",
        )


def check_request(name: str) -> None:
    """NetworkError unless it can be a request's name."""
    if not _REQUEST.match(name):
        raise NetworkError(f"{name!r} is no name for a request", "use 1 to 64 of a–z, 0–9, dot, dash and underscore")
