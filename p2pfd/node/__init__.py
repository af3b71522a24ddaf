"""The node: the trio driver and everything a machine's effects need."""
