"""What all services must agree on, and nothing else."""
