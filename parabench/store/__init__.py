"""One run folder on disk: append, recover, lock, seal; nothing here knows what a score is."""
