"""A router that speaks UPnP, on this machine's loopback: it says yes, or no, or is behind another one."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

GROUP, PORT = "239.255.255.250", 1900
_KIND = "urn:schemas-upnp-org:device:{}:1"
_SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"


def _device(kind: str, inside: str) -> str:
    names = "".join(f"<{name}>x</{name}>" for name in ("friendlyName", "manufacturer", "modelName"))
    return f"<device><deviceType>{_KIND.format(kind)}</deviceType>{names}<UDN>uuid:{kind}</UDN>{inside}</device>"


_CONTROL = "".join(f"<{name}>/{name}</{name}>" for name in ("SCPDURL", "controlURL", "eventSubURL"))
_ID = "<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>"
_INNER = f"<serviceList><service><serviceType>{_SERVICE}</serviceType>{_ID}{_CONTROL}</service></serviceList>"
_MIDDLE = f"<deviceList>{_device('WANConnectionDevice', _INNER)}</deviceList>"
_OUTER = _device("InternetGatewayDevice", f"<deviceList>{_device('WANDevice', _MIDDLE)}</deviceList>")
ROOT = f'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">{_OUTER}</root>'


class Router:
    """What it was asked, and what it answers."""

    def __init__(self, external: str, leases: bool = True, opens: bool = True) -> None:
        self.external = external
        self.leases = leases
        self.opens = opens
        self.open: dict[int, int] = {}
        """The ports that are open, and for how long."""

    def answer(self, action: str, body: str) -> tuple[int, str]:
        """The status and what stands in the answer."""
        if action == "GetExternalIPAddress":
            return 200, f"<NewExternalIPAddress>{self.external}</NewExternalIPAddress>"
        if action == "GetStatusInfo":
            return 200, "<NewConnectionStatus>Connected</NewConnectionStatus>"
        port = int(_of("NewExternalPort", body))
        if action == "AddPortMapping":
            lease = int(_of("NewLeaseDuration", body))
            assert (_of("NewInternalPort", body), _of("NewInternalClient", body)) == (str(port), "127.0.0.1")
            if not self.opens or (lease and not self.leases):
                return 500, "<errorCode>725</errorCode><errorDescription>OnlyPermanentLeases</errorDescription>"
            self.open[port] = lease
        else:
            del self.open[port]
        return 200, ""


def _of(name: str, body: str) -> str:
    found = re.search(f"<{name}>(.*?)</{name}>", body)
    assert found is not None
    return found[1]


@contextmanager
def routing(router: Router) -> Iterator[Router]:
    """The router at work."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            """Silent."""

        def do_GET(self) -> None:
            self._say(200, ROOT)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            action = re.search(r"<u:(\w+)", body)
            assert action is not None
            status, inside = router.answer(action[1], body)
            name = f"u:{action[1]}Response"
            said = f'<{name} xmlns:u="{_SERVICE}">{inside}</{name}>'
            envelope = 'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
            self._say(status, f"<s:Envelope {envelope}><s:Body>{said}</s:Body></s:Envelope>")

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _ear() as ear:
        over = threading.Event()
        threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,)),
            threading.Thread(target=_announce, args=(ear, server.server_port, over)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield router
        finally:
            server.shutdown()
            over.set()
            for thread in threads:
                thread.join()


@contextmanager
def _ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.bind(("", PORT))
        member = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        ear.settimeout(0.05)
        yield ear


def _announce(ear: socket.socket, port: int, over: threading.Event) -> None:
    while not over.is_set():
        try:
            said, where = ear.recvfrom(2048)
        except TimeoutError:
            continue
        wanted = re.search(rb"ST: *(\S+)", said)
        if wanted is not None:
            location = b"LOCATION: http://127.0.0.1:%d/root.xml" % port
            ear.sendto(
                b"\r\n".join((b"HTTP/1.1 200 OK", b"ST: " + wanted[1], b"USN: uuid:1", location, b"", b"")), where
            )
