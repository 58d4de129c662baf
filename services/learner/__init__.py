"""The learner: remembers what came of every action, so that the next decision knows."""
