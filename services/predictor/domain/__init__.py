"""What the predictor knows and decides, free of bus, database and clock."""
