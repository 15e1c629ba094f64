# The only commands to remember: make demo | test | check | bench | bench-guard | bench-queue | soak. Each makes what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed

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

# Every crash point alone, and CHAOS_PAIRS seeded pairs of them.
CHAOS_PAIRS ?= 500
chaos: $(STAMP)
	CHAOS_PAIRS=$(CHAOS_PAIRS) $(BIN)/pytest --timeout=3600 tests/chaos tests/model

bench-streams: $(STAMP)
	$(BIN)/python ops/bench_streams.py

# Recall, false alarms, delay and CPU of the guard, in half a minute.
bench-guard: $(STAMP)
	$(BIN)/python ops/bench_guard.py

# Dispatch with a long queue and a long past, and beside DBOS and procrastinate, which have an environment of their own.
bench-queue: $(STAMP) $(BENCH_STAMP)
	$(BIN)/python ops/bench_queue.py

$(BENCH_STAMP): ops/requirements-bench.lock
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# SOAK_MINUTES and SEED choose how long and which faults; the rows are in soak-SEED.jsonl as they come.
SOAK_MINUTES ?= 60
soak: $(STAMP)
	$(BIN)/python ops/soak.py --minutes $(SOAK_MINUTES) $(if $(SEED),--seed $(SEED))

# Rewrites the lock from pyproject.toml: names, versions and hashes, no addresses.
lock:
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --no-header --no-annotate --no-emit-index-url --output-file ops/requirements.lock
	printf 'dbos==3.4.0\nprocrastinate==3.10.0\npsycopg[binary]>=3.3.9\n' | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --output-file ops/requirements-bench.lock

clean:
	rm -rf $(VENV) $(BENCH) dist
