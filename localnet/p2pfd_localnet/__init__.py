"""Local meshes: real nodes, real sockets, a real chain, on one machine."""
