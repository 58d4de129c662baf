"""The healer's tables and the queries on them; every function takes the session of a unit of work."""
