"""An EVM chain in a process of its own, behind JSON-RPC, its state on disk."""
