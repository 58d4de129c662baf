"""The ways a scenario breaks things; each gives a deed that `Ground.make_whole` can undo and verify."""
