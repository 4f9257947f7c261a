"""The embedded world: its language, its corpus, its small models."""
