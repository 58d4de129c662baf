"""`homeostat bench`: each area drives the code that production runs and shows its baselines from the same run."""
