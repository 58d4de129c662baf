"""Finds why: from incidents, their neighbours, recent changes and anomalies to ranked causes in plain words."""
