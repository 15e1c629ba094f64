# The only commands to remember: make demo | test | test-slow | check | check-all | mutate | attack | bench | bench-demo | bench-directions | bench-engine | bench-evolve | bench-guard | bench-hints | bench-loop | bench-page | bench-queue | bench-batch | bench-stop | bench-memory | bench-tokens | bench-variants | bench-cli | bench-waiting | chaos | soak.
# Each makes what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Byte code is kept: where the environment says that none is, each of the many processes of a stack compiles Redraft anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: bench-directions bench-evolve bench-hints bench-loop bench-memory bench-stop demo test test-slow check check-all mutate attack bench bench-engine bench-checks bench-demo bench-guard bench-page bench-queue bench-batch bench-streams bench-tokens bench-variants bench-cli bench-waiting chaos soak docs lock clean

$(STAMP): pyproject.toml ops/requirements.lock ops/requirements-uv.lock
	@$(PYTHON) ops/install.py $(VENV)
	@touch $@

demo: $(STAMP)
	@$(BIN)/redraft demo

# Whole files go to WORKERS processes, each with services of its own: one more than cores, for many tests wait. In the
# order of their folders, the long files come first, and the short ones fill what is left.
WORKERS ?= 3
test: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What takes minutes, and is no part of `make test`, in which something faster stands for each.
test-slow: $(STAMP)
	$(BIN)/pytest -m slow

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# All that says whether a version may be released, in its order; `make chaos` and `make mutate` take longer.
check-all: check test test-slow attack

# Mutations of the modules where a fault hurts most, and how many of them the tests notice. MODULE="policy prices"
# chooses some; all take half an hour. Survivors that change nothing are in ops/mutations/survivors.toml.
mutate: $(STAMP)
	$(BIN)/python ops/mutate.py $(MODULE)

# Every attack on real parts, and how many were stopped in each area. AREA="grader files" chooses some.
attack: $(STAMP)
	$(BIN)/python -m tests.attacks $(addprefix --area ,$(AREA))

# BENCH="--model smollm2-135m-q4" takes llama.cpp instead of vLLM.
bench: $(STAMP)
	$(BIN)/python ops/bench.py $(BENCH)

# CHAOS_CRASHES crashes: each crash point, each time it is passed, and seeded pairs of them; then CHAOS_ROUNDS rounds
# of faults on the real services, beside plain Celery. CHAOS_SEED repeats a run.
CHAOS_CRASHES ?= 1000
CHAOS_ROUNDS ?= 100
chaos: $(STAMP)
	CHAOS_LONG=1 CHAOS_CRASHES=$(CHAOS_CRASHES) $(BIN)/pytest -m "slow or not slow" --timeout=3600 tests/chaos tests/model
	$(BIN)/python -m tests.chaos --rounds $(CHAOS_ROUNDS) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

# BENCH_ENGINE="--model qwen2.5-coder-1.5b --jobs 8 16" chooses the model and how many jobs at once.
bench-engine: $(STAMP)
	$(BIN)/python ops/bench_engine.py $(BENCH_ENGINE)

# What an engine alone gives a plain client, by threads and requests at once. BENCH_TOKENS="--drafts 4" shows what it saves
# that drafts share a prefill; --model, --busy and more are in ops/bench_tokens.py.
bench-tokens: $(STAMP)
	$(BIN)/python ops/bench_tokens.py $(BENCH_TOKENS)

# What the commands that people type cost on the clock and of CPU, on a stack over an endpoint that computes nothing; an
# earlier run in bench-cli.json stands beside it.
bench-cli: $(STAMP)
	$(BIN)/python ops/bench_cli.py

# What a check of mathematics or of a schema costs, in a sandbox of its own and in a program that is kept waiting; and
# what a separate process for the candidate costs, for each check of code and for each call.
bench-checks: $(STAMP)
	$(BIN)/python ops/bench_checks.py
	$(BIN)/python ops/bench_grader.py

# The demo by seed, SEEDS of them; rows are kept in bench-demo.jsonl, and it goes on where it was interrupted. MODEL
# chooses a model, ENGINE an engine.
SEEDS ?= 20
bench-demo: $(STAMP)
	$(BIN)/python ops/bench_demo.py --seeds $(SEEDS) $(if $(MODEL),--model $(MODEL)) $(if $(ENGINE),--engine $(ENGINE))

# Strategies that only choose among drafts, on the packaged pool, blind and with a checker, in five minutes;
# STRATEGIES chooses others, of which some ask an engine (ENDPOINT). SET=carwash POOL=tests/pools/carwash-… is another set.
PACKAGED_POOL := tests/pools/humaneval-qwen2.5-coder-1.5b.jsonl.xz
STRATEGIES ?= single best_of_n self_consistency
bench-loop: $(STAMP)
	$(BIN)/redraft bench loop $(or $(SET),humaneval) $(STRATEGIES) --pool $(or $(POOL),$(PACKAGED_POOL)) --mode blind --seeds 200 --page bench-loop-blind.html $(if $(ENDPOINT),--endpoint $(ENDPOINT))
	$(BIN)/redraft bench loop $(or $(SET),humaneval) $(STRATEGIES) --pool $(or $(POOL),$(PACKAGED_POOL)) --mode checker --seeds 200 --page bench-loop-checker.html $(if $(ENDPOINT),--endpoint $(ENDPOINT))

# Whether hints help a model (MODEL, or that at ENDPOINT): the tasks of SET on which it is stuck, with no hint, a right one,
# a useless one and a wrong one. HINTS is a file of JSON lines. Goes on where it was interrupted.
HINTS ?= ops/hints/hints.jsonl
DRAFTS ?= 8
bench-hints: $(STAMP)
	$(BIN)/redraft bench hints $(or $(SET),ops/hints) --hints $(HINTS) --stuck $(DRAFTS) --drafts $(DRAFTS) $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(if $(MODEL),--model $(MODEL))

bench-streams: $(STAMP)
	$(BIN)/python ops/bench_streams.py

# What vLLM on the CPU takes of a core while it waits for its worker, with and without the plugin that lets it sleep.
bench-waiting: $(STAMP)
	$(BIN)/python ops/bench_waiting.py

# Recall, false alarms, delay and CPU of the guard, in half a minute. With ENDPOINT=http://…/v1 MODEL=NAME it measures
# the tokens that the guard saves on an engine.
bench-guard: $(STAMP)
	$(BIN)/python ops/bench_guard.py $(if $(ENDPOINT),--endpoint $(ENDPOINT) --model $(MODEL))

# Tokens that a batch takes for as many solved jobs as first come, first served. POOL=tests/pools/FILE takes the tasks'
# chances from a recorded pool.
bench-batch: $(STAMP)
	$(BIN)/python ops/bench_batch.py $(if $(POOL),--pool $(POOL))

# What a job that can't be solved costs, and how many solvable ones are given up: ladder's rules in a simulation.
bench-stop: $(STAMP)
	$(BIN)/python ops/bench_stop.py

# What choosing among lessons is worth, in a simulation of memories that help and that hurt.
bench-memory: $(STAMP)
	$(BIN)/python ops/bench_memory.py

# How long each page of the live page takes over 100 jobs with 1,000 iterations each, and how many statements it reads.
bench-page: $(STAMP)
	$(BIN)/python ops/bench_page.py

# Dispatch with a long queue and a long history; then DBOS and procrastinate beside it, in an environment of their own.
PEERS := .venv-bench
bench-queue: $(STAMP) $(PEERS)/.installed
	$(BIN)/python ops/bench_queue.py
	$(BIN)/python ops/bench_peers.py $(PEERS)/bin/python

# `evolve` beside OpenEvolve on five of the examples, at equal completion tokens; rows are kept in bench-evolve.jsonl, and
# it goes on where it was interrupted. BENCH_EVOLVE="--seeds 1 --tokens 1500 --sides climb openevolve-rewrite" and more are
# in ops/bench_evolve.py.
bench-evolve: $(STAMP) $(PEERS)/.installed
	$(BIN)/python ops/bench_evolve.py $(PEERS)/bin/python $(BENCH_EVOLVE)

# What each direction of a change is worth, on the same examples. ENDPOINT=http://…/v1
# MODEL=NAME; DIRECTIONS="--samples 4 --directions …".
bench-directions: $(STAMP)
	$(BIN)/python ops/bench_directions.py --endpoint $(ENDPOINT) --model $(MODEL) $(DIRECTIONS)

# What variants of an answer are worth that no model writes, on the same examples. VARIANTS="--evaluations 100 --problems tsp".
bench-variants: $(STAMP)
	$(BIN)/python ops/bench_variants.py $(VARIANTS)

$(PEERS)/.installed: ops/requirements-bench.lock
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# SOAK_MINUTES and SEED choose how long and which faults; rows are appended to soak-SEED.jsonl as they come.
SOAK_MINUTES ?= 60
soak: $(STAMP)
	$(BIN)/python ops/soak.py --minutes $(SOAK_MINUTES) $(if $(SEED),--seed $(SEED))

# Writes ops/docs/commands.md from the command line's own help.
docs: $(STAMP)
	$(BIN)/python -m ops.reference

# Rewrites migrations/schema.sql, which makes a fresh database, from the chain of migrations.
schema: $(STAMP)
	$(BIN)/python -m ops.schema

# Rewrites the lock from pyproject.toml: names, versions and hashes, no addresses.
lock: $(STAMP)
	echo uv | $(BIN)/uv pip compile - --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --output-file ops/requirements-uv.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --output-file ops/requirements.lock
	$(BIN)/uv pip compile ops/requirements-bench.in --python-version 3.11 --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --output-file ops/requirements-bench.lock

clean:
	rm -rf $(VENV) $(PEERS) dist
