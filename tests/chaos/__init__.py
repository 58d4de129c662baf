"""Kills parts of Homeostat at random moments of a running incident, and checks that it was healed once all the same."""
