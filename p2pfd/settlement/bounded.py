"""JSON from chains: read as any JSON from elsewhere."""

from __future__ import annotations

from p2pfd.core.boundedjson import MAX_DEPTH as MAX_DEPTH
from p2pfd.core.boundedjson import loads as loads
