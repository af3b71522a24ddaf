"""A running node: wires keys, network, chain, model, store and machine together, in one nursery."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from p2pfd import __version__
from p2pfd.core.agenda import Kind
from p2pfd.core.canonical import digest_of
from p2pfd.core.encounter_spec import NO_ENCOUNTERS
from p2pfd.core.events import Restored, Started
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import SECOND, Clock
from p2pfd.errors import DecodeError, NetworkError, PlanError, StorageError
from p2pfd.learning.adapter import Task
from p2pfd.learning.data import deal
from p2pfd.learning.device import CPU, VARIABLE, choose
from p2pfd.network.api import Transport
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.statefile import StateFile
from p2pfd.node.board import Board
from p2pfd.node.config import NodeConfig, invitation_of
from p2pfd.node.driver import Driver
from p2pfd.node.encounters import EncounterBench, habits_of, until_done
from p2pfd.node.fittings import PLAIN, Fittings
from p2pfd.node.invitation import recognise
from p2pfd.node.keys import NodeKeys
from p2pfd.node.keys import secret as secret_of
from p2pfd.node.keystore import require_encrypted
from p2pfd.node.manifest import unseal
from p2pfd.node.metrics import Watch, pages
from p2pfd.node.neighbours import Neighbours
from p2pfd.node.notices import SMALL
from p2pfd.node.placing import placed
from p2pfd.node.ports import NodePorts, in_thread, topic_of
from p2pfd.node.scrape import address_of, open_listener, serve
from p2pfd.node.settling import ChainSide
from p2pfd.node.sharing import SharingBench
from p2pfd.node.store import AFRESH, Saved, Store
from p2pfd.node.store import FILE as STORE_FILE
from p2pfd.node.telemetry import Emitter
from p2pfd.node.terms import check_rules, check_terms
from p2pfd.node.workbench import MILLION, Bench, Materials, Workbench, adapter_of, votes
from p2pfd.roles.distill import GossipDistill, Seat, SettledDistill
from p2pfd.roles.encounter import Desk, Device
from p2pfd.roles.exchange import Exchange
from p2pfd.settlement.api import GENESIS, EncounterSettlement, Settlement
from p2pfd.settlement.encounters import papers, signer
from p2pfd.settlement.outbox import FILE as OUTBOX_FILE
from p2pfd.settlement.profiles import Chain, capped, open_chain, profile_of
from p2pfd.wire.vouch import vouch

Report = Callable[[str, dict[str, object]], None]
"""Tells whoever started the node: listening, ready, finished."""
BLOBS_FOLDER = "blobs"
PLACES_FILE = "places.json"
PEERS_SECONDS = 10.0
"""A node that has heard from no peer by then starts all the same: the others may come later."""


@dataclass(frozen=True)
class Command:
    """What a supervisor asks of a running node."""

    dial: tuple[str, ...] | None = None
    """Whom to connect to; nobody (an empty tuple) is a word too: the node need not wait for another."""
    stop: bool = False


async def run_node(
    config: NodeConfig,
    keys: NodeKeys,
    clock: Clock,
    emit: Emitter,
    report: Report,
    commands: AsyncIterator[Command],
    fittings: Fittings = PLAIN,
) -> None:
    """Take part in a task until told to stop, or until the commands end."""
    async with trio.open_nursery() as nursery:
        send, dials = trio.open_memory_channel[tuple[str, ...]](math.inf)
        nursery.start_soon(_obey, commands, send, nursery.cancel_scope)
        await _take_part(config, keys, clock, emit, report, dials, fittings)
    emit("node.stopped", {})


async def _take_part(
    config: NodeConfig,
    keys: NodeKeys,
    clock: Clock,
    emit: Emitter,
    report: Report,
    dials: AsyncIterator[tuple[str, ...]],
    fittings: Fittings,
) -> None:
    spec = config.load_task()
    home = Path(config.home)
    device = await in_thread(choose, config.device or os.environ.get(VARIABLE, CPU))
    bench = await in_thread(_workbench, spec, config, keys, fittings, device)
    if "p2pfd.learning.model" in sys.modules:
        from p2pfd.learning._torch import warm  # where torch is here already: not every node needs it

        await in_thread(warm)  # before anybody waits for this node
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store(home / STORE_FILE))
        store.belongs_to(keys.account.account)
        role = machine_for(spec, keys, exchange=isinstance(bench, SharingBench))
        machine = fittings.machine(role)
        saved = store.load(spec.id)
        if saved is not None:
            await in_thread(_restore, home / STORE_FILE, saved, machine, bench)
        settings = config.network_settings()
        if isinstance(bench, EncounterBench) and not settings.blob_directory:
            # What others are to judge and to fetch outlives this process.
            settings = dataclasses.replace(settings, blob_directory=str(home / BLOBS_FOLDER))
        rng = Rng(secret_of(keys)).split("network", int(clock.now()))
        opening = open_transport(keys.peer_private, config.listen, settings, rng=rng, clock=clock)
        transport = await stack.enter_async_context(opening)
        told: dict[str, object] = {
            "addresses": list(transport.addresses),
            "peer": keys.peer,
            "account": keys.account.account,
            "device": device,
        }
        watch = Watch(transport)
        emit = watch.counting(emit)
        async with trio.open_nursery() as nursery:
            if config.metrics:
                page = await open_listener(config.metrics)
                told["metrics"] = address_of(page)
                nursery.start_soon(serve, page, pages(watch))
            emit("node.listening", told)
            report("listening", told)
            neighbours = Neighbours(transport, emit, lambda: _bytes(bench, ports))
            emit = neighbours.emit
            chain: ChainSide | None = None
            if spec.chain.profile != "none":
                of_all = isinstance(bench, EncounterBench)
                opening_chain = partial(_open_encounters if of_all else _open, spec, config, keys)
                chain = ChainSide(spec.id, keys.account.account, opening_chain, store, emit, of_all=of_all)
                if isinstance(bench, EncounterBench):
                    bench.desk = chain.desk
                chain.cursor, chain.patient = GENESIS if saved is None else saved.cursor, saved is not None
            alone, first_seq = isinstance(role, Device), int(clock.now())
            places = StateFile(home / PLACES_FILE) if alone else None
            rest = (emit, nursery, first_seq, alone, places)
            ports = NodePorts(spec.id, keys, transport, chain, bench, store, *rest)
            observe = until_done(role, ports) if isinstance(role, Device) else ports.observe
            driver = ports.driver = Driver(machine, ports, clock, observe)
            transport.on_echo(ports.echoed)
            dialled = trio.Event()
            nursery.start_soon(_dial, dials, transport, dialled, emit, report)
            if config.invitation:
                board = Board(SMALL, lambda: clock.now() // SECOND, rng.split("board"), own=invitation_of(config))
                await board.serve(transport)
                nursery.start_soon(board.run, transport)
            if fittings.beside is not None:
                nursery.start_soon(fittings.beside, transport, store, emit)
            nursery.start_soon(ports.run_listening)
            await bench.begin(transport)
            if config.bootstrap or spec.seats == 1:
                dialled.set()
            await dialled.wait()
            with trio.move_on_after(PEERS_SECONDS):
                await transport.wait_for_subscribers(topic_of(spec.id), min(1, spec.seats - 1))
            driver.post(Kind.LIFE, Started() if saved is None else Restored())
            if chain is not None:
                nursery.start_soon(ports.run_following, chain)
                await chain.reached.wait()
            told = {"peers": len(transport.peers())}
            emit("node.ready", told)
            report("ready", told)
            nursery.start_soon(neighbours.run)
            nursery.start_soon(ports.run_publishing)
            nursery.start_soon(ports.run_placing)
            nursery.start_soon(ports.run_computing)
            nursery.start_soon(driver.run)
            nursery.start_soon(_finish, ports, spec, transport, emit, report)


def _bytes(bench: Bench, ports: NodePorts) -> dict[str, int]:
    """What labels it has sent take, and what its weights would."""
    return {"label_bytes": ports.label_bytes, "weights_bytes": bench.weights_bytes}


def _restore(path: Path, saved: Saved, machine: Machine, bench: Bench) -> None:
    try:
        machine.restore(saved.machine)
        bench.restore(saved.learner)
    except DecodeError as error:
        wrote = f" (p2pfd {saved.release} wrote it, this is {__version__})" if saved.release else ""
        raise StorageError(f"{path} holds a state that cannot be read: {error.what}{wrote}", AFRESH) from error


async def _as_invited(chain: Chain, config: NodeConfig) -> None:
    """What an endpoint said before the node had keys to lose must still be so."""
    if text := invitation_of(config):
        await recognise(chain, unseal(text))


@asynccontextmanager
async def _open(spec: TaskSpec, config: NodeConfig, keys: NodeKeys) -> AsyncIterator[Settlement]:
    outbox = Path(config.home) / OUTBOX_FILE
    profile = capped(profile_of(spec.chain), config.max_gwei)
    async with open_chain(spec.chain, config.chain_url, outbox=outbox, profile=profile) as opened:
        await _as_invited(opened, config)
        settlement = opened.settlement(keys.account)
        if settlement.caps.live:
            require_encrypted(Path(config.home) / "keys", f"{settlement.caps.profile} ({settlement.caps.chain_id})")
        await check_terms(settlement, spec)
        yield settlement


@asynccontextmanager
async def _open_encounters(spec: TaskSpec, config: NodeConfig, keys: NodeKeys) -> AsyncIterator[EncounterSettlement]:
    outbox = Path(config.home) / OUTBOX_FILE
    profile = capped(profile_of(spec.chain), config.max_gwei)
    async with open_chain(spec.chain, config.chain_url, outbox=outbox, profile=profile) as opened:
        await _as_invited(opened, config)
        desk = opened.encounters(keys.account)
        if desk.caps.live:
            require_encrypted(Path(config.home) / "keys", f"{desk.caps.profile} ({desk.caps.chain_id})")
        await check_rules(desk, spec)
        yield desk


def machine_for(spec: TaskSpec, keys: NodeKeys, *, exchange: bool = False) -> Machine:
    """The role of a node with these keys in a task: in encounters, a distillation round, or an exchange."""
    settled = spec.chain.profile != "none"
    if spec.encounters != NO_ENCOUNTERS:
        return Device(
            Desk(
                task=spec.id,
                peer=keys.peer,
                account=keys.account.account,
                secret=secret_of(keys),
                papers=papers(spec.chain.chain_id, spec.chain.market),
                signer=signer,
                habits=habits_of(spec),
                hello=vouch(spec.id, keys),
            )
        )
    seat = Seat(
        task=spec.id,
        peer=keys.peer,
        account=keys.account.account,
        secret=secret_of(keys),
        samples=spec.data.public,
        classes=spec.data.classes,
        rounds=spec.rounds,
        quorum=spec.quorum,
        seats=spec.seats,
        enrol_ticks=spec.phases.enrol_seconds * SECOND,
        commit_ticks=spec.phases.commit_seconds * SECOND,
        reveal_ticks=spec.phases.reveal_seconds * SECOND,
        bond=spec.money.bond,
        hello=vouch(spec.id, keys),
    )
    if exchange:
        return Exchange(seat, spec.partners)
    return SettledDistill(seat) if settled else GossipDistill(seat)


def _workbench(
    spec: TaskSpec, config: NodeConfig, keys: NodeKeys, fittings: Fittings = PLAIN, device: str = CPU
) -> Bench:
    adapter = fittings.adapter(placed(adapter_of(spec.adapter, config.learner), device))
    dealt = deal(spec.data, config.shards, Path(config.data_dir) if config.data_dir else None)
    task = Task(spec, dealt.public)
    materials = Materials(task, dealt.shards[config.shard], dealt.validation, dealt.test)
    # What all nodes must derive alike hangs on what they agreed on to learn, not on the chain that they settle on.
    plan = spec.to_plain()
    del plan["chain"]
    shared = Rng(digest_of("learning", plan)).split(config.seed)
    private = (fittings.dice or Rng(secret_of(keys))).split("learning")
    if spec.encounters != NO_ENCOUNTERS:
        if not hasattr(adapter, "serve"):
            raise PlanError(
                f"the adapter {spec.adapter} does not learn in encounters: it cannot serve another node",
                "p2pfd adapters list says which do",
            )
        return EncounterBench(adapter, materials, private, shared, keys.account)
    if votes(adapter, task):
        return Workbench(adapter, materials, private, shared)
    if spec.chain.profile != "none":
        raise PlanError(
            f"what the adapter {spec.adapter} shares cannot be settled: they are no labels of a common student",
            "run it without a chain (--chain none)",
        )
    return SharingBench(adapter, materials, private, shared, keys.account.account)


async def _obey(
    commands: AsyncIterator[Command], dials: trio.MemorySendChannel[tuple[str, ...]], scope: trio.CancelScope
) -> None:
    async for command in commands:
        if command.stop:
            break
        if command.dial is not None:
            dials.send_nowait(command.dial)
    scope.cancel()


async def _dial(
    dials: AsyncIterator[tuple[str, ...]],
    transport: Libp2pTransport,
    dialled: trio.Event,
    emit: Emitter,
    report: Report,
) -> None:
    async for addresses in dials:
        for address in addresses:
            try:
                await transport.connect(address)
            except NetworkError as error:
                emit("peer.unreachable", {"address": address, "why": str(error)})
                report("unreachable", {"error": error.what, "fix": error.fix})
            transport.keep_connected(address)
        dialled.set()


async def _finish(ports: NodePorts, spec: TaskSpec, transport: Transport, emit: Emitter, report: Report) -> None:
    await ports.finished.wait()
    figures: dict[str, object] = {
        key: value.hex() if isinstance(value, bytes) else value for key, value in ports.figures.items()
    }
    for key in ("accuracy_together", "accuracy_alone"):
        figures[key] = int(str(figures[key])) / MILLION
    traffic = transport.traffic()
    told: dict[str, object] = {
        **figures,
        "rounds": spec.rounds,
        "bytes_sent": traffic.sent,
        "bytes_received": traffic.received,
        "label_bytes": ports.label_bytes,
    }
    emit("node.finished", told)
    report("finished", told)
