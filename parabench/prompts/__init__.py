"""Soft prompts: initialisers, templates, encoders, the task table, adapters on disk."""
