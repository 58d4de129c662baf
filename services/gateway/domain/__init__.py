"""What the gateway decides without I/O: who may do what, what differs between packs, how a story is told."""
