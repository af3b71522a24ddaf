"""What hangs on a board is checked and bounded, whatever strangers hang up, and is there again after a crash."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.manifest import Manifest
from p2pfd.errors import StorageError
from p2pfd.node import keys
from p2pfd.node.manifest import PREFIX, seal
from p2pfd.node.notices import OWN, TEXT_BYTES, Limits, Notices, Outcome, place
from p2pfd.node.shelf import Shelf
from tests.unit.node.test_config import SPEC

NOW, DAY = 1_800_000_000, 86_400
HERE, THERE = place("192.0.2.0/24"), place("198.51.100.0/24")
ASKER, OTHER = keys.throwaway(1, "requester").account, keys.throwaway(1, "stranger").account


def invitation(name="wine", issued=NOW, by=ASKER, **more):
    task = dataclasses.replace(SPEC, name=name)
    return seal(Manifest(task, by.account, issued=issued, **more), by).encode()


def board(now=NOW, **limits):
    return Notices(Limits(**limits), lambda: now)


def names(notices):
    return [each.manifest.task.name for each in notices.newest()]


def test_what_was_signed_hangs_and_is_found_by_its_words_and_its_id():
    held = board()
    outcome, notice, gone = held.put(invitation(note="Vintages of Baden"), HERE)
    assert (outcome, gone) == (Outcome.KEPT, [])
    assert notice.manifest.task.name == "wine"
    assert held.newest(["BADEN", "wine"]) == [notice]
    assert held.newest([ASKER.account[:12]]) == [notice]
    assert held.newest(["wine", "beer"]) == []
    assert held.of(notice.manifest.task.id.hex()[:8]) == [notice]
    assert held.of("f" * 64) == []
    assert held.newest(known=[notice.mark]) == []
    assert held.put(invitation(note="Vintages of Baden"), THERE)[0] is Outcome.KNOWN


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (b"", Outcome.BAD),
        (b"\xff" * 100, Outcome.BAD),
        (PREFIX.encode() + b"A" * TEXT_BYTES, Outcome.BAD),
        (invitation()[:-8], Outcome.BAD),
        (invitation(issued=0), Outcome.UNDATED),
        (invitation(issued=NOW + 2 * 3600), Outcome.EARLY),
        (invitation(issued=NOW - 31 * DAY), Outcome.EXPIRED),
        (invitation(issued=NOW - DAY, until=NOW - 1), Outcome.EXPIRED),
    ],
    ids=["empty", "bytes", "huge", "cut", "undated", "early", "stale", "over"],
)
def test_what_is_no_invitation_or_none_any_more_does_not_hang(raw, outcome):
    held = board()
    assert held.put(raw, HERE) == (outcome, None, [])
    assert len(held) == 0


def test_an_older_version_does_not_come_back():
    held = board()
    first, second = invitation(issued=NOW - 100, note="first"), invitation(issued=NOW, note="second")
    held.put(first, HERE)
    outcome, _, gone = held.put(second, THERE)
    assert outcome is Outcome.KEPT
    assert [each.manifest.note for each in gone] == ["first"]
    assert held.put(first, HERE)[0] is Outcome.OLDER
    assert held.put(invitation(issued=NOW, note="third"), HERE)[0] is Outcome.OLDER
    assert [each.manifest.note for each in held.newest()] == ["second"]


def test_nobody_replaces_another_ones_invitation_to_the_same_task():
    held = board(of_task=3)
    held.put(invitation(), HERE)
    for number in range(2):
        other = keys.throwaway(number, "squatter").account
        assert held.put(invitation(by=other), THERE)[0] is Outcome.KEPT
    assert held.put(invitation(by=OTHER), THERE)[0] is Outcome.CROWDED
    assert ASKER.account in {each.manifest.requester for each in held.newest()}


def test_one_requester_has_so_many_and_loses_the_oldest():
    held = board(of_requester=3)
    for number in range(5):
        assert held.put(invitation(f"task {number}"), HERE)[0] is Outcome.KEPT
    held.put(invitation("theirs", by=OTHER), HERE)
    assert names(held) == ["theirs", "task 4", "task 3", "task 2"]


def test_a_flood_from_one_place_takes_away_that_places_own():
    held = board(notices=8)
    for number in range(3):
        held.put(invitation(f"honest {number}"), HERE)
    for number in range(20):
        assert (
            held.put(invitation(f"flood {number}", by=keys.throwaway(number, "flood").account), THERE)[2] or number < 5
        )
    assert len(held) == 8
    assert [name for name in names(held) if name.startswith("honest")] == ["honest 2", "honest 1", "honest 0"]
    assert names(held)[0] == "flood 19"


def test_bytes_are_bounded_too():
    text = invitation()
    held = board(size=3 * len(text))
    for number in range(6):
        held.put(invitation(f"t{number}"), HERE)
    assert names(held) == ["t5", "t4", "t3"]


def test_what_a_node_hangs_up_itself_stays():
    held = board(notices=2)
    held.put(invitation("mine"), OWN)
    for number in range(4):
        held.put(invitation(f"theirs {number}", by=OTHER), HERE)
    assert names(held) == ["theirs 3", "mine"]
    held.put(invitation("mine", issued=NOW + 5, note="again"), HERE)
    assert [each.source for each in held.newest(["again"])] == [OWN]


def test_what_is_over_is_taken_down():
    clock = [NOW]
    held = Notices(Limits(), lambda: clock[0])
    held.put(invitation(until=NOW + 10), HERE)
    held.put(invitation("later", until=NOW + 10 * DAY), HERE)
    clock[0] = NOW + 11
    assert [each.manifest.task.name for each in held.expired()] == ["wine"]
    clock[0] = NOW + 31 * DAY
    assert len(held.expired()) == 1
    assert len(held) == 0


@given(st.binary(max_size=400), st.integers(0, 2))
def test_garbage_does_not_hang(raw, how):
    text = invitation()
    parts = [raw, PREFIX.encode() + raw, text[: len(raw)] + raw + text[len(raw) + 8 :]]
    held = board()
    assert held.put(parts[how], HERE)[0] in (Outcome.BAD, Outcome.KEPT)


def stored(path):
    return sorted(entry.name for entry in path.iterdir())


def test_a_board_on_disk_is_there_again_with_its_order_and_its_places(tmp_path):
    held, shelf = board(), Shelf(tmp_path / "board")
    shelf.load(held)
    for name, source in (("one", HERE), ("two", THERE), ("three", HERE)):
        _, notice, gone = held.put(invitation(name), source)
        shelf.keep(notice, gone)
    _, notice, gone = held.put(invitation("two", issued=NOW + 1), THERE)
    shelf.keep(notice, gone)
    again = board()
    Shelf(tmp_path / "board").load(again)
    assert names(again) == ["two", "three", "one"]
    assert [each.source for each in again.newest()] == [THERE, HERE, HERE]
    assert len(stored(tmp_path / "board")) == 3


def test_damaged_expired_and_foreign_files_do_no_harm(tmp_path):
    folder = tmp_path / "board"
    held, shelf = board(), Shelf(folder)
    shelf.load(held)
    for name in ("one", "two"):
        _, notice, gone = held.put(invitation(name), HERE)
        shelf.keep(notice, gone)
    one, two = stored(folder)
    (folder / one).write_bytes(b"p2pfd-task-1:damaged")
    (folder / f".{two}.new").write_bytes(b"half")
    (folder / "notes.txt").write_text("somebody's own")
    again = board()
    Shelf(folder).load(again)
    assert names(again) == ["two"]
    assert stored(folder) == [two, "notes.txt"]
    late = board(now=NOW + 40 * DAY)
    Shelf(folder).load(late)
    assert stored(folder) == ["notes.txt"]


def test_more_files_than_a_board_holds_are_not_all_hung_up(tmp_path):
    held, shelf = board(), Shelf(tmp_path / "board")
    shelf.load(held)
    for number in range(6):
        _, notice, gone = held.put(invitation(f"t{number}"), HERE)
        shelf.keep(notice, gone)
    small = board(notices=3)
    Shelf(tmp_path / "board").load(small)
    assert names(small) == ["t5", "t4", "t3"]
    assert len(stored(tmp_path / "board")) == 3


def test_a_folder_that_is_none_is_said(tmp_path):
    (tmp_path / "board").write_text("a file")
    with pytest.raises(StorageError, match="board"):
        Shelf(tmp_path / "board").load(board())
