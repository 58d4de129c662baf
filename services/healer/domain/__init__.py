"""The healer's decisions, without any input or output."""
