"""Carrying out a decision as a durable workflow: killed at any instant, it goes on where it was."""
