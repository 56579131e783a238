# The verbs that people and CI share. `make help` lists them.
PYTHON ?= python3
STACK ?= dev
CLUSTER ?=
STARTS ?= 200
RUNS ?= 1 3
CLUSTERS ?= 1 50
DEPLOYMENTS ?= 15 50
ifdef NETWORK
export EPHEMERAL_DASK_NETWORK := $(NETWORK)
endif
# Agreement to a question, Pulumi's own diff, every line of Pulumi, warnings as errors, no browser: read by the verbs from
# their environment.
export YES DIFF VERBOSE STRICT OPEN
# What the verbs start sends no usage data to the makers of Prefect and Pulumi, and prints no notice about it.
export DO_NOT_TRACK ?= 1
# Pulumi's Kubernetes package is so large that compiling it takes longer than a preview: keep what was compiled.
unexport PYTHONDONTWRITEBYTECODE
TOOLS := .venv/bin/python -m tools
# What was typed reaches Python as it is: without $(value) make would expand each $ in it, and in a recipe the shell
# would take its quotes. Make exports the variables of its command line by itself, expanded; hence the unexport.
export EPHEMERAL_DASK_FLOW := $(value FLOW)
export EPHEMERAL_DASK_PARAMS := $(value PARAMS)
export EPHEMERAL_DASK_VARS := $(value VARS)
export EPHEMERAL_DASK_TAGS := $(value TAGS)
export EPHEMERAL_DASK_NAME := $(value NAME)
export EPHEMERAL_DASK_RUN := $(value RUN)
export EPHEMERAL_DASK_FILE := $(value FILE)
export EPHEMERAL_DASK_CHURN := $(value CHURN)
export EPHEMERAL_DASK_AT_ONCE := $(value AT_ONCE)
export EPHEMERAL_DASK_SEED := $(value SEED)
export EPHEMERAL_DASK_PINS := $(value PINS)
unexport FLOW PARAMS VARS TAGS NAME RUN FILE CHURN AT_ONCE SEED PINS
ifdef DISCARD
export EPHEMERAL_DASK_DISCARD := $(value DISCARD)
endif
ON := $(if $(CLUSTER),--cluster $(CLUSTER))
SELECT := --stack $(STACK) $(ON)

.DEFAULT_GOAL := help
.PHONY: help up down preview run logs cancel demo stack new-flow ui dashboard unit engine e2e test lint format lock doctor verify churn unlock env cluster-up cluster-down venv pulumi laptop
.PHONY: docs api-reference screenshots backup restore check summary e2e-full crash-sweep bench bench-registration bench-preview bench-tasks bench-tls bench-start bench-scaling bench-starts bench-many-starts bench-churn crd-remove settings-reference image-size audit pin-base sbom update

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Options: STACK=dev  CLUSTER=local|kind|existing  NETWORK=ptp|cilium  FLOW=<flow>/<deployment>  PARAMS="name=value ..."'

venv: ## Create .venv from the hashed lock
	@$(PYTHON) tools/bootstrap.py

up: venv ## Bring up the stack; the first time run the sample flow on it (VERBOSE=1)
	@$(TOOLS) up $(SELECT)

down: venv ## Destroy the stack with its data, leave the cluster (YES=1: do not ask)
	@$(TOOLS) down $(SELECT)

preview: venv ## Show what `up` would change (DIFF=1: as Pulumi shows it)
	@$(TOOLS) preview $(SELECT)

check: venv ## Show what a prefect.yaml would register, needing no stack (FILE=; STRICT=1: warnings are errors)
	@$(TOOLS) check

summary: venv ## Print what `up` would change as Markdown for a pull request
	@$(TOOLS) summary $(SELECT)

laptop: venv ## Run a flow without a cluster: Dask processes, and a Prefect server with its UI (FLOW=, PARAMS=)
	@$(TOOLS) laptop --stack $(STACK)

demo: venv ## Run the sample flow and follow it
	@$(TOOLS) demo $(SELECT)

run: venv ## Run a deployment, follow its log, end with its state (FLOW=, PARAMS=, VARS=, TAGS=, NAME=)
	@$(TOOLS) run $(SELECT)

logs: venv ## Print a run's log from its start, and follow it (RUN=; the newest run by default)
	@$(TOOLS) logs $(SELECT)

cancel: venv ## Cancel a run and wait until it has ended (RUN=)
	@$(TOOLS) cancel $(SELECT)

ui: venv ## Open the Prefect UI until Ctrl-C (OPEN=0: the port only)
	@$(TOOLS) ui $(SELECT)

dashboard: venv ## Open a run's live Dask dashboard until Ctrl-C (RUN=; OPEN=0)
	@$(TOOLS) dashboard $(SELECT)

image-size: venv ## Print what a node pulls for the stack's images, layer by layer
	@$(TOOLS) image-size $(SELECT)

env: venv ## Print exports: eval "$(make -s env)" makes a shell for pulumi, kubectl and prefect
	@$(TOOLS) env $(SELECT)

stack: venv ## Create the file of a new stack from that of STACK, with its own namespace (NAME=)
	@$(TOOLS) stack $(SELECT)

new-flow: venv ## Write a flow, its test, and its deployment in prefect.yaml (NAME=)
	@$(TOOLS) new-flow $(SELECT)

backup: venv ## Write the server's database and the task results to a file (FILE=)
	@$(TOOLS) backup $(SELECT)

restore: venv ## Put back what `make backup` wrote; the Prefect server stops meanwhile (FILE=)
	@$(TOOLS) restore $(SELECT)

doctor: venv ## Check the machine, the files and the stack; name every problem and its remedy
	@$(TOOLS) doctor $(SELECT)

verify: venv ## Check a deployed stack with a flow run of its own: a table, and the exit status for a pipeline
	@$(TOOLS) verify $(SELECT)

churn: venv ## Run many flows, kill pods of some, and check that nothing is left (CHURN=200, AT_ONCE=2, SEED=)
	@$(TOOLS) churn $(SELECT)

unlock: venv ## Clear a backend lock whose process is gone
	@$(TOOLS) unlock $(SELECT)

cluster-up: venv ## Start this project's own Kubernetes (CLUSTER=local or kind)
	@$(TOOLS) cluster-up $(ON)

cluster-down: venv ## Stop it and undo what it changed on this machine; one of kind is deleted (YES=1: do not ask)
	@$(TOOLS) cluster-down $(ON)

pulumi: venv ## Download Pulumi's official program, where neither Pulumi nor Go is installed
	@$(TOOLS) pulumi

crd-remove: venv ## Remove Dask's CRDs from the cluster, when no Dask cluster exists in it
	@$(TOOLS) crd-remove $(SELECT)

test: venv ## Run all tests
	@$(TOOLS) test lint unit engine e2e

unit: venv ## Run the unit tests
	@$(TOOLS) test unit

engine: venv ## Run the tests on the real Pulumi engine
	@$(TOOLS) test engine

e2e: venv ## Run the tests on the real cluster
	@$(TOOLS) test e2e

e2e-full: venv ## Run the long tests on the real cluster: failed starts, evictions, all sample flows
	@$(TOOLS) test e2e-full

crash-sweep: venv ## Kill an update at every step of every Prefect resource and check that the next one completes it
	@$(TOOLS) test crash-sweep

bench-scaling: venv ## Measure a run's autoscaler beside the Dask operator's, on a stack that is up
	@eval "$$($(TOOLS) env $(SELECT))" && .venv/bin/python -m benchmarks.scaling

bench-churn: venv ## Start Dask clusters one after another and in pairs, on a stack that is up (STARTS=200)
	@eval "$$($(TOOLS) env $(SELECT))" && .venv/bin/python -m benchmarks.churn --starts $(STARTS)

bench-starts: venv ## Count what runs that start together ask of Kubernetes, on a stack that is up (RUNS="1 3")
	@eval "$$($(TOOLS) env $(SELECT))" && .venv/bin/python -m benchmarks.starts --runs $(RUNS)

bench-many-starts: venv ## Count what many Dask clusters that start together ask of Kubernetes (CLUSTERS="1 50")
	@.venv/bin/python -m benchmarks.many_starts --clusters $(CLUSTERS)

bench-registration: venv ## Measure the registration of 50 deployments beside `prefect deploy --all`
	@.venv/bin/python -m benchmarks.registration

bench-tls: venv ## Measure what encrypted connections of a Dask cluster cost
	@.venv/bin/python -m benchmarks.tls

bench-start: venv ## Measure the start of a flow beside Prefect's own command
	@.venv/bin/python -m benchmarks.start

bench-preview: venv ## Measure previews and updates that change nothing beside an empty program (DEPLOYMENTS="15 50")
	@.venv/bin/python -m benchmarks.preview --deployments $(DEPLOYMENTS)

bench-tasks: venv ## Measure what a tiny Prefect task costs on Dask beside prefect-dask's own task runner
	@.venv/bin/python -m benchmarks.tasks

bench: ## Run every benchmark, those on a stack that is up as well
	@failed=; for each in registration preview tasks tls start many-starts scaling starts churn; do \
	    echo "==> make bench-$$each"; $(MAKE) --no-print-directory bench-$$each || failed="$$failed $$each"; \
	done; if [ -n "$$failed" ]; then echo "missed or failed:$$failed"; exit 1; fi

lint: venv ## Lint, format check, types, import boundaries
	@$(TOOLS) test lint

format: venv ## Format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

settings-reference: venv ## Write docs/settings.md from the settings' types
	@$(TOOLS) settings-reference

api-reference: venv ## Write docs/api.md from the package that flows import
	@$(TOOLS) api-reference

docs: venv ## Build the documentation site, and check every link in it
	@$(TOOLS) docs

screenshots: venv ## Run a deployment and take the pictures of docs/images (FLOW=, PARAMS=, VARS=, FILE=)
	@$(TOOLS) screenshots $(SELECT)

audit: venv ## Look up the known vulnerabilities of the locked Python packages
	@$(TOOLS) audit

pin-base: venv ## Write the digests of the base images into the stack's file
	@$(TOOLS) pin-base $(SELECT)

sbom: venv ## Write a CycloneDX list of what is in the images of the stack
	@$(TOOLS) sbom $(SELECT)

lock: venv ## Resolve pyproject.toml into requirements/*.txt
	@$(TOOLS) lock

update: venv ## Raise the locked versions and show what changed (PINS="prefect dask pulumi": pins of these too)
	@$(TOOLS) update
