# The only commands to remember: make demo | test | check | bench | bench-guard | soak. Each makes what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench bench-guard bench-queue bench-streams chaos soak lock clean

$(STAMP): pyproject.toml ops/requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r ops/requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

demo: $(STAMP)
	$(BIN)/redraft demo

test: $(STAMP)
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python ops/bench.py

# CHAOS_CRASHES crashes: each crash point at each of its passings, and seeded pairs of them (CHAOS_SEED).
CHAOS_CRASHES ?= 1000
chaos: $(STAMP)
	CHAOS_CRASHES=$(CHAOS_CRASHES) $(BIN)/pytest --timeout=3600 tests/chaos tests/model

bench-streams: $(STAMP)
	$(BIN)/python ops/bench_streams.py

# Beside DBOS and procrastinate, which get an environment of their own.
PEERS := .venv-bench
$(PEERS)/.installed: ops/requirements-bench.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r ops/requirements-bench.lock
	touch $@

bench-queue: $(STAMP) $(PEERS)/.installed
	$(BIN)/python ops/bench_peers.py $(PEERS)/bin/python

# Recall, false alarms, delay and CPU of the guard, in half a minute. With ENDPOINT=http://…/v1 MODEL=NAME: the tokens
# that it saves on an engine.
bench-guard: $(STAMP)
	$(BIN)/python ops/bench_guard.py $(if $(ENDPOINT),--endpoint $(ENDPOINT) --model $(MODEL))

# SOAK_MINUTES and SEED choose how long and which faults; the rows are in soak-SEED.jsonl as they come.
SOAK_MINUTES ?= 60
soak: $(STAMP)
	$(BIN)/python ops/soak.py --minutes $(SOAK_MINUTES) $(if $(SEED),--seed $(SEED))

# Rewrites the lock from pyproject.toml: names, versions and hashes, no addresses.
lock:
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --output-file ops/requirements.lock

clean:
	rm -rf $(VENV) $(PEERS) dist
