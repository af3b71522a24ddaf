"""What crosses the network: messages, their signed envelope, the bounded canonical codec and its limits."""
