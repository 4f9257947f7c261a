"""Models: find, pin, fetch, convert and load them."""
