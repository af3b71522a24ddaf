"""What might be tried against the sampled market, each tried and each without gain."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.claims import Advance, CommitLabels, Deposit, Enrol, MarketTerms, OpenTask, SettleRound, Unstake
from p2pfd.core.ids import Amount, RoundId, TaskId
from p2pfd.core.labels import pack
from p2pfd.core.modes import DrawOpened, DrawSamples, ModeClaim, ModeEvent, RevealWords, SamplesDrawn
from p2pfd.core.trees import Step, sum_commitment, sum_node, sum_path, sum_root
from p2pfd.incentives.rounds import Phase
from p2pfd.incentives.sampled import words_of
from p2pfd.incentives.sampling import draw
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts.chain import key
from tests.contracts.modechain import ModeChain

A, B, C = KEYS = [key(number) for number in (1, 2, 3)]
OUTSIDER = key(5)
TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)
R0, R1 = RoundId(0), RoundId(1)
SALT = b"\5" * 32
SAMPLES, CLASSES, PICKS = 1_000, 3, 4
LABELS = {
    who: pack(bytes((place * place // 7 + place // (5 + at)) % CLASSES for place in range(SAMPLES)))
    for at, who in enumerate(KEYS)
}
BOND, FUNDS = 30, 10_000
TERMS = MarketTerms(
    task=TASK,
    samples=SAMPLES,
    classes=CLASSES,
    rounds=2,
    pot=Amount(1_000),
    rate=Amount(150),
    bond=Amount(BOND),
    forfeit=Amount(BOND),
    quorum=2,
    seats=3,
    enrol_seconds=10,
    commit_seconds=10,
    reveal_seconds=10,
    mode="sampled",
    picks=PICKS,
)


class Game:
    """A chain with a task in its first round, all seats taken."""

    def __init__(self, market: Artifact | None = None, samples: int = SAMPLES, picks: int = PICKS) -> None:
        self.chain = ModeChain("sampled", dict.fromkeys([*KEYS, OUTSIDER], FUNDS), market)
        self.samples, self.picks = samples, picks
        for who in [*KEYS, OUTSIDER]:
            self.does(who, Deposit(Amount(FUNDS)))
        self.open(TASK)
        self.picked: tuple[int, ...] = ()

    def open(self, task: TaskId) -> None:
        self.does(OUTSIDER, OpenTask(dataclasses.replace(TERMS, task=task, samples=self.samples, picks=self.picks)))
        for who in KEYS:
            self.does(who, Enrol(task))

    def does(self, who: AccountKey, claim: ModeClaim) -> tuple[ModeEvent, ...]:
        block, events = self.chain.carry_out(who, claim)
        assert block.success, f"{claim}: {reason(block.output)}"
        for event in events:
            if isinstance(event, SamplesDrawn):
                self.picked = draw(event.seed, -(-self.samples // 64), self.picks)
        return events

    def refuses(self, who: AccountKey, claim: ModeClaim, why: str) -> None:
        block, _ = self.chain.carry_out(who, claim)
        assert not block.success, f"{claim} was carried out"
        assert reason(block.output) == why

    def drawn(self) -> None:
        """A block passes, and the words are drawn."""
        self.refuses(OUTSIDER, DrawSamples(TASK, R0), "market: too early")
        self.does(OUTSIDER, DrawSamples(TASK, R0))

    def shows(self, who: AccountKey, labels: bytes | None = None, top: Step | None = None) -> RevealWords:
        packed = LABELS[who] if labels is None else labels
        paths = tuple(sum_path(packed, CLASSES, place) for place in self.picked)
        found = sum_root(packed, CLASSES) if top is None else top
        return RevealWords(TASK, R0, SALT, found, words_of(packed, self.picked), paths)


@pytest.fixture
def game() -> Game:
    return Game()


def commits(who: AccountKey, task: TaskId = TASK, rnd: RoundId = R0, top: Step | None = None) -> CommitLabels:
    found = sum_root(LABELS[who], CLASSES) if top is None else top
    return CommitLabels(task, rnd, sum_commitment(task, rnd, who.account, SALT, found))


def test_a_copied_commitment_a_replayed_one_and_another_round_s_are_worth_nothing(game: Game) -> None:
    game.does(A, commits(A))
    game.does(B, CommitLabels(TASK, R0, commits(A).commitment))
    game.does(C, CommitLabels(TASK, R0, commits(C, rnd=R1).commitment))
    game.drawn()
    game.does(A, game.shows(A))
    game.refuses(B, game.shows(A), "market: not what was committed")
    game.refuses(C, game.shows(C), "market: not what was committed")
    game.refuses(OUTSIDER, game.shows(A), "market: nothing committed")
    game.refuses(A, game.shows(A), "market: already revealed")


def test_other_labels_than_committed_are_refused_word_by_word(game: Game) -> None:
    for who in KEYS:
        game.does(who, commits(who))
    game.drawn()
    good = game.shows(A)
    other = bytes([good.words[0][0] ^ 1]) + good.words[0][1:]
    game.refuses(A, dataclasses.replace(good, words=(other, *good.words[1:])), "market: not in the tree")
    swapped = (good.words[1], good.words[0], *good.words[2:])
    game.refuses(A, dataclasses.replace(good, words=swapped), "market: not in the tree")
    game.refuses(A, dataclasses.replace(good, words=good.words[1:]), "market: wrong length")
    game.refuses(A, dataclasses.replace(good, paths=good.paths[1:]), "market: wrong length")
    game.refuses(A, game.shows(A, LABELS[B], sum_root(LABELS[A], CLASSES)), "market: not in the tree")
    short = (good.paths[0][1:], *good.paths[1:])
    game.refuses(A, dataclasses.replace(good, paths=short), "market: wrong length")
    game.does(A, good)


def test_nothing_is_known_of_the_draw_while_anybody_can_still_commit(game: Game) -> None:
    for who in (A, B):
        game.does(who, commits(who))
    game.refuses(OUTSIDER, DrawSamples(TASK, R0), "market: nothing to draw")
    (_, opened) = game.does(C, commits(C))
    assert opened == DrawOpened(TASK, R0, game.chain.ledger.head.number + 1)
    game.refuses(C, commits(C), "market: takes no commitments")
    game.refuses(C, Advance(TASK), "market: draw first")


def a_forgotten_block_is_replaced(game: Game) -> None:
    """Nobody draws for 256 blocks: the round goes on all the same, with a block that is not there yet."""
    for who in KEYS:
        game.does(who, commits(who))
    chosen = game.chain.ledger.head.number + 1
    while game.chain.ledger.head.number < chosen + 256:
        game.does(OUTSIDER, Unstake(Amount(1)))
    (opened,) = game.does(OUTSIDER, DrawSamples(TASK, R0))
    assert opened == DrawOpened(TASK, R0, game.chain.ledger.head.number + 1)
    game.drawn()
    for who in KEYS:
        game.does(who, game.shows(who))
    game.does(OUTSIDER, SettleRound(TASK, R0))
    assert game.chain.task(TASK)[:2] == (Phase.COMMIT, R1)


def test_a_block_that_the_chain_has_forgotten_is_replaced(game: Game) -> None:
    a_forgotten_block_is_replaced(game)


def test_the_last_block_that_is_remembered_still_draws(game: Game) -> None:
    for who in KEYS:
        game.does(who, commits(who))
    chosen = game.chain.ledger.head.number + 1
    while game.chain.ledger.head.number < chosen + 255:
        game.does(OUTSIDER, Unstake(Amount(1)))
    (drawn,) = game.does(OUTSIDER, DrawSamples(TASK, R0))
    assert isinstance(drawn, SamplesDrawn)


def test_who_dislikes_its_words_and_stays_silent_forfeits(game: Game) -> None:
    for who in KEYS:
        game.does(who, commits(who))
    game.drawn()
    for who in (A, B):
        game.does(who, game.shows(who))
    game.chain.now += 11
    game.refuses(C, game.shows(C), "market: too late")
    game.does(OUTSIDER, Advance(TASK))
    assert game.chain.balances(C.account).free == FUNDS - BOND
    assert game.chain.balances(A.account).free == FUNDS - BOND + BOND // 2


# -- false counts --


def lying(packed: bytes, shift: int) -> tuple[Step, list[list[Step]]]:
    """A tree whose first word claims ``shift`` labels more of class 0, and as many fewer of class 1."""
    level = [(sum_path(packed, CLASSES, at ^ 1)[0]) for at in range(len(packed) // 32)]
    level[0] = (level[0][0], (level[0][1] + shift - (shift << 17)) % 2**256)
    levels = [level]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([sum_node(below[at], below[at + 1]) for at in range(0, len(below), 2)])
    return levels[-1][0], levels


def test_false_counts_are_found_out_where_their_word_is_drawn_and_bounded_where_it_is_not(game: Game) -> None:
    packed = LABELS[C]
    top, levels = lying(packed, 10)
    game.does(A, commits(A))
    game.does(B, commits(B))
    game.does(C, commits(C, top=top))
    game.drawn()
    paths = tuple(
        tuple(level[(place >> height) ^ 1] for height, level in enumerate(levels[:-1])) for place in game.picked
    )
    false = RevealWords(TASK, R0, SALT, top, words_of(packed, game.picked), paths)
    if 0 in game.picked:
        game.refuses(C, false, "market: not in the tree")
    else:
        game.does(C, false)
    game.does(A, game.shows(A))


def test_no_node_counts_more_samples_than_it_has(game: Game) -> None:
    """Not even by a count that runs over into the next class, or beyond the last."""
    for who in KEYS:
        game.does(who, commits(who))
    game.drawn()
    good = game.shows(C)
    there, counts = good.paths[0][0]
    for false in (counts + 1, counts + 65, counts + 2**16, counts + 2**17, counts + (1 << 238), 2**255, 2**256 - 1):
        path = ((there, false), *good.paths[0][1:])
        game.refuses(C, dataclasses.replace(good, paths=(path, *good.paths[1:])), "market: counts too many")
    fewer = ((there, counts - 1), *good.paths[0][1:])
    game.refuses(C, dataclasses.replace(good, paths=(fewer, *good.paths[1:])), "market: not in the tree")
    game.does(C, good)


def counts_are_those_of_all_words(game: Game) -> None:
    """The root's hash is right, and what stands beside it is not the sum of what is beneath."""
    there, counts = sum_root(LABELS[C], CLASSES)
    top = (there, counts + 7 - (7 << 17))
    for who in (A, B):
        game.does(who, commits(who))
    game.does(C, commits(C, top=top))
    game.drawn()
    game.refuses(C, game.shows(C, top=top), "market: not in the tree")
    game.refuses(C, game.shows(C), "market: not what was committed")


def test_counts_beside_the_root_are_those_of_all_words(game: Game) -> None:
    counts_are_those_of_all_words(game)


# -- what is not there to be labelled --


def nothing_counts_behind_the_last(market: Artifact) -> None:
    """One short word, without a sibling that would count too many: a label behind its end is refused, though bound."""
    game = Game(market, samples=8, picks=1)
    good = pack(bytes([1, 2] * 4))
    bad = bytes([good[0] & 0x0F]) + good[1:]
    for who in KEYS:
        game.does(who, commits(who, top=sum_root(bad if who == C else good, CLASSES)))
    game.drawn()
    for who in (A, B):
        game.does(who, game.shows(who, good))
    game.refuses(C, game.shows(C, bad), "market: labels past the samples")


def test_labels_behind_the_last_sample_are_refused_though_they_were_bound() -> None:
    nothing_counts_behind_the_last(artifact("SampledMarket"))


# -- money in play --


def test_a_bond_in_play_cannot_leave(game: Game) -> None:
    """Neither before the draw, nor while a worker that dislikes its words thinks about it."""
    game.refuses(C, Unstake(Amount(FUNDS - BOND + 1)), "staking: not enough free")
    for who in KEYS:
        game.does(who, commits(who))
    game.drawn()
    game.does(C, Unstake(Amount(FUNDS - BOND)))
    game.refuses(C, Unstake(Amount(1)), "staking: not enough free")
    for who in (A, B):
        game.does(who, game.shows(who))
    game.chain.now += 11
    game.does(OUTSIDER, Advance(TASK))
    assert game.chain.balances(C.account).locked == 0
    assert game.chain.balances(A.account).free == FUNDS - BOND + BOND // 2
