"""Hands on another host: does there what the healer asks, as far as its own allow-list lets it."""
