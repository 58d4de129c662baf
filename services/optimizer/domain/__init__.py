"""What the optimizer measures and recommends, free of bus, database and clock."""
