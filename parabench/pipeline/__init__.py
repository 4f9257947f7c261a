"""One run from a request to a finished folder: plan, runner, processes, estimates, provenance."""
