"""A libp2p host put together from the library's parts and ours."""

from __future__ import annotations

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId, peer_id_of
from p2pfd.errors import PlanError
from p2pfd.network.counters import Drop
from p2pfd.network.holdings import Holdings
from p2pfd.network.host import NoAutoConnector, QuietSwarm, SafeHost
from p2pfd.network.negotiation import QuickSelector
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.shares import Shares
from p2pfd.network.sockets import Bound, CountedTcp, Meter
from p2pfd.network.yamux import Muxers

SEED_BYTES = 32


def identity(private_key: bytes) -> tuple[KeyPair, PeerId]:
    """A libp2p key from its seed, and the peer that it makes; PlanError when it is none."""
    if len(private_key) != SEED_BYTES:
        raise PlanError(f"a private key of {len(private_key)} bytes", f"give the {SEED_BYTES}-byte Ed25519 seed")
    pair = create_new_key_pair(private_key)
    return pair, peer_id_of(pair.public_key.to_bytes())


def build(
    pair: KeyPair, addresses: list[Multiaddr], meter: Meter, settings: NetworkSettings, shares: Shares
) -> SafeHost:
    """A host that speaks TCP, Noise and our yamux, and listens nowhere itself."""
    me = ID.from_pubkey(pair.public_key)
    peerstore = PeerStore()
    peerstore.add_key_pair(me, pair)
    security = {NOISE: Noise(pair, noise_privkey=create_noise_pair().private_key)}
    upgrader = TransportUpgrader(secure_transports_by_protocol=security, muxer_transports_by_protocol={})
    upgrader.security_multistream._selector = QuickSelector(security)

    def blame(peer: ID, reason: Drop, why: str) -> None:
        meter.counters.drop(reason, peer.to_base58())
        if reason is Drop.WINDOW:
            host.strike(PeerId(peer.to_base58()), why)

    # The host resets what is above its limit; this is for what it has not seen yet.
    holdings = Holdings(settings.memory_bytes)
    upgrader.muxer_multistream = Muxers(2 * settings.streams_per_peer, blame, settings.peer_window_bytes, holdings)
    # No resource manager: the library's default one opens a circuit breaker for everybody once five peers misbehave.
    # The limits that it would hold are held by `sockets.accept`, `SafeHost` and `Exchange`.
    swarm = QuietSwarm(
        me,
        peerstore,
        upgrader,
        [CountedTcp(meter)],
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            max_connections=settings.connections,
            high_watermark=settings.connections,
            min_connections=0,
            low_watermark=0,
            dial_timeout=settings.connect_seconds,
            inbound_upgrade_timeout=settings.connect_seconds,
            outbound_upgrade_timeout=settings.connect_seconds,
        ),
    )
    swarm.auto_connector = NoAutoConnector(swarm)
    swarm.listeners[str(addresses[0])] = Bound(addresses)
    options = {"disable_identify_address_discovery": True}
    host = SafeHost(
        swarm,
        addresses,
        settings.streams_per_peer,
        max(1.0, settings.connect_seconds),
        meter.counters,
        shares,
        **options,
    )
    return host
