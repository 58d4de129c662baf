"""What counts as trouble, decided without clocks, networks or wire types, so that replay gives the same answer."""
