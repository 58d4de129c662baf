"""Carries out what was decided: plans, backs up, acts, validates, and undoes what did not help."""
