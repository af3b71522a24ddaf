"""Each behaviour between an honest machine and its driver: what it changes, and that it changes nothing else."""

from __future__ import annotations

import pytest

from p2pfd import plugins
from p2pfd.behaviours import GROUP, Behaviour, Misbehaving, Scene, behaviour_class, check
from p2pfd.core.claims import CommitLabels, LabelsRevealed, RevealLabels, RevealsOpened, RoundOpened
from p2pfd.core.effects import Answer, Compute, Publish, SetTimer, Submit
from p2pfd.core.events import ChainSaw, Computed, Heard, Started, TimerFired
from p2pfd.core.ids import Account, PeerId, RoundId, TaskId, peer_id_of
from p2pfd.core.labels import pack, unpack
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import Ignore, Reject
from p2pfd.errors import DecodeError, PlanError
from p2pfd.roles.distill import GossipDistill, Seat, SettledDistill
from p2pfd.roles.work import Studied, Study
from p2pfd.wire.messages import Commit, Reveal

TASK = TaskId(b"t" * 32)
SAMPLES, CLASSES = 70, 3
ACCOUNTS = [Account("0x" + f"{node:02x}" * 20) for node in range(3)]
PEERS: list[PeerId] = [peer_id_of(bytes([node]) * 32) for node in range(3)]
HONEST = bytes(sample % CLASSES for sample in range(SAMPLES))
NOW = Tick(0)


def seat(node: int = 0) -> Seat:
    return Seat(
        task=TASK,
        peer=PEERS[node],
        account=ACCOUNTS[node],
        secret=b"secret",
        samples=SAMPLES,
        classes=CLASSES,
        rounds=3,
        quorum=2,
        seats=3,
        commit_ticks=10 * SECOND,
        reveal_ticks=10 * SECOND,
        members=dict(zip(PEERS, ACCOUNTS, strict=True)),
    )


def scene(argument: str = "", node: int = 0) -> Scene:
    return Scene(TASK, ACCOUNTS[node % 3], SAMPLES, CLASSES, Rng(7).split("own", node), Rng(7).split("plot"), argument)


def misbehaving(text: str, node: int = 0) -> Misbehaving:
    kind, argument = behaviour_class(text)
    return Misbehaving(SettledDistill(seat(node % 3)), kind(scene(argument, node)))


def opened(rnd: int = 0) -> ChainSaw:
    return ChainSaw(RoundOpened(TASK, RoundId(rnd), 10, tuple(ACCOUNTS)))


def shown(node: int, labels: bytes, rnd: int = 0) -> ChainSaw:
    return ChainSaw(LabelsRevealed(TASK, RoundId(rnd), ACCOUNTS[node], pack(labels)))


def told(machine: Misbehaving, rnd: int = 0) -> bytes:
    """The labels that the machine is bound to once its study is done."""
    effects = list(machine.handle(NOW, opened(rnd)))
    jobs = [effect for effect in effects if isinstance(effect, Compute)]
    assert [type(job.work) for job in jobs] in ([Study], [])
    if jobs:
        effects += machine.handle(NOW, Computed(jobs[0].job, Studied(HONEST)))
    assert any(isinstance(effect, Submit) and isinstance(effect.claim, CommitLabels) for effect in effects)
    done = machine.handle(NOW, ChainSaw(RevealsOpened(TASK, RoundId(rnd), 20, tuple(ACCOUNTS))))
    claims = [effect.claim for effect in done if isinstance(effect, Submit)]
    assert len(claims) == 1
    assert isinstance(claims[0], RevealLabels)
    return unpack(claims[0].labels, SAMPLES, CLASSES)


@pytest.mark.parametrize("name", plugins.names(GROUP))
def test_every_behaviour_names_itself_and_says_what_it_does(name: str):
    kind, argument = behaviour_class(name)
    assert issubclass(kind, Behaviour)
    assert kind.name == name
    assert kind.about
    assert not argument
    check(name, CLASSES)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("colude", "did you mean collude?"),
        ("flip:1", 'write "flip"'),
        ("constant:3", "from 0 to 2"),
        ("constant:x", "from 0 to 2"),
        ("constant:²", "from 0 to 2"),
        ("copy:nobody", "copy:majority"),
        ("sleep:0", "whole seconds"),
        ("sleep:soon", "whole seconds"),
    ],
)
def test_what_is_no_behaviour_is_said_with_what_would_be(text: str, hint: str):
    with pytest.raises(PlanError) as caught:
        check(text, CLASSES)
    assert hint in caught.value.fix


def test_without_a_change_a_machine_does_what_it_does_alone():
    alone, wrapped = SettledDistill(seat()), Misbehaving(SettledDistill(seat()), Behaviour(scene()))
    events = [
        Started(),
        opened(),
        Computed("study/0", Studied(HONEST)),
        shown(1, HONEST),
        Computed("study/0", None, "x"),
    ]
    for event in events:
        assert wrapped.handle(NOW, event) == alone.handle(NOW, event)


def test_who_flips_tells_the_next_class_of_each():
    assert told(misbehaving("flip")) == bytes((label + 1) % CLASSES for label in HONEST)


def test_who_is_constant_never_trains():
    assert told(misbehaving("constant")) == bytes(SAMPLES)
    assert told(misbehaving("constant:2")) == bytes([2]) * SAMPLES


def test_who_answers_by_chance_says_something_else_each_round_and_each_node():
    machine = misbehaving("random")
    first = told(machine)
    assert first != told(misbehaving("random", 1))
    assert first != told(machine, 1)
    assert set(first) == {0, 1, 2}
    assert first == told(misbehaving("random"))


def test_all_of_a_plot_tell_the_same_and_two_plots_do_not():
    assert told(misbehaving("collude", 0)) == told(misbehaving("collude", 1))
    assert told(misbehaving("collude:a")) != told(misbehaving("collude:b"))
    machine = misbehaving("collude")
    assert told(machine) == told(machine, 1)


def test_a_copier_has_nothing_in_the_first_round_and_the_majority_in_the_next():
    machine = misbehaving("copy")
    first = told(machine)
    assert first not in (HONEST, bytes(SAMPLES))
    others = [bytes([1]) * SAMPLES, HONEST]
    for node, labels in enumerate([first, *others]):
        machine.handle(NOW, shown(node, labels))
    majority = bytes(min(1, label) for label in HONEST)
    assert told(machine, 1) == majority  # its own labels do not count, and of two the lower class does


def test_a_copier_sees_a_reveal_of_the_present_round_only_where_it_is_shown_before_it_commits():
    # A chain opens the reveals once all are bound. Where a peer shows its labels too early, they are there to be taken.
    machine = misbehaving("copy:peer")
    machine.handle(NOW, Heard(1, PEERS[1], Reveal(RoundId(0), bytes(32), pack(HONEST))))
    assert told(machine) == HONEST
    later = misbehaving("copy:peer")
    later.handle(NOW, shown(1, HONEST, rnd=1))
    assert told(later) != HONEST, "labels of a later round say nothing of this one"


def test_a_copier_forgets_old_rounds_and_ignores_what_are_no_labels():
    machine = misbehaving("copy")
    for rnd in range(4):
        machine.handle(NOW, shown(1, HONEST, rnd))
    assert sorted(machine.behaviour.seen) == [2, 3]
    machine.handle(NOW, Heard(1, PEERS[1], Reveal(RoundId(5), bytes(32), b"no labels")))
    assert sorted(machine.behaviour.seen) == [2, 3]


def test_a_copier_remembers_over_a_restart():
    machine = misbehaving("copy")
    machine.handle(NOW, shown(1, HONEST))
    again = misbehaving("copy")
    again.restore(machine.snapshot())
    assert again.behaviour.seen == machine.behaviour.seen
    assert again.snapshot() == machine.snapshot()
    assert told(again, 1) == told(machine, 1) == HONEST


@pytest.mark.parametrize("raw", [b"", b"\x80", SettledDistill(seat()).snapshot(), b"\x82\xa1a\x01\xa1b\x02"])
def test_a_snapshot_of_something_else_is_refused(raw: bytes):
    with pytest.raises(DecodeError):
        misbehaving("copy").restore(raw)


def said(machine: Misbehaving, *events: object) -> list[type]:
    """What it tells peers and the chain, by kind."""
    found: list[type] = []
    for event in events:
        for effect in machine.handle(NOW, event):  # type: ignore[arg-type]
            if isinstance(effect, Publish):
                found.append(type(effect.message))
            elif isinstance(effect, Submit):
                found.append(type(effect.claim))
    return found


ROUND = (
    opened(),
    Computed("study/0", Studied(HONEST)),
    ChainSaw(RevealsOpened(TASK, RoundId(0), 20, tuple(ACCOUNTS))),
)


def test_who_withholds_commits_and_does_not_reveal():
    assert said(misbehaving("withhold"), *ROUND) == [Commit, CommitLabels]
    assert said(Misbehaving(SettledDistill(seat()), Behaviour(scene())), *ROUND) == [
        Commit,
        CommitLabels,
        Reveal,
        RevealLabels,
    ]


def test_who_is_absent_says_neither():
    assert said(misbehaving("absent"), *ROUND) == []


def test_two_words_of_one_are_evidence_against_it():
    liar = Misbehaving(GossipDistill(seat(1)), behaviour_class("equivocate")[0](scene(node=1)))
    liar.handle(NOW, Started())
    done = liar.handle(NOW, Computed("study/0", Studied(HONEST)))
    words = [effect.message for effect in done if isinstance(effect, Publish)]
    assert [type(word) for word in words] == [Commit, Commit]
    honest = GossipDistill(seat(0))
    honest.handle(NOW, Started())
    verdicts = []
    for number, word in enumerate(words):
        [answer] = [
            effect
            for effect in honest.handle(NOW, Heard(number, PEERS[1], word, raw=bytes([number + 1])))
            if isinstance(effect, Answer)
        ]
        verdicts.append(answer.verdict)
    assert isinstance(verdicts[1], Reject)
    assert verdicts[1].evidence == (b"\x01", b"\x02")


def sleeper() -> tuple[Misbehaving, Tick, Tick]:
    """A machine that was started, a moment in which it sleeps, and the one in which it wakes."""
    machine = misbehaving("sleep:20")
    behaviour = machine.behaviour
    starts = next(second for second in range(40) if behaviour.awake(Tick(second * SECOND)))
    asleep = next(second for second in range(starts, 80) if not behaviour.awake(Tick(second * SECOND)))
    alarm = Tick((-behaviour.offset) % (40 * SECOND))
    assert machine.handle(Tick(starts * SECOND), Started())
    return machine, Tick(asleep * SECOND), Tick(alarm + 40 * SECOND * (alarm < asleep * SECOND))


def test_a_sleeper_loses_what_peers_say_and_catches_up_with_the_chain():
    machine, asleep, alarm = sleeper()
    [answer] = machine.handle(asleep, Heard(9, PEERS[1], Commit(RoundId(0), bytes(32))))
    assert isinstance(answer, Answer)
    assert answer.delivery == 9
    assert isinstance(answer.verdict, Ignore)
    [timer] = machine.handle(asleep, opened())
    assert timer == SetTimer("behaviour.wake", alarm)
    assert machine.behaviour.awake(alarm)
    assert not machine.behaviour.awake(Tick(alarm - 1))
    assert machine.handle(asleep, shown(1, HONEST)) == (), "one alarm clock is enough"
    woken = machine.handle(alarm, TimerFired("behaviour.wake"))
    assert any(isinstance(effect, Compute) for effect in woken), "the round that was opened meanwhile is begun"
    assert machine.handle(alarm, TimerFired("behaviour.wake")) == ()


def test_whatever_comes_before_the_alarm_rings_comes_after_what_was_kept():
    machine, asleep, alarm = sleeper()
    machine.handle(asleep, opened())
    done = machine.handle(alarm, Computed("study/0", Studied(HONEST)))
    kinds = [type(effect).__name__ for effect in done]
    assert kinds.index("Compute") < kinds.index("Publish"), "first the round is opened, then its study is over"


def test_sleepers_do_not_all_sleep_at_once():
    offsets = {misbehaving("sleep", node).behaviour.offset // SECOND for node in range(20)}
    assert len(offsets) > 10
    assert max(offsets) < 30
