"""Scorers against people: judgments, agreement, ratings, probes."""
