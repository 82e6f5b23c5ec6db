# What one does with mailapp. Needs make and Python 3.11 or newer; everything else goes to .venv.

PYTHON ?= python3
WEB ?= 3
PYTEST_ARGS ?=
BENCH_ARGS ?=
mailapp_port := $(or $(PORT),8000)
cluster_port := $(or $(PORT),8080)
pip := .venv/bin/python -m pip --disable-pip-version-check
compile := .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--build-deps-for editable --annotation-style line --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options

.PHONY: help run install test lint browser cluster certificate compose-test stage stages-test \
	rollout-test observability-test balancers-test balancers faults tiers-test load bench docs screenshots translations vendor lock \
	clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: ## serve on this machine, with two demo people (PORT=8000)
	@$(PYTHON) deploy/preflight.py --host "$(or $(HOST),127.0.0.1)" --port "$(mailapp_port)"
	@$(MAKE) --no-print-directory --silent .venv/run.txt
	@PORT="$(mailapp_port)" exec .venv/bin/python -m deploy.run

cluster: ## nginx, WEB=3 instances, PostgreSQL, Valkey, SeaweedFS; no Docker (PORT=8080)
	@$(PYTHON) deploy/preflight.py --port "$(cluster_port)"
	@$(MAKE) --no-print-directory --silent install
	@exec .venv/bin/python -m deploy.cluster --web "$(WEB)" --port "$(cluster_port)"

certificate: ## a local one for deploy/tls.yml (NAMES="localhost 127.0.0.1 ::1")
	@$(PYTHON) -m deploy.certificate $(if $(NAMES),--names "$(NAMES)")

install: .venv/dev.txt ## what developing needs, real servers among it

test: install ## units, both databases, both stores; real servers, no Docker, no browser
	.venv/bin/pytest -m "not containers" --ignore tests/browser $(PYTEST_ARGS)

lint: install ## ruff and strict types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

browser: install ## Chromium against the whole cluster (CHROMIUM=/usr/bin/chromium)
	.venv/bin/pytest tests/browser $(PYTEST_ARGS)

compose-test: install ## the compose stack in real containers; needs Docker
	.venv/bin/pytest tests/cluster/test_compose.py $(PYTEST_ARGS)

rollout-test: install ## deploy/rollout and more and fewer instances, under load; needs Docker
	.venv/bin/pytest tests/cluster/test_rollout.py $(PYTEST_ARGS)

observability-test: install ## Prometheus and its dashboard beside the compose stack; needs Docker
	.venv/bin/pytest tests/cluster/test_observability.py $(PYTEST_ARGS)

balancers-test: install ## HAProxy and nginx L4 in front of the stack; needs Docker
	.venv/bin/pytest tests/cluster/test_haproxy.py tests/cluster/test_l4.py $(PYTEST_ARGS)

balancers: install ## what failing instances cost behind nginx and HAProxy; needs Docker and root
	.venv/bin/python -m tests.cluster.balancers --record

faults: install ## each part killed, stopped, hung, cut off, restarted under load; needs Docker and root
	.venv/bin/python -m tests.cluster.faults --cases "$(CASES)" $(if $(RECORD),--record) \
		--json "$(or $(FAULTS_JSON),build/faults.json)"

tiers-test: install ## each tier in several copies, one of each killed under load; needs Docker
	.venv/bin/pytest tests/cluster/test_tiers.py $(PYTEST_ARGS)

load: install ## PEOPLE=20 who write to each other at BASE=http://… for SECONDS=30; what was lost
	@.venv/bin/python -m tests.cluster.load --base "$(BASE)" \
		--people "$(or $(PEOPLE),20)" --seconds "$(or $(SECONDS),30)"

stage: install ## one step of the story in deploy/stages, shown (N=1 to 7); needs Docker
	@exec .venv/bin/python -m tests.stages "$(N)"

stages-test: install ## every step of the story, and that each can fail; needs Docker
	.venv/bin/pytest tests/cluster/test_stages.py $(PYTEST_ARGS)

bench: install ## how fast, as ratios within one run
	.venv/bin/python -m tests.bench $(BENCH_ARGS)

screenshots: install ## pictures of the main pages into build/, the best into docs/screenshots
	.venv/bin/python -m tests.screenshots

docs: install ## write the table of settings in README.md from the code
	.venv/bin/python -m deploy.document

translations: install ## find the texts of code and templates for mailapp/translations
	.venv/bin/python -m deploy.translations

vendor: install ## fetch the files of npm's packages that deploy/vendored.toml lists; needs npm
	.venv/bin/python -m deploy.vendor

# On the oldest Python there is (Debian 12 has 3.11.2): some packages want a later 3.11, and some need
# another one on it.
lock: install ## pin the newest versions that pyproject.toml allows
	CUSTOM_COMPILE_COMMAND="make lock" $(compile) --upgrade --output-file requirements/run.txt pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(compile) --upgrade --constraint requirements/run.txt \
		--extra dev --output-file requirements/dev.txt pyproject.toml

clean: ## remove the virtual environment and caches; the data stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment holds the last list installed into it; the developers' contains the users'.
.venv/run.txt .venv/dev.txt: .venv/%.txt: requirements/%.txt pyproject.toml
	@$(PYTHON) deploy/preflight.py
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "Installing what $< lists into .venv"
	@$(pip) install --quiet --require-hashes --requirement $<
	@PYTHONWARNINGS=ignore $(pip) install --quiet --no-deps --no-build-isolation --editable .
	@cp $< $@
	@if [ $@ = .venv/dev.txt ]; then cp $@ .venv/run.txt; fi
