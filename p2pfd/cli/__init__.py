"""The command p2pfd: parse, call, render."""
