"""Homes and a street: private networks, each behind a router of its own, and machines that everybody can dial.

Every machine is a network namespace, every router one that forwards, every cable a pair of real interfaces. An IPv4
router rewrites addresses as routers at home do: the kernel's own masquerading, set up with nft or iptables. Of IPv6 a
router rewrites nothing; one with a wall lets nobody in who was not spoken to first.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import pytest

from .swarm import CLONE_NEWNET, ip

STREET = "street"
T = TypeVar("T")

_NFT = {
    4: """table ip home {
  chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
  chain pass { type filter hook forward priority 0; ct state established,related accept; iifname "wan" drop; }
}""",
    6: """table ip6 home {
  chain pass { type filter hook forward priority 0; ct state established,related accept; iifname "wan" drop; }
}""",
}
_IPTABLES = {
    4: ("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE",
        "iptables -A FORWARD -i wan -m conntrack ! --ctstate ESTABLISHED,RELATED -j DROP"),
    6: ("ip6tables -A FORWARD -i wan -m conntrack ! --ctstate ESTABLISHED,RELATED -j DROP",),
}  # fmt: skip


@dataclass(frozen=True)
class Home:
    """A private network: its router's two addresses, those of its machines, and whether it lets strangers in."""

    name: str
    outside: str
    inside: str
    machines: tuple[str, ...]
    wall: bool = True

    def places(self) -> tuple[str, ...]:
        """What its machines are called."""
        return tuple(f"{self.name}{number}" for number in range(1, len(self.machines) + 1))


class Neighbourhood:
    """All of it. A machine is called by its place: ``a1`` is the first one of home ``a``, ``a`` its router."""

    def __init__(self, homes: Sequence[Home], public: dict[str, str], version: int = 4) -> None:
        self._homes = {home.name: home for home in homes}
        self._public = public
        self._version = version
        self._bits = 24 if version == 4 else 64
        self._made: list[str] = []
        self.places = tuple(place for home in homes for place in home.places())

    def namespace(self, place: str) -> str:
        """The name of a place's namespace."""
        return f"p2pfd-{os.getpid()}-{self._version}-{place}"

    def build(self) -> None:
        """Make everything; OSError or CalledProcessError where that is not allowed, or no router can be had."""
        self._add(STREET)
        self._ip(STREET, "link", "add", "road", "type", "bridge")
        self._ip(STREET, "link", "set", "road", "up")
        for place, address in self._public.items():
            self._add(place)
            self._plug(place, "wire", address, STREET, "road")
            self._ip(place, "route", "add", "default", "dev", "wire")  # as one has who talks to the world
        for home in self._homes.values():
            self._add(home.name)
            self._plug(home.name, "wan", home.outside, STREET, "road")
            self._ip(home.name, "link", "add", "lan", "type", "bridge")
            self._ip(home.name, "link", "set", "lan", "up")
            self._address(home.name, "add", home.inside, "lan")
            self._route(home)
            for place, address in zip(home.places(), home.machines, strict=True):
                self._add(place)
                self._plug(place, "wire", address, home.name, "lan")
                self._ip(place, "route", "add", "default", "via", home.inside)

    def _add(self, place: str) -> None:
        name = self.namespace(place)
        ip("netns", "add", name)
        self._made.append(name)
        if self._version == 6:  # nobody else has the addresses, and to look for them takes a second
            self._sysctl(place, "net.ipv6.conf.all.accept_dad=0")
            self._sysctl(place, "net.ipv6.conf.default.accept_dad=0")
        self._ip(place, "link", "set", "lo", "up")

    def _plug(self, place: str, link: str, address: str, where: str, bridge: str) -> None:
        """A cable from a place to a bridge at another one, and the place's address on it."""
        far = f"to-{place}"
        ip(
            *("link", "add", link, "netns", self.namespace(place), "type", "veth"),
            *("peer", "name", far, "netns", self.namespace(where)),
        )
        self._address(place, "add", address, link)
        self._ip(where, "link", "set", far, "master", bridge)
        self._ip(where, "link", "set", far, "up")
        self._ip(place, "link", "set", link, "up")

    def _route(self, home: Home) -> None:
        """Make a router of it."""
        self._sysctl(home.name, "net.ipv4.ip_forward=1" if self._version == 4 else "net.ipv6.conf.all.forwarding=1")
        if self._version == 6:  # nobody rewrites anything: the street knows the way
            whole = f"{home.inside.rpartition('::')[0]}::/{self._bits}"
            others = [other.name for other in self._homes.values() if other != home]
            for place in (*self._public, *(other for other in others if self.namespace(other) in self._made)):
                self._ip(place, "route", "add", whole, "via", home.outside)
            for other in self._homes.values():
                if other != home and self.namespace(other.name) in self._made:
                    theirs = f"{other.inside.rpartition('::')[0]}::/{self._bits}"
                    self._ip(home.name, "route", "add", theirs, "via", other.outside)
        if home.wall or self._version == 4:
            self._rules(home.name)

    def _rules(self, place: str) -> None:
        enter = ["ip", "netns", "exec", self.namespace(place)]
        with suppress(FileNotFoundError, subprocess.CalledProcessError):
            subprocess.run(
                [*enter, "nft", "-f", "-"], input=_NFT[self._version], text=True, check=True, capture_output=True
            )
            return
        for line in _IPTABLES[self._version]:
            subprocess.run([*enter, *line.split()], check=True, capture_output=True)

    def remove(self) -> None:
        """Make everything go."""
        for name in self._made:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def _ip(self, place: str, *words: str) -> None:
        ip("-n", self.namespace(place), f"-{self._version}", *words)

    def _address(self, place: str, verb: str, address: str, link: str) -> None:
        self._ip(place, "address", verb, f"{address}/{self._bits}", "dev", link)

    def _sysctl(self, place: str, setting: str) -> None:
        ip("netns", "exec", self.namespace(place), "sysctl", "-q", "-w", setting)

    # -- what happens to them --------------------------------------------------------------------------------------

    def renumber(self, place: str, old: str, new: str) -> None:
        """A machine is given another address by its router, or a router by whoever it is connected to."""
        home = self._homes.get(place)
        link = "wire" if home is None else "wan"
        self._address(place, "del", old, link)
        self._address(place, "add", new, link)
        if home is None:
            inside = self._homes[place.rstrip("0123456789")].inside
            self._ip(place, "route", "replace", "default", "via", inside)

    # -- what is done in them --------------------------------------------------------------------------------------

    def command(self, place: str, *words: str) -> list[str]:
        """The command line that runs another one there."""
        return ["ip", "netns", "exec", self.namespace(place), *words]

    def inside(self, place: str, work: Callable[[], T]) -> T:
        """Have it done by a thread whose sockets, and whose children's, are of that place."""
        found: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                here = os.open(f"/run/netns/{self.namespace(place)}", os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(here, CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(here)
                found.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def carried(self, place: str, link: str = "wire") -> int:
        """Bytes that have crossed an interface there, both ways: whole Ethernet frames, as the kernel counts them."""
        told = subprocess.run(
            ["ip", "-n", self.namespace(place), "-j", "-s", "link", "show", "dev", link],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        (found,) = json.loads(told.stdout)
        return int(found["stats64"]["rx"]["bytes"]) + int(found["stats64"]["tx"]["bytes"])


@contextmanager
def neighbourhood(homes: Sequence[Home], public: dict[str, str], version: int = 4) -> Iterator[Neighbourhood]:
    """Homes on one street; the test is skipped where they cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    made = Neighbourhood(homes, public, version)
    try:
        try:
            made.build()
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or ""
            pytest.skip(f"no namespaces with routers that rewrite addresses here: {error} {said!s}".strip())
        yield made
    finally:
        made.remove()
