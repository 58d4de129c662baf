"""A small web shop that really runs and really breaks: the system Homeostat is shown healing.

It knows nothing of Homeostat, as a user's own system would not.
"""
