"""Leaderboards and pages, made from a run folder alone."""
