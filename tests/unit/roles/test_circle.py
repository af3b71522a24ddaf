"""Who belongs to a circle: it is bounded, a worker takes an idle one's place, and strangers are remembered a little."""

from __future__ import annotations

from p2pfd.core.ids import Account, Digest, PeerId, RoundId
from p2pfd.core.verdict import ACCEPT, Ignore
from p2pfd.roles.circle import Circle
from p2pfd.wire.messages import Commit, Hello, Offer, Reveal

ME, *OTHERS = [PeerId(f"peer-{number}") for number in range(80)]
ACCOUNT = {peer: Account(f"0x{number:040x}") for number, peer in enumerate([ME, *OTHERS])}


def hello(peer: PeerId) -> Hello:
    return Hello(peer, ACCOUNT[peer], b"", b"")


def commit(rnd: int) -> Commit:
    return Commit(RoundId(rnd), Digest(bytes(32)))


def circle(room: int, known: int = 0) -> Circle:
    """This node, behind those who are known in advance."""
    return Circle({peer: ACCOUNT[peer] for peer in (*OTHERS[:known], ME)}, room)


def test_there_is_room_for_so_many_and_never_for_fewer_than_are_known_in_advance() -> None:
    small = circle(2)
    assert small.hear(hello(OTHERS[0]), ()) == (ACCEPT, True)
    assert small.hear(hello(OTHERS[0]), ()) == (ACCEPT, False), "said again, for newcomers"
    assert small.hear(hello(OTHERS[1]), ()) == (Ignore("all seats are taken"), False)
    assert len(small) == 2
    crowded = circle(1, known=3)
    assert len(crowded) == 4
    assert crowded.hear(hello(OTHERS[5]), ()) == (Ignore("all seats are taken"), False)


def test_in_a_full_circle_a_worker_takes_the_place_of_an_idle_peer_and_never_this_nodes() -> None:
    full = circle(3, known=2)
    worker, other = OTHERS[5], OTHERS[6]
    workers = {ACCOUNT[worker], ACCOUNT[other], ACCOUNT[OTHERS[0]]}
    assert full.hear(hello(worker), workers) == (ACCEPT, True)
    assert set(full.accounts) == {ME, OTHERS[0], worker}, "the only one who is no worker had to go"
    assert full.hear(hello(other), workers) == (Ignore("all seats are taken"), False), "nobody else is idle"
    assert full.hear(hello(OTHERS[7]), workers) == (Ignore("all seats are taken"), False)


def test_of_strangers_sixty_four_are_remembered_with_four_words_each() -> None:
    here = circle(99)
    for stranger in OTHERS[:70]:
        for rnd in range(6):
            here.keep(stranger, commit(rnd), b"%d" % rnd)
    assert list(here.strangers) == OTHERS[:64]
    assert here.recall(OTHERS[0]) == [(commit(rnd), b"%d" % rnd) for rnd in range(4)]
    assert here.recall(OTHERS[0]) == []
    here.keep(OTHERS[70], commit(0), b"")
    assert OTHERS[70] in here.strangers, "there is room again"


def test_only_words_of_the_kinds_that_a_role_uses_are_remembered() -> None:
    here, offers = circle(9), Circle({ME: ACCOUNT[ME]}, 9, keeps=(Offer,))
    offer = Offer(RoundId(0), Digest(bytes(32)), 5)
    for each in (here, offers):
        each.keep(OTHERS[0], offer, b"")
        each.keep(OTHERS[0], hello(OTHERS[0]), b"")
        each.keep(OTHERS[0], Reveal(RoundId(0), b"", b""), b"")
    assert [type(said) for said, _ in here.strangers[OTHERS[0]]] == [Reveal]
    assert [type(said) for said, _ in offers.strangers[OTHERS[0]]] == [Offer]


def test_what_strangers_said_of_rounds_that_are_over_makes_room() -> None:
    here = circle(9)
    for rnd in (1, 2, 3):
        here.keep(OTHERS[0], commit(rnd), b"")
    here.keep(OTHERS[1], commit(1), b"")
    here.forget_before(2)
    assert [said.round for said, _ in here.strangers[OTHERS[0]]] == [2, 3]
    assert OTHERS[1] not in here.strangers
