# Everything runs in .venv, which the first target sets up; a second call only checks that nothing changed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Batch machines oversubscribe: one thread per library, two test processes.
export OMP_NUM_THREADS := 1
export MPLBACKEND := agg

.PHONY: demo case test check nightly docs bench gate lint clean

# From protons to the page: the first time with its own libraries of collisions, kept in demo_output/libraries.
demo: export HARDSCATTER_CACHE := demo_output/libraries
demo: $(READY)
	@mkdir -p demo_output
	$(BIN)/hardscatter simulate ttbar-semileptonic demo_output/crossings.parquet -n 10 --pileup 140 --n-minbias 4000 --seed 303 --overwrite
	$(BIN)/hardscatter mitigate demo_output/crossings.parquet demo_output/mitigated.parquet --method all --overwrite
	$(BIN)/hardscatter report demo_output/page --sample ttbar-semileptonic -n 150 --n-minbias 4000
	@echo "The page: demo_output/page/index.html; weights of every method: demo_output/mitigated.parquet"
	@if [ -t 1 ]; then (xdg-open demo_output/page/index.html || open demo_output/page/index.html) >/dev/null 2>&1 || true; fi

# The whole physics case with the shipped weights: less than two hours on two cores; what is there is not done again.
case: $(READY)
	$(BIN)/hardscatter report case_output

test: $(READY) lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

check: $(READY)
	$(BIN)/python -m pytest -m slow

# The site, warnings as errors; its notebooks draw from collisions of their own, made once.
docs: export HARDSCATTER_CACHE := $(CURDIR)/build/collisions
docs: $(READY)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/site
	@echo "The site: build/site/index.html"

# Hostile files for every reader, others each night (the same again with NIGHT=20260731), and the soak: some two hours.
NIGHT ?= $(shell date +%Y%m%d)
nightly: $(READY)
	PYTHONPATH=tests $(BIN)/python -m fuzz --files 100000 --seed $(NIGHT)
	$(BIN)/python tools/soak.py --crossings 100000

# Each job beside a peer, and how time and memory grow: benchmarks/README.md. Some ten minutes; nothing else should run.
bench: $(READY)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.scaling

# Hot jobs must not need a fifth more instructions than benchmarks/gate.json says; needs Valgrind.
gate: $(READY)
	$(BIN)/python -m benchmarks.gate

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv build docs/reference/rooms demo_output .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# torch==2.13.0 in this spelling is a CPU build where one is offered; asked for alone so that no resolver replaces it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --prefer-binary -c constraints.txt -e '.[train,cluster,report,formats,trigger,docs,dev]'
	@touch $@
