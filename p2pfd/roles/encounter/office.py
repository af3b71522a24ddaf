"""What a device is set up with, and what all its parts look up: habits, papers, who is who, who sits where."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from p2pfd.core.encounter_claims import MAX_SIZE, RULES, Signature
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, PeerId, TaskId
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.roles.circle import Circle
from p2pfd.wire.messages import Hello

NEVER = Tick(2**62)
Signer = Callable[[bytes, Signature], Account | None]
"""Who signed a digest; None for what the contract would not take either."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a device takes part. Amounts in the token's smallest unit, shares and tolerances in millionths.

    As a learner it proposes these terms; as a neighbor it takes terms that are no worse for it.
    """

    encounters: int
    """How often it learns from somebody; 0 for never."""
    serves: int
    """How many it serves at a time at most; 0 for none."""
    validates: bool
    """Whether it takes a seat."""
    prepayment: int
    bond: int
    """What a seat costs; the contract's. No prepayment is larger."""
    threshold: int
    """What a learner and a neighbor must have free; the contract's."""
    stake: int
    """What it wants to have free, as long as its wallet allows."""
    longest: int
    """How many seconds an encounter may last; the contract's."""
    unbond_seconds: int
    """How many seconds tokens take to leave; the contract's."""
    share: int = 700_000
    size: int = 3
    rule: int = RULES.index("serum")
    tolerance: int = 20_000
    open_seconds: int = 60
    learn_seconds: int = 600
    vote_seconds: int = 120
    margin_seconds: int = 60
    """So long before `learn_by` all signatures must be there; else the votes go on chain one by one."""
    slack_seconds: int = 10
    """How late the chain may tell what happened."""
    patience: int = 10 * SECOND
    """How long a learner waits for a neighbor's agreement."""
    nudge: int = 3 * SECOND
    """How often it says again what may have been lost."""
    pause: int = SECOND
    """Between one's own encounters."""
    look: int = 30 * SECOND
    """How often it looks at its balances."""
    until: Tick = NEVER
    """From then on it begins nothing more, gives its seats up and withdraws."""
    lanes: int = 1
    """How many encounters of one's own there are at a time."""

    def __post_init__(self) -> None:
        legal = (
            0 < self.prepayment <= self.bond
            and 0 <= self.share <= 10**6
            and 1 <= self.size <= MAX_SIZE
            and 0 <= self.rule < len(RULES)
            and min(self.open_seconds, self.vote_seconds, self.nudge, self.patience, self.look) > 0
            and 0 < self.margin_seconds < self.learn_seconds
            and 1 <= self.lanes <= 256
        )
        if not legal:
            raise PlanError(
                "habits of encounters are out of range", "compare them with contracts/vyper/SPEC.md, Limits"
            )
        lasts = self.open_seconds + self.learn_seconds + 2 * self.vote_seconds
        if lasts > self.longest:
            raise PlanError(
                f"encounters would last {lasts} seconds, and the contract takes {self.longest}",
                "shorten open_seconds, learn_seconds or vote_seconds",
            )


@dataclass(frozen=True)
class Desk:
    """Who the device is. ``secret`` feeds salts and openings and leaves the device only as those."""

    task: TaskId
    peer: PeerId
    account: Account
    secret: bytes = field(repr=False)
    papers: Papers
    signer: Signer
    habits: Habits
    hello: Hello | None = None
    members: Mapping[PeerId, Account] = field(default_factory=dict)
    room: int = 1024
    """So many peers are known at most."""


class Office:
    """What the parts of one device share, and only the device changes."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.habits = desk.habits
        self.papers = desk.papers
        self.me = desk.account
        self.circle = Circle({**desk.members, desk.peer: desk.account}, desk.room, keeps=())
        self.seats: dict[int, Account] = {}
        """Who sits where, as the chain told."""
        self.nonces: dict[tuple[Account, int], int] = {}
        """The next nonce of each lane that has been used."""
        self.marks: dict[Account, int] = {}
        """How often this device was let down by somebody: it asks these last, and keeps half its room from them."""

    def peer_of(self, who: Account) -> PeerId | None:
        """The peer that vouches for an account."""
        return next((peer for peer, account in self.circle.accounts.items() if account == who), None)

    def signed(self, struct: bytes, signature: Signature) -> Account | None:
        """Who signed a struct for this contract."""
        return self.desk.signer(self.papers.digest(struct), signature)

    def hidden(self, *what: str | int | bytes) -> bytes:
        """Thirty-two bytes that nobody else can know, the same whenever it is asked."""
        seed = hashlib.blake2b(self.desk.secret, digest_size=32, person=b"p2pfd-encounter")
        for part in what:
            raw = part if isinstance(part, bytes) else str(part).encode()
            seed.update(len(raw).to_bytes(4, "big") + raw)
        return seed.digest()

    def nonce(self, who: Account, lane: int) -> int:
        """The nonce that the chain expects of a lane."""
        return self.nonces.get((who, lane), 0)

    def ended(self, key: int) -> None:
        """An encounter is over: its lane's next nonce is one more."""
        who, lane, nonce = Account(f"0x{key >> 96:040x}"), key >> 40 & 0xFF, key & (1 << 40) - 1
        self.nonces[who, lane] = max(self.nonce(who, lane), nonce + 1)

    def mark(self, who: Account) -> None:
        """This neighbor delivered nothing, or nothing good; or this learner had something signed and left it."""
        self.marks[who] = self.marks.get(who, 0) + 1

    def clear(self, who: Account) -> None:
        """It has kept its word."""
        self.marks.pop(who, None)

    def serves(self, who: Account) -> int:
        """In how many encounters at a time this device serves, if one more is this learner's."""
        return self.habits.serves // 2 if who in self.marks else self.habits.serves

    def partners(self, asked: Collection[Account] = ()) -> list[Account]:
        """Who could be asked, and has not been: an encounter is void unless enough seats are neither party's."""
        held = Counter(self.seats.values())
        most = len(self.seats) - held[self.me] - self.habits.size  # so many may be the partner's
        others = [who for who in self.circle.accounts.values() if who != self.me and who not in asked]
        return [who for who in others if held[who] <= most]

    def partner(self, key: int, asked: Collection[Account]) -> Account | None:
        """Whom to ask next: those with the fewest marks first, in an order that nobody else can know."""
        able = self.partners(asked)
        return min(able, key=lambda who: (self.marks.get(who, 0), self.hidden("partner", key, who)), default=None)
