"""The transport interface and the transports: libp2p for real, memory for virtual time."""
