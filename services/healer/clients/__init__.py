"""The hands: everything that touches the world outside, one module per kind of thing touched."""
