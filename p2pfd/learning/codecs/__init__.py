"""Ways to make payloads small (plug-ins)."""
