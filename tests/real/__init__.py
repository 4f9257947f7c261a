"""Real weights on real English: what `make test-real` runs."""
