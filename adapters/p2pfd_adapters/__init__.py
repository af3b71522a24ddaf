"""Learning adapters that come with p2pfd."""
