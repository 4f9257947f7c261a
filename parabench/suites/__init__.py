"""Suites: TOML files that say what a run is, and the lock files that pin their models."""
