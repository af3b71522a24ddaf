"""The page on the wire format says what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args

from p2pfd.core.ids import Digest, RoundId, TaskId, base58_decode
from p2pfd.node.keys import NodeKeys, verify
from p2pfd.node.ports import topic_of
from p2pfd.settlement.accounts import AccountKey, recover
from p2pfd.wire import codec, envelope
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_MESSAGE, MESSAGE_LIMITS, PEER_TEXT
from p2pfd.wire.messages import Commit, Message
from p2pfd.wire.vouch import account_statement, check_vouch, peer_statement, vouch

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "wire-format.md").read_text(encoding="utf-8")
KEYS = NodeKeys(b"\1" * 32, AccountKey(b"\2" * 32))
TASK = TaskId(bytes(range(32)))
COMMIT = Commit(RoundId(3), Digest(b"\xcc" * 32), b"\xdd" * 32)
HEX_WORDS = re.compile(r"(?:[0-9a-f]{2})+\Z")


def _example(name: str) -> str:
    found = re.findall(rf"<!-- example: {name} -->\n```text\n(.*?)\n```", PAGE, re.DOTALL)
    assert len(found) == 1, name
    return str(found[0])


def _bytes(name: str) -> bytes:
    """The hexadecimal words at the start of each line; what stands behind two spaces after them is a remark."""
    out = bytearray()
    for line in _example(name).splitlines():
        for word in line.strip().split("  ")[0].split():
            assert HEX_WORDS.match(word), line
            out += bytes.fromhex(word)
    return bytes(out)


def _rows(heading: str, columns: int) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1]
    table = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.group(1).splitlines()]
    assert all(len(row) == columns for row in rows)
    return rows


def test_the_names_are_those_of_the_keys() -> None:
    assert _example("peer") == KEYS.peer
    assert _example("account") == KEYS.account.account


def test_the_topic_is_the_one_that_nodes_use() -> None:
    assert f"for the task in the example below `{topic_of(TASK)}`" in PAGE


def test_a_peer_id_is_made_as_the_page_says() -> None:
    front = re.search(r"of 38 bytes: `([0-9a-f ]+)` and the 32 of", PAGE)
    assert front is not None
    assert base58_decode(KEYS.peer) == bytes.fromhex(front[1]) + KEYS.public
    assert f"always {len(KEYS.peer)} letters" in PAGE
    assert len(KEYS.peer) == PEER_TEXT
    assert KEYS.peer.startswith("12D3KooW")


def test_the_envelope_is_what_a_node_publishes() -> None:
    raw = envelope.seal(COMMIT, TASK, 5, KEYS.peer, KEYS.sign)
    assert _bytes("envelope") == raw
    assert f"these {len(raw)} bytes" in PAGE
    assert envelope.open_envelope(_bytes("envelope"), verify, task=TASK, sender=KEYS.peer).body == COMMIT


def test_the_signed_bytes_are_what_a_node_signs() -> None:
    assert _bytes("signed") == envelope.signed_bytes(TASK, KEYS.peer, 5, codec.encode(COMMIT))
    assert verify(KEYS.peer, _bytes("signed"), _bytes("envelope")[-64:])


def test_the_hello_is_what_a_node_says() -> None:
    hello = vouch(TASK, KEYS)
    assert _bytes("peer statement") == peer_statement(TASK, KEYS.account.account)
    assert _example("account statement").encode() == account_statement(TASK, KEYS.peer)
    assert (_bytes("by_peer"), _bytes("by_account")) == (hello.by_peer, hello.by_account)
    check_vouch(hello, TASK, verify, recover)


def test_the_limits_are_those_of_the_code() -> None:
    said = {row[0].strip("`"): int(row[1].replace(",", "")) for row in _rows("Limits", 3)}
    assert said == {**MESSAGE_LIMITS, "envelope": MAX_ENVELOPE}
    assert all(row[2] for row in _rows("Limits", 3))


def test_the_messages_are_those_of_the_code() -> None:
    said: dict[str, set[str]] = {}
    kind = ""
    for row in _rows("Messages", 3):
        kind = row[0].strip("`") or kind
        said.setdefault(kind, set()).add(row[1].strip("`"))
    assert said == {
        message.__name__.lower(): {entry.name for entry in dataclasses.fields(message)} for message in get_args(Message)
    }


def test_the_envelope_s_fields_are_those_of_the_code() -> None:
    said = [row[0].strip("`") for row in _rows("Envelopes", 2)]
    assert said == [entry.name for entry in dataclasses.fields(envelope.Sealed)]
    assert f"This is version **{envelope.VERSION}**." in PAGE
    assert f"1 to {MAX_MESSAGE} bytes: the message" in PAGE
