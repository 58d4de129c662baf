"""What the learner makes of outcomes, free of bus, database and clock."""
