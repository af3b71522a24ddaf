"""What a validator's seat is: who can be drawn in it at which block, what is in it, when it is left for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pfd.core.encounter_events import SeatBack, SeatLeft, SeatTaken, SeatVacated
from p2pfd.incentives import encounter_registry
from p2pfd.incentives.encounter_purse import Purse
from p2pfd.incentives.encounter_registry import Registry, Seat
from p2pfd.incentives.sortition import drawn_seats
from p2pfd.incentives.staking import Refused, Wallets
from tests.unit.incentives.stories import ANN, BOB, CAT, named

BOND, LONGEST, UNBOND = 100, 50, 80


@pytest.fixture
def purse() -> Purse:
    purse = Purse(dict.fromkeys((ANN, BOB, CAT), 1_000), UNBOND)
    for who in (ANN, BOB, CAT):
        purse.deposit(who, 500)
    return purse


@pytest.fixture
def registry(purse: Purse) -> Registry:
    """Ann has seat 0, and Bob seat 1."""
    registry = Registry(purse, BOND, LONGEST)
    registry.join(ANN, 3)
    registry.join(BOB, 4)
    return registry


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refusal:
        act()
    return str(refusal.value)


# -- who can be drawn --------------------------------------------------------------------------------------------------


def test_a_new_seat_can_be_drawn_by_any_block_because_no_draw_before_it_reaches_so_far(registry: Registry) -> None:
    assert registry.holder(0, 1) == ANN
    assert registry.still(0, 1) is registry.seats[0]


def test_a_seat_is_drawn_up_to_the_block_before_it_is_left(registry: Registry) -> None:
    assert registry.leave(ANN, 0, now=60, block=10) == SeatLeft(0)
    assert [registry.holder(0, block) for block in (9, 10, 11)] == [ANN, None, None]
    assert registry.still(0, 11) is not None, "who was drawn before judges to the end"
    assert refused(lambda: registry.leave(ANN, 0, 61, 11)) == "registry: already left"


def test_who_comes_back_is_drawn_from_the_next_block_on_and_no_earlier(registry: Registry) -> None:
    registry.leave(ANN, 0, now=60, block=10)
    assert refused(lambda: registry.come_back(ANN, 0, 60 + LONGEST, 30)) == "registry: too early"
    assert registry.come_back(ANN, 0, 61 + LONGEST, 30) == SeatBack(0)
    assert [registry.holder(0, block) for block in (9, 29, 30, 31)] == [None, None, None, ANN]
    assert registry.still(0, 30) is None
    assert registry.still(0, 31) is not None
    assert refused(lambda: registry.come_back(ANN, 0, 500, 40)) == "registry: not left"
    seat = registry.seats[0]
    assert seat is not None
    assert (seat.left, seat.left_at) == (0, 0)


def test_a_hole_is_taken_before_a_new_seat_the_last_one_first_and_old_draws_do_not_find_its_holder(
    registry: Registry, purse: Purse
) -> None:
    for number, who in enumerate((ANN, BOB)):
        registry.leave(who, number, 0, 10)
        assert refused(lambda number=number, who=who: registry.vacate(who, number, UNBOND)) == (
            "registry: still unbonding"
        )
        assert registry.vacate(who, number, UNBOND + 1) == SeatVacated(number)
    assert registry.holder(1, 9) is registry.still(1, 9) is None
    assert [registry.join(CAT, 20), registry.join(CAT, 20), registry.join(CAT, 20)] == [
        SeatTaken(1, CAT),
        SeatTaken(0, CAT),
        SeatTaken(2, CAT),
    ]
    assert [registry.holder(1, block) for block in (9, 20, 21)] == [None, None, CAT]
    assert purse.free(CAT) == 500 - 3 * BOND
    assert registry.in_seats() == 3 * BOND


def test_who_has_not_left_cannot_vacate_nor_can_anybody_touch_another_s_seat(registry: Registry) -> None:
    assert refused(lambda: registry.vacate(ANN, 0, 10**6)) == "registry: not left"
    for act in (
        lambda: registry.leave(BOB, 0, 0, 5),
        lambda: registry.top_up(BOB, 0, 1),
        lambda: registry.collect(BOB, 0),
        lambda: registry.vacate(BOB, 0, 10**6),
        lambda: registry.come_back(BOB, 0, 10**6, 5),
        lambda: registry.leave(BOB, 2, 0, 5),
    ):
        assert refused(act) == "registry: not your seat"


def test_there_are_so_many_seats_and_then_the_bond_stays_where_it_is(
    registry: Registry, purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encounter_registry, "MAX_SEATS", 3)
    registry.join(CAT, 5)
    assert refused(lambda: registry.join(CAT, 5)) == "registry: full"
    assert purse.free(CAT) == 400


# -- what is in it -----------------------------------------------------------------------------------------------------


def test_a_holder_takes_out_what_exceeds_the_bond_and_only_that(registry: Registry, purse: Purse) -> None:
    assert refused(lambda: registry.collect(ANN, 0)) == "registry: nothing to collect"
    registry.top_up(ANN, 0, 7)
    assert (purse.free(ANN), registry.in_seats()) == (393, 207)
    registry.collect(ANN, 0)
    assert (purse.free(ANN), registry.in_seats()) == (400, 200)
    assert refused(lambda: registry.top_up(ANN, 0, 401)) == "purse: not enough free"


def test_who_comes_back_needs_the_whole_bond_and_who_vacates_gets_what_is_left(
    registry: Registry, purse: Purse
) -> None:
    seat = registry.seats[0]
    assert seat is not None
    registry.leave(ANN, 0, 0, 10)
    seat.balance = BOND - 1
    assert refused(lambda: registry.come_back(ANN, 0, 51, 20)) == "registry: under the bond"
    registry.vacate(ANN, 0, UNBOND + 1)
    assert purse.free(ANN) == 499
    assert registry.seats[0] is None


def test_a_seat_with_less_than_half_the_bond_is_benched_by_rule(registry: Registry) -> None:
    seat = registry.seats[0]
    assert seat is not None
    seat.balance = 50
    assert registry.bench(0, 7, 9) is None
    seat.balance = 49
    assert registry.bench(0, 7, 9) == SeatLeft(0)
    assert (seat.left, seat.left_at) == (9, 7)
    assert registry.bench(0, 8, 10) is None, "once"
    assert (seat.left, seat.left_at) == (9, 7)


def test_a_history_is_halved_when_either_count_reaches_five_hundred_and_twelve() -> None:
    seat = Seat(ANN, BOND, valid=510, invalid=101)
    seat.remember(True)
    assert (seat.valid, seat.invalid) == (511, 101)
    seat.remember(True)
    assert (seat.valid, seat.invalid) == (256, 50)
    other = Seat(ANN, BOND, valid=3, invalid=511)
    other.remember(False)
    assert (other.valid, other.invalid) == (1, 256)


# -- the purse ---------------------------------------------------------------------------------------------------------


def test_a_purse_takes_what_a_wallet_has_up_to_what_its_words_hold() -> None:
    wallets = Wallets({ANN: 2**63, BOB: 1})
    purse = Purse(wallets, UNBOND)
    assert refused(lambda: purse.deposit(ANN, 0)) == "purse: nothing to deposit"
    assert refused(lambda: purse.deposit(BOB, 2)) == "erc20: transfer amount exceeds balance"
    assert refused(lambda: purse.deposit(CAT, 1)) == "erc20: transfer amount exceeds balance"
    purse.deposit(ANN, 2**63)
    assert refused(lambda: purse.deposit(BOB, 1)) == "purse: too much"
    assert (purse.held, wallets[ANN]) == (2**63, 0)


def test_money_leaves_a_purse_only_when_all_of_it_has_unbonded(purse: Purse) -> None:
    assert refused(lambda: purse.unstake(ANN, 0, 0)) == "purse: nothing to unstake"
    assert refused(lambda: purse.unstake(ANN, 501, 0)) == "purse: not enough free"
    assert refused(lambda: purse.withdraw(ANN, 0)) == "purse: nothing to withdraw"
    assert purse.ready(ANN) == 0
    purse.unstake(ANN, 200, 10)
    purse.unstake(ANN, 300, 20)
    assert purse.ready(ANN) == 20 + UNBOND
    assert refused(lambda: purse.withdraw(ANN, 19 + UNBOND)) == "purse: still unbonding"
    held = purse.balances(ANN)
    assert (held.wallet, held.free, held.locked, held.unbonding) == (500, 0, 0, 500)
    assert purse.in_accounts() == purse.held == 1_500
    purse.withdraw(ANN, 20 + UNBOND)
    assert (purse.balances(ANN).total, purse.held) == (1_000, 1_000)
    assert refused(lambda: purse.withdraw(ANN, 10**6)) == "purse: nothing to withdraw"


# -- chance ------------------------------------------------------------------------------------------------------------


def word(*slices: int) -> bytes:
    """A seed whose 32-bit slices, from the lowest, are these; the others zero."""
    return sum(part << 32 * place for place, part in enumerate(slices)).to_bytes(32, "big")


def test_slices_of_the_seed_pick_and_holders_sit_once() -> None:
    holders = {0: named(1), 1: named(2), 2: None, 3: named(2), 4: named(3)}
    hashed: list[bytes] = []

    def keccak(raw: bytes) -> bytes:
        hashed.append(raw)
        return word(4, 1)

    # Of five seats: 7 mod 5 is nobody's, 3 is Two's, 6 mod 5 is Two's again, 2**32 − 1 mod 5 is One's.
    first = word(7, 3, 6, 2**32 - 1)
    assert drawn_seats(first, 5, 2, holders.get, keccak) == (3, 0)
    assert hashed == [], "nothing is hashed before eight slices are used"
    # The other four slices are zero, One's again; then the seed's hash picks seat 4.
    assert drawn_seats(first, 5, 3, holders.get, keccak) == (3, 0, 4)
    assert hashed == [first]


def test_a_draw_ends_after_sixty_four_picks_with_whom_it_found() -> None:
    asked: list[int] = []

    def holder_of(seat: int) -> None:
        asked.append(seat)

    assert drawn_seats(bytes(32), 5, 3, holder_of, lambda raw: raw) == ()
    assert len(asked) == 64
