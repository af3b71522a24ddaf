"""Who is bound to what, and what a peer is blamed for: only for what it signed itself."""

from __future__ import annotations

import pytest

from p2pfd.core.canonical import decode, encode
from p2pfd.core.ids import Account, Digest, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.verdict import ACCEPT, Ignore, Reject
from p2pfd.errors import DecodeError
from p2pfd.roles.ballot import EARLY, LOOKAHEAD, Ballot
from p2pfd.wire.messages import Commit

TASK = TaskId(b"\x07" * 32)
WORKER, OTHER = Account("0x" + "11" * 20), Account("0x" + "22" * 20)
ROUND = RoundId(3)
SALT = b"\x05" * 32
LABELS = bytes([0, 1, 2, 1])


def ballot() -> Ballot:
    book = Ballot(TASK, samples=4, classes=3)
    book.turn_to(ROUND)
    return book


def bound(labels: bytes = LABELS, rnd: RoundId = ROUND, who: Account = WORKER):
    return commitment(TASK, rnd, who, SALT, pack(labels))


def test_the_first_commitment_counts_and_a_second_one_is_evidence():
    book = ballot()
    assert book.hear_commit(WORKER, Commit(ROUND, bound()), b"first") is ACCEPT
    assert isinstance(book.hear_commit(WORKER, Commit(ROUND, bound()), b"first"), Ignore)
    verdict = book.hear_commit(WORKER, Commit(ROUND, bound(b"\0\0\0\0")), b"second")
    assert verdict == Reject("equivocation: two commitments for one round", (b"first", b"second"))
    assert book.hear_commit(OTHER, Commit(ROUND, bound(who=OTHER)), b"theirs") is ACCEPT


@pytest.mark.parametrize("ahead", [-3, -1, LOOKAHEAD + 1, 1000])
def test_rounds_out_of_sight_are_ignored(ahead: int):
    book = ballot()
    rnd = RoundId(ROUND + ahead)
    assert isinstance(book.hear_commit(WORKER, Commit(rnd, bound()), b""), Ignore)
    assert isinstance(book.hear_reveal(WORKER, rnd, SALT, pack(LABELS), b""), Ignore)
    assert len(book.to_plain()["books"]) == 1


def test_labels_must_be_those_that_were_committed_to():
    book = ballot()
    assert book.hear_commit(WORKER, Commit(ROUND, bound()), b"signed") is ACCEPT
    verdict = book.hear_reveal(WORKER, ROUND, SALT, pack(b"\0\0\0\0"), b"shown")
    assert verdict == Reject("labels that contradict the commitment", (b"signed", b"shown"))
    assert book.votes(ROUND, [WORKER]) == ()
    assert book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"shown") is ACCEPT
    assert book.votes(ROUND, [WORKER]) == ((WORKER, LABELS),)
    assert isinstance(book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"shown"), Ignore)


def test_somebody_elses_commitment_cannot_be_opened():
    """A copied commitment is worthless: the account is hashed into it."""
    book = ballot()
    assert book.hear_commit(OTHER, Commit(ROUND, bound()), b"copied") is ACCEPT
    assert isinstance(book.hear_reveal(OTHER, ROUND, SALT, pack(LABELS), b"shown"), Reject)


def test_committed_labels_that_are_no_labels_are_rejected():
    book = ballot()
    wrong = pack(bytes([0, 1, 2, 9]))
    assert book.hear_commit(WORKER, Commit(ROUND, commitment(TASK, ROUND, WORKER, SALT, wrong)), b"signed") is ACCEPT
    verdict = book.hear_reveal(WORKER, ROUND, SALT, wrong, b"shown")
    assert isinstance(verdict, Reject)
    assert "not one of 3 classes" in verdict.reason


def test_labels_that_overtake_their_commitment_count_once_it_arrives():
    book = ballot()
    assert book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"shown") == Ignore("no commitment known")
    assert book.votes(ROUND, [WORKER]) == ()
    assert book.hear_commit(WORKER, Commit(ROUND, bound()), b"signed") is ACCEPT
    assert book.votes(ROUND, [WORKER]) == ((WORKER, LABELS),)


def test_what_the_chain_holds_counts_and_is_nobodys_fault():
    book = ballot()
    book.chain_commit(WORKER, ROUND, bound())
    assert isinstance(book.hear_commit(WORKER, Commit(ROUND, bound(b"\0\0\0\0")), b"other"), Ignore)
    assert isinstance(book.hear_reveal(WORKER, ROUND, SALT, pack(b"\0\0\0\0"), b"other"), Ignore)
    assert book.hear_commit(WORKER, Commit(ROUND, bound()), b"signed") is ACCEPT
    book.chain_reveal(WORKER, ROUND, pack(LABELS))
    assert book.votes(ROUND, [OTHER, WORKER]) == ((WORKER, LABELS),)


def test_garbage_that_the_chain_counted_teaches_nothing():
    book = ballot()
    book.chain_reveal(WORKER, ROUND, pack(bytes([0, 1, 2, 9])))
    assert book.votes(ROUND, [WORKER]) == ()


def test_a_student_is_agreed_on_by_more_than_half_of_the_workers():
    book, mine, theirs = ballot(), Digest(b"m" * 32), Digest(b"t" * 32)
    crowd = [Account(f"0x{number:040x}") for number in range(5)]
    for who, student in zip(crowd, (theirs, theirs, mine, b"", b""), strict=True):
        assert book.hear_commit(who, Commit(ROUND, bound(who=who), student), b"signed") is ACCEPT
    assert book.agreed_student(crowd) is None  # two of five
    assert book.agreed_student(crowd[:3]) == theirs
    assert book.agreed_student(crowd[:4]) is None  # half is not more than half
    again = Commit(ROUND, bound(who=crowd[2]), theirs)
    assert isinstance(book.hear_commit(crowd[2], again, b"again"), Ignore)
    assert book.agreed_student(crowd) is None  # the first word counts
    book.chain_commit(OTHER, ROUND, bound(who=OTHER))
    assert book.hear_commit(OTHER, Commit(ROUND, bound(who=OTHER), theirs), b"late") is ACCEPT
    assert book.agreed_student([*crowd[:4], OTHER]) == theirs
    assert book.agreed_student([]) is None
    book.turn_to(RoundId(ROUND + 1))
    assert book.agreed_student(crowd) is None


def test_so_far_ahead_and_no_further_is_heard():
    book = ballot()
    ahead = RoundId(ROUND + LOOKAHEAD)
    assert book.hear_commit(WORKER, Commit(ahead, bound(rnd=ahead)), b"signed") is ACCEPT
    assert book.hear_reveal(WORKER, ahead, SALT, pack(LABELS), b"shown") is ACCEPT
    assert list(book.committed(ahead)) == [WORKER]
    assert list(book.committed(ROUND + 1)) == []
    assert [entry[0] for entry in book.to_plain()["books"]] == [ROUND, ahead], "to ask opens no book"
    assert book.hear_commit(OTHER, Commit(RoundId(ahead + 1), bound()), b"") is EARLY
    assert book.hear_reveal(OTHER, RoundId(ahead + 1), SALT, pack(LABELS), b"") is EARLY


def test_of_labels_that_come_before_their_commitment_the_first_are_kept():
    book = ballot()
    book.hear_reveal(WORKER, ROUND, SALT, pack(b"\0\0\0\0"), b"first")
    book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"second")
    book.hear_commit(WORKER, Commit(ROUND, bound()), b"signed")
    assert book.votes(ROUND, [WORKER]) == (), "they were others than those it is bound to"
    assert book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"third") is ACCEPT


def test_the_chain_has_the_last_word_on_who_is_bound_and_none_on_rounds_that_are_over():
    book = ballot()
    book.hear_commit(WORKER, Commit(ROUND, bound(b"\0\0\0\0")), b"signed")
    book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"shown")
    book.chain_commit(WORKER, ROUND, bound())
    assert book.present.commitments[WORKER] == (bound(), b"")
    assert book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"shown") is ACCEPT
    book.hear_reveal(OTHER, ROUND, SALT, pack(LABELS), b"early")
    book.chain_commit(OTHER, ROUND, bound(who=OTHER))
    assert book.votes(ROUND, [OTHER]) == ((OTHER, LABELS),), "labels that waited for it count"
    before = book.to_plain()
    book.chain_commit(WORKER, RoundId(ROUND - 1), bound())
    book.chain_reveal(WORKER, RoundId(ROUND - 1), pack(LABELS))
    assert book.to_plain() == before
    book.chain_reveal(WORKER, ROUND, pack(bytes([0, 1, 2, 9])))
    assert book.votes(ROUND, [WORKER]) == (), "what the chain shows counts, and these are none"


def test_old_books_are_closed():
    book = ballot()
    book.hear_commit(WORKER, Commit(RoundId(ROUND + 1), bound(rnd=RoundId(ROUND + 1))), b"")
    book.turn_to(RoundId(ROUND + 1))
    assert [entry[0] for entry in book.to_plain()["books"]] == [ROUND + 1]
    assert WORKER in book.present.commitments


def test_books_survive_a_snapshot():
    book = ballot()
    book.hear_commit(WORKER, Commit(ROUND, bound()), b"signed")
    book.hear_reveal(WORKER, ROUND, SALT, pack(LABELS), b"shown")
    book.hear_reveal(OTHER, ROUND, SALT, pack(LABELS), b"early")
    plain = decode(encode(book.to_plain()), limit=10_000)
    again = Ballot(TASK, samples=4, classes=3)
    again.fill(plain)
    assert again.to_plain() == book.to_plain()
    assert again.present.commitments == book.present.commitments
    assert again.hear_commit(OTHER, Commit(ROUND, bound(who=OTHER)), b"") is ACCEPT
    assert dict(again.votes(ROUND, [OTHER, WORKER])) == {WORKER: LABELS, OTHER: LABELS}


@pytest.mark.parametrize("damage", [None, [], {}, {"current": "x", "books": []}, {"current": 1, "books": [[1]]}])
def test_a_damaged_snapshot_is_told_apart(damage: object):
    with pytest.raises(DecodeError, match="ballot"):
        ballot().fill(damage)
