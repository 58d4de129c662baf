"""The detector: turns metrics, logs, checks and reports of other systems into incidents, and looks for itself."""
