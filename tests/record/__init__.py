"""Records real failures of real programs: they are broken on purpose while Homeostat only watches."""
