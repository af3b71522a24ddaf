"""Values and the machine protocol. Pure: no I/O, no clock, no global randomness."""
