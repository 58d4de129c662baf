"""The optimizer: measures what a setting costs and recommends a better value, in small steps."""
