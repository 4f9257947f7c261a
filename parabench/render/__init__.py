"""Safe output: escaping, templating, word differences, figures."""
