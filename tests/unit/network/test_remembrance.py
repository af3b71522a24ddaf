"""What a node knows of others: bounded, kept across restarts, and not worth a failure."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.peer.peerstore import create_signed_peer_record
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId, peer_id_of
from p2pfd.core.rng import Rng
from p2pfd.core.verdict import Reject
from p2pfd.errors import DecodeError, NetworkError, PlanError, StorageError
from p2pfd.network.addressbook import PEERS, AddressBook
from p2pfd.network.conduct import Conduct
from p2pfd.network.libp2p import open_transport
from p2pfd.network.reach import RECORD_BYTES, Reach, reach_of, read_record
from p2pfd.network.remembrance import OFFENCES, Remembrance
from p2pfd.network.remembrance import PEERS as PEERS_FILE
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.statefile import StateFile

from .conftest import TOPIC, Ear, Nodes
from .test_finder import Wall

HALF_LIFE = 100.0


class Hand:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time


def peer(number: int) -> PeerId:
    return peer_id_of(number.to_bytes(32, "big"))


def address(number: int, host: str = "192.0.2.1") -> str:
    return f"/ip4/{host}/tcp/{number % 60_000 + 1}/p2p/{peer(number)}"


def record(seed: int, *addresses: str, claimed: ID | None = None) -> bytes:
    pair = create_new_key_pair(seed.to_bytes(32, "big"))
    signer = claimed or ID.from_pubkey(pair.public_key)
    raw: bytes = create_signed_peer_record(
        signer, [Multiaddr(each) for each in addresses], pair.private_key
    ).marshal_envelope()
    return raw


def signer_of(seed: int) -> PeerId:
    return peer_id_of(create_new_key_pair(seed.to_bytes(32, "big")).public_key.to_bytes())


# -- conduct ---------------------------------------------------------------------------------------------------------


def judge(hand: Hand, **changes: float) -> Conduct:
    settings = {"rejects": 4, "refuse_seconds": 30, "forgive_seconds": HALF_LIFE, **changes}
    return Conduct(NetworkSettings(**settings), hand.now)  # type: ignore[arg-type]


def test_an_offence_weighs_half_after_a_half_life() -> None:
    hand = Hand()
    conduct = judge(hand)
    assert not conduct.strike(peer(1), "one")
    hand.time += HALF_LIFE
    assert conduct.weight(peer(1)) == pytest.approx(0.5)
    hand.time += HALF_LIFE
    assert conduct.weight(peer(1)) == pytest.approx(0.25)


def test_the_unlucky_are_forgiven_and_the_persistent_are_not() -> None:
    hand = Hand()
    conduct = judge(hand)
    for _ in range(100):
        assert not conduct.strike(peer(1), "now and then")
        hand.time += HALF_LIFE
    for number in range(4):
        assert conduct.strike(peer(2), "and again") == (number == 3)
        hand.time += 1
    assert conduct.is_refused(peer(2))
    assert not conduct.is_refused(peer(1))


def test_who_was_refused_does_not_come_back_innocent() -> None:
    hand = Hand()
    conduct = judge(hand)
    while not conduct.strike(peer(1), "again"):
        pass
    hand.time += 31
    assert not conduct.is_refused(peer(1))
    assert sum(not conduct.strike(peer(1), "again") for _ in range(2)) <= 1
    assert conduct.is_refused(peer(1))


def test_offences_are_restored_and_a_clock_that_was_set_back_makes_no_refusal_longer() -> None:
    hand = Hand()
    before = judge(hand)
    while not before.strike(peer(1), "again"):
        pass
    before.strike(peer(2), "once")
    kept = json.loads(json.dumps(before.dump()))
    hand.time -= 10_000
    after = judge(hand)
    after.restore(kept)
    assert after.is_refused(peer(1))
    assert after.weight(peer(2)) == pytest.approx(1)
    hand.time += 31
    assert not after.is_refused(peer(1))
    assert after.weight(peer(1)) > 2


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, {"version": 2}, {"version": 1, "offences": 1, "refused": []},
        {"version": 1, "offences": [["x", 1, 1]], "refused": []},
        {"version": 1, "offences": [[peer(1), "1", 1]], "refused": []},
        {"version": 1, "offences": [[peer(1), float("nan"), 1]], "refused": []},
        {"version": 1, "offences": [], "refused": [[peer(1)]]},
    ],
)  # fmt: skip
def test_other_values_are_no_offences(value: object) -> None:
    conduct = judge(Hand())
    conduct.strike(peer(1), "before")
    with pytest.raises(DecodeError):
        conduct.restore(value)


# -- addresses -------------------------------------------------------------------------------------------------------


def test_the_book_is_bounded_and_keeps_those_that_have_answered() -> None:
    book = AddressBook(Hand().now)
    for number in range(PEERS // 2):
        book.reached(address(number), peer(number))
    for seed in range(3):
        book.signed(record(10_000 + seed, "/ip4/192.0.2.1/tcp/1"))
    for number in range(PEERS // 2, PEERS):
        book.reached(address(number), peer(number))
    assert len(book) == PEERS
    assert all(peer(number) in book for number in range(PEERS))
    book.reached(address(PEERS), peer(PEERS))
    assert peer(0) not in book
    assert peer(1) in book


def test_one_peer_has_a_bounded_number_of_addresses_the_best_first() -> None:
    hand = Hand()
    book = AddressBook(hand.now)
    for number in range(20):
        hand.time += 1
        book.reached(f"/ip4/192.0.2.1/tcp/{number + 1}", peer(1))
    assert book.of(peer(1)) == [f"/ip4/192.0.2.1/tcp/{number}/p2p/{peer(1)}" for number in range(20, 12, -1)]


def test_an_address_that_never_answered_is_forgotten_with_the_first_failure() -> None:
    book = AddressBook(Hand().now)
    raw = record(1, "/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/2")
    who = book.signed(raw)
    assert len(book.of(who)) == 2
    book.reached(f"/ip4/192.0.2.1/tcp/1/p2p/{who}", who)
    for each in book.of(who):
        book.failed(each, who)
    assert book.of(who) == [f"/ip4/192.0.2.1/tcp/1/p2p/{who}"], "one that answered may answer again"


def test_a_peer_is_told_of_by_the_address_that_reaches_as_far_as_the_asker() -> None:
    hand = Hand()
    book = AddressBook(hand.now)
    for number, host in enumerate(("8.8.8.8", "10.0.0.1", "127.0.0.1")):  # the nearest one has answered last
        hand.time += 1
        book.reached(f"/ip4/{host}/tcp/{number + 1}", peer(1))
    book.signed(record(2, "/ip4/8.8.8.8/tcp/9"))  # this one has never answered
    told = [book.introduce(reach, 10, (), peer(9), Rng(1), 16) for reach in Reach]
    assert told == [
        [f"/ip4/127.0.0.1/tcp/3/p2p/{peer(1)}"],
        [f"/ip4/10.0.0.1/tcp/2/p2p/{peer(1)}"],
        [f"/ip4/8.8.8.8/tcp/1/p2p/{peer(1)}"],
    ]


def test_a_book_is_restored_as_it_was() -> None:
    hand = Hand()
    before = AddressBook(hand.now)
    before.reached(address(1), peer(1))
    who = before.signed(record(5, "/ip4/192.0.2.1/tcp/1"))
    before.reached(f"/ip4/192.0.2.1/tcp/1/p2p/{who}", who)
    after = AddressBook(hand.now)
    after.restore(json.loads(json.dumps(before.dump())))
    assert after.dump() == before.dump()
    told = [book.introduce(Reach.MACHINE, 10, (), peer(9), Rng(1), 16) for book in (before, after)]
    assert told[0] == told[1]
    assert len(told[0]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"peer": "x"}, {"peer": 1}, {"seen": "x"}, {"seen": None}, {"addresses": 1}, {"addresses": [["x", 1]]},
        {"addresses": [[address(2), 1]]}, {"addresses": [[address(1), "1"]]}, {"record": "%"}, {"record": 1},
        {"record": "AAAA"},
    ],
)  # fmt: skip
def test_other_values_are_no_book(change: dict[str, object]) -> None:
    good = {"peer": peer(1), "seen": 1, "addresses": [[address(1), 1]], "record": ""}
    book = AddressBook(Hand().now)
    book.restore({"version": 1, "peers": [good]})
    assert peer(1) in book
    for value in ({"version": 1, "peers": [{**good, **change}]}, {"version": 2, "peers": []}, {"version": 1}, [], None):
        with pytest.raises(DecodeError):
            book.restore(value)


def test_a_record_is_its_signers_or_none() -> None:
    who, addresses = read_record(record(1, "/ip4/192.0.2.1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip4/1.2.3.4/udp/1"))
    assert (who, addresses) == (signer_of(1), (f"/ip4/192.0.2.1/tcp/1/p2p/{who}",))
    with pytest.raises(DecodeError, match="has signed"):
        read_record(record(1, "/ip4/192.0.2.1/tcp/1", claimed=ID.from_base58(peer(3))))
    good = record(1, "/ip4/192.0.2.1/tcp/1")
    for raw in (b"", good[:-1], good[:-1] + b"x", bytes(RECORD_BYTES + 1), good + bytes(RECORD_BYTES)):
        with pytest.raises(DecodeError):
            read_record(raw)


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("/ip4/127.0.0.1/tcp/1", Reach.MACHINE), ("/ip6/::1/tcp/1", Reach.MACHINE),
        ("/ip6/::ffff:127.0.0.1/tcp/1", Reach.MACHINE), ("/ip4/10.1.2.3/tcp/1", Reach.SITE),
        ("/ip4/169.254.1.1/tcp/1", Reach.SITE), ("/ip6/fd00::1/tcp/1", Reach.SITE), ("/ip4/8.8.8.8/tcp/1", Reach.WORLD),
        ("/dns4/node.example/tcp/1", Reach.WORLD), ("/ip4/0.0.0.0/tcp/1", None), ("/ip4/224.0.0.1/tcp/1", None),
        ("/ip4/8.8.8.8/tcp/0", None), ("/ip4/8.8.8.8/udp/1/quic-v1", None), ("/ip4/8.8.8.8/tcp/1/ws", None),
        ("/dns4/" + "x" * 300 + "/tcp/1", None),
    ],
)  # fmt: skip
def test_how_far_an_address_reaches(text: str, reach: Reach | None) -> None:
    assert reach_of(f"{text}/p2p/{peer(1)}") == reach


# -- the disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"version": 1, "peers": [1]}'])
async def test_a_damaged_file_is_put_aside_and_said_so(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (PEERS_FILE, OFFENCES):
        (tmp_path / name).write_bytes(damage)
    book, conduct = AddressBook(Hand().now), judge(Hand())
    with caplog.at_level(logging.WARNING, "p2pfd.network"):
        await Remembrance(tmp_path, book, conduct).read()
    assert (tmp_path / f"{PEERS_FILE}.damaged").read_bytes() == damage
    assert f"{PEERS_FILE} is damaged" in caplog.text
    assert len(book) == 0


def test_an_older_value_never_replaces_a_newer_one(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "deep" / "state.json")
    older, newer = file.ticket(), file.ticket()
    file.save("newer", newer)
    file.save("older", older)
    assert file.load() == "newer"
    assert [path.name for path in file.path.parent.iterdir()] == ["state.json"]


def test_what_cannot_be_written_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder has to be")
    file = StateFile(tmp_path / "taken" / "state.json")
    with pytest.raises(StorageError, match="cannot write"):
        file.save(1, file.ticket())


async def test_a_full_disk_costs_what_is_known_of_others_and_nothing_else(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder has to be")
    settings = NetworkSettings(state_directory=str(tmp_path / "taken" / "peers"))
    other = await nodes.open()
    with pytest.raises(StorageError, match="cannot read"):
        async with open_transport(nodes.seed(), settings=settings, clock=Wall()):
            pass
    (tmp_path / "open").mkdir()
    settings = NetworkSettings(state_directory=str(tmp_path / "open"))
    async with open_transport(nodes.seed(), settings=settings, clock=Wall()) as node:
        (tmp_path / "open").rmdir()
        (tmp_path / "open").write_text("a file where a folder was")
        await node.connect(other.addresses[0])
        await trio.sleep(1.2)  # longer than anything waits before it is written
        assert node.peers() == (other.peer,)


async def test_to_remember_needs_a_clock(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="without a clock"):
        async with open_transport(bytes(32), settings=NetworkSettings(state_directory=str(tmp_path))):
            pass


@pytest.mark.network
async def test_an_offender_stays_cut_off_across_a_restart(nodes: Nodes, tmp_path: Path) -> None:
    settings = NetworkSettings(rejects=2, heartbeat_seconds=0.2, state_directory=str(tmp_path))
    bad, seed = await nodes.open(), nodes.seed()
    async with open_transport(seed, settings=settings, clock=Wall()) as node:
        ear = Ear(node, lambda _raw: Reject("wrong"))
        async with trio.open_nursery() as nursery:
            await nursery.start(ear.run)
            await bad.connect(node.addresses[0])
            await bad.wait_for_subscribers(TOPIC, 1)
            for number in range(2):
                await bad.publish(TOPIC, b"%d" % number)
                await ear.until(b"%d" % number)
            while node.peers():  # noqa: ASYNC110 - closing a connection takes what it takes
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    async with open_transport(seed, settings=settings, clock=Wall()) as again:
        with pytest.raises(NetworkError, match="refused"):
            await again.connect(bad.addresses[0])
