"""What p2pfd, p2pfl and Flower take for the same task, measured in one way: `bench_peers`."""
