"""Corpora and test sets: formats, normalisation, fingerprints."""
