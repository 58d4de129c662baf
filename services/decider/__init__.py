"""Decides whether to act, how, and says why: every action of Homeostat goes through one of its decisions."""
