"""Whatever happens, in whatever order: a machine never raises, answers each delivery once, and keeps to its table."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pfd.core import claims
from p2pfd.core.effects import Answer
from p2pfd.core.events import ChainSaw, Computed, Heard, Restored, Settled, Started, TimerFired
from p2pfd.core.ids import Account, Digest, PeerId, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.ticks import Tick
from p2pfd.roles.ballot import LOOKAHEAD
from p2pfd.roles.circle import MOST_KEPT, MOST_STRANGERS
from p2pfd.roles.distill import GossipDistill, Phase, Seat, SettledDistill
from p2pfd.roles.work import Absorbed, Adopted, Concluded, Studied
from p2pfd.wire.messages import Commit, Hello, Reveal

PAGE = Path(__file__).parents[2] / "docs/reference/machine-protocol.md"
TASK = TaskId(b"\1" * 32)
SAMPLES, CLASSES, ROUNDS = 4, 3, 5
PEERS = [PeerId(f"peer-{number}") for number in range(6)]
ACCOUNTS = [Account("0x" + f"{number:02x}" * 20) for number in range(6)]
SALT = b"\5" * 32


def moves() -> set[tuple[Phase, Phase]]:
    rows = re.findall(r"^\| (\w+) \| ([\w, ]*)\|$", PAGE.read_text().split("| from | to |")[1], re.MULTILINE)
    found = {(Phase(old), Phase(new.strip())) for old, row in rows for new in row.split(",") if new.strip()}
    assert {old for old, _ in found} == set(Phase) - {Phase.OVER}
    return found


MOVES = moves()


class Watched:
    """Notes every phase that is entered, those that one event leads through among them."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "phase" and self.watched and value is not self.phase:
            self.steps.append((self.phase, value))
        super().__setattr__(name, value)


class WatchedGossip(Watched, GossipDistill):
    watched, steps = False, ()


class WatchedSettled(Watched, SettledDistill):
    watched, steps = False, ()


def machine(kind: type, seats: int = 4):
    made = kind(
        Seat(
            task=TASK,
            peer=PEERS[0],
            account=ACCOUNTS[0],
            secret=b"s",
            samples=SAMPLES,
            classes=CLASSES,
            rounds=ROUNDS,
            quorum=1 if issubclass(kind, SettledDistill) else 2,
            seats=seats,
            enrol_ticks=9,
            commit_ticks=5,
            reveal_ticks=5,
            bond=7,
            hello=Hello(PEERS[0], ACCOUNTS[0], b"", b""),
            members={PEERS[1]: ACCOUNTS[1]},
        )
    )
    made.steps, made.watched = [], True
    return made


peers, accounts = st.sampled_from(PEERS), st.sampled_from(ACCOUNTS)
rounds = st.integers(0, ROUNDS + 1).map(RoundId) | st.integers(0, 2**32 - 1).map(RoundId)
labels = st.binary(min_size=SAMPLES, max_size=SAMPLES).map(lambda raw: bytes(value % (CLASSES + 1) for value in raw))
packed = labels.map(pack) | st.binary(min_size=32, max_size=32) | st.binary(min_size=64, max_size=64)
digests = st.sampled_from([Digest(bytes([value]) * 32) for value in range(3)])
crowds = st.lists(accounts, unique=True, max_size=5).map(tuple)
seconds, amounts = st.integers(0, 2**40), st.integers(0, 2**255)


def bound(who: Account, rnd: int, shown: bytes) -> Digest:
    return commitment(TASK, RoundId(rnd), who, SALT, shown)


commitments = digests | st.builds(bound, accounts, st.integers(0, ROUNDS), packed)
messages = st.one_of(
    st.builds(Commit, rounds, commitments, digests | st.just(b"")),
    st.builds(Reveal, rounds, st.just(SALT), packed),
)
heard = st.builds(lambda who, message, raw: (who, message, raw), peers, messages, st.binary(max_size=4))
hellos = st.builds(lambda who, account: (who, Hello(who, account, b"", b""), b"hello"), peers, accounts)
outcomes = st.one_of(
    st.none(),
    st.builds(Studied, labels | st.binary(max_size=6)),
    st.builds(Absorbed, digests, st.just({"accuracy": 1})),
    st.builds(Adopted, digests),
    st.builds(Concluded, digests),
)
kinds = st.sampled_from(["study", "absorb", "adopt", "rejoin"])
jobs = st.builds(lambda kind, rnd: f"{kind}/{rnd}", kinds, st.integers(0, 5))
receipts = st.one_of(
    st.builds(claims.Included, st.just("1"), st.just(1), st.just(1)),
    st.builds(claims.Reverted, st.just("1"), st.just("market: no")),
    st.builds(claims.Unknown, st.just(""), st.just("away")),
)
intents = st.sampled_from(["deposit", "enrol/1", "commit/0/1", "advance/gather/0/1", "settle/1/1", "else"])
task = st.just(TASK)
saw = st.one_of(
    st.builds(claims.TaskOpened, task, accounts, seconds),
    st.builds(claims.Enrolled, task, accounts, st.integers(1, 4)),
    st.builds(claims.RoundOpened, task, rounds, seconds, crowds),
    st.builds(claims.LabelsCommitted, task, rounds, accounts, commitments),
    st.builds(claims.RevealsOpened, task, rounds, seconds, crowds),
    st.builds(claims.LabelsRevealed, task, rounds, accounts, packed),
    st.builds(claims.RevealsClosed, task, rounds, crowds),
    st.builds(claims.WorkerPaid, task, rounds, accounts, st.integers(-5, 5), amounts),
    st.builds(claims.BondForfeited, task, rounds, accounts, amounts),
    st.builds(claims.WorkerSuspended, task, rounds, accounts),
    st.builds(claims.RoundSettled, task, rounds, st.booleans(), amounts, amounts),
    st.builds(claims.TaskClosed, task, st.integers(0, 5)),
)
steps = st.one_of(
    *[st.tuples(st.just("next"), st.integers(0, 8), st.just(True))] * 12,  # most of what happens leads somewhere
    st.tuples(st.just("heard"), heard | hellos, st.booleans()),
    st.tuples(st.just("computed"), st.tuples(jobs, outcomes), st.booleans()),
    st.tuples(st.just("chain"), saw, st.booleans()),
    st.tuples(st.just("life"), st.just(Restored()), st.just(False)),
    st.tuples(st.just("timer"), st.sampled_from(["greet", "deadline", "advance", "settle", "enter", "?"]), st.just(0)),
    st.tuples(st.just("settled"), st.tuples(intents, receipts), st.just(False)),
)


def fitting(node, value: object, here: bool) -> object:
    """The same value, but of the machine's present round or the next."""
    if not here or not hasattr(value, "round"):
        return value
    following = isinstance(value, claims.RoundOpened) and node.stage not in ("new", "gather")
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return type(value)(**{**fields, "round": RoundId(node.round + following)})


SHOWN = pack(bytes([0, 1, 2, 1]))


def chain_goes_on(node, choice: int):
    """What the chain could well say next; the choice makes it skip something now and then."""
    rnd, stage = RoundId(node.round + (node.phase is Phase.ABSORB)), node.stage
    who = ACCOUNTS[choice % 4]
    if stage in ("new", "gather", "settled"):
        following = rnd if stage in ("new", "gather") else RoundId(node.round + 1)
        return claims.RoundOpened(TASK, following, 9, ACCOUNTS[choice // 7 : 4])
    if stage == "settle":
        return claims.RoundSettled(TASK, rnd, choice != 1, 5, 5)
    if choice < 3:
        if stage == "commits":
            return claims.LabelsCommitted(TASK, rnd, who, bound(who, rnd, SHOWN))
        return claims.LabelsRevealed(TASK, rnd, who, SHOWN)
    if stage == "commits" and choice < 8:
        return claims.RevealsOpened(TASK, rnd, 9, tuple(ACCOUNTS[:4]))
    return claims.RevealsClosed(TASK, rnd, tuple(ACCOUNTS[: choice - 2]))


def peers_go_on(node, choice: int):
    """What the others could well say next, in this round or, where they are ahead, in one of the next three."""
    who = 1 + choice % 3
    rnd = RoundId(node.round + (choice - 5 if choice > 5 else 0))
    if node.phase is Phase.IDLE:
        return PEERS[who], Hello(PEERS[who], ACCOUNTS[who], b"", b"")
    if node.phase is Phase.REVEAL and choice < 6:
        return PEERS[who], Reveal(rnd, SALT, SHOWN)
    return PEERS[who], Commit(rnd, bound(ACCOUNTS[who], rnd, SHOWN), Digest(bytes([choice // 3]) * 32))


def next_of(node, number: int, choice: int):
    """An event that may lead the machine further."""
    if choice == 8:
        return Restored() if number % 2 else TimerFired("deadline")
    if node.phase is Phase.STUDY and choice % 2:
        return Computed(f"study/{node.round}", Studied(bytes([0, 1, 2, 1])))
    if node.phase is Phase.ABSORB and choice % 5 == 4:
        return Computed(f"rejoin/{node.round}", Adopted(Digest(bytes([choice]) * 32)) if choice < 9 else None)
    if node.phase is Phase.ABSORB and choice % 2:
        return Computed(f"absorb/{node.round}", Absorbed(Digest(bytes([choice]) * 32)))
    if isinstance(node, SettledDistill):
        return ChainSaw(chain_goes_on(node, choice))
    who, message = peers_go_on(node, choice)
    return Heard(number, who, message, b"said")


def event_of(node, number: int, step):
    kind, value, here = step
    if kind == "next":
        return next_of(node, number, value)
    if kind == "heard":
        who, message, raw = value
        return Heard(number, who, fitting(node, message, here), raw)
    if kind == "computed":
        job, outcome = value
        wanted = {Studied: "study", Absorbed: "absorb", Adopted: "adopt"}.get(type(outcome))
        return Computed(f"{wanted}/{node.round}" if here and wanted else job, outcome, "" if outcome else "why")
    if kind == "chain":
        return ChainSaw(fitting(node, value, here))
    if kind == "timer":
        return TimerFired(value)
    return Settled(*value) if kind == "settled" else value


def check(node, kind: type, taken) -> None:
    now = 0
    node.handle(Tick(0), Started())
    for number, step in enumerate(taken):
        now += number % 3
        event = event_of(node, number, step)
        raw = node.snapshot()
        twin = machine(kind)
        twin.watched = False
        twin.restore(raw)
        assert twin.snapshot() == raw
        effects = node.handle(Tick(now), event)
        assert twin.handle(Tick(now), event) == effects
        assert twin.snapshot() == node.snapshot()
        answers = [effect.delivery for effect in effects if isinstance(effect, Answer)]
        assert answers == ([number] if isinstance(event, Heard) else [])
        assert set(node.steps) <= MOVES, node.steps[-1]
        bounded(node)


def bounded(node) -> None:
    books = node.ballot.to_plain()["books"]
    assert {book[0] for book in books} <= set(range(node.round, node.round + LOOKAHEAD + 1))
    assert len(node.circle.strangers) <= MOST_STRANGERS
    assert all(len(kept) <= MOST_KEPT for kept in node.circle.strangers.values())
    assert node.circle.accounts[PEERS[0]] == ACCOUNTS[0]


@settings(suppress_health_check=list(HealthCheck), max_examples=40, deadline=None, derandomize=True)
@given(st.lists(steps.filter(lambda step: step[0] not in ("chain", "settled")), min_size=40, max_size=80))
def test_gossip_takes_anything_in_any_order(taken):
    check(machine(WatchedGossip), WatchedGossip, taken)


@settings(suppress_health_check=list(HealthCheck), max_examples=50, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=40, max_size=80))
def test_settled_takes_anything_in_any_order(taken):
    check(machine(WatchedSettled), WatchedSettled, taken)
