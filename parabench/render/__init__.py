"""Showing things safely: escaping, templating, word differences, figures."""
