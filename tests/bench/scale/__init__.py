"""How the cost of a node and round grows, with its nodes, samples, net and validators."""
