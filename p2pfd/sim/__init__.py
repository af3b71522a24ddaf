"""The same machines on a heap of timers: many nodes, virtual time, faults from a seed."""
