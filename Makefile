# The verbs that people and CI share. `make help` lists them.
PYTHON ?= python3
STACK ?= dev
CLUSTER ?= local
STARTS ?= 200
ifdef NETWORK
export EPHEMERAL_DASK_NETWORK := $(NETWORK)
endif
# No telemetry notice of Prefect, whose packages the verbs import, and no telemetry; DO_NOT_TRACK=0 allows it.
export DO_NOT_TRACK ?= 1
# Pulumi's Kubernetes package is so large that compiling it anew takes longer than a preview.
unexport PYTHONDONTWRITEBYTECODE
TOOLS := .venv/bin/python -m tools
SELECT := --stack $(STACK) --cluster $(CLUSTER)

.DEFAULT_GOAL := help
.PHONY: help up down preview run ui dashboard unit engine e2e test lint format lock doctor unlock env cluster-up cluster-down venv
.PHONY: summary e2e-full crash-sweep bench-registration bench-scaling bench-churn crd-remove settings-reference image-size

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Options: STACK=dev  CLUSTER=local|existing  NETWORK=ptp|cilium  FLOW=<flow>/<deployment>  PARAMS="name=value ..."'

venv:
	@$(PYTHON) tools/bootstrap.py

up: venv ## Bring up the stack and run the sample flow on it
	@$(TOOLS) up $(SELECT)

down: venv ## Destroy the stack, leave the cluster
	@$(TOOLS) down $(SELECT)

preview: venv ## Show what `up` would change
	@$(TOOLS) preview $(SELECT)

summary: venv ## Print what `up` would change as Markdown for a pull request
	@$(TOOLS) summary $(SELECT)

run: venv ## Run a deployment, follow its logs, end with its state (FLOW=, PARAMS=)
	@$(TOOLS) run $(SELECT) $(FLOW) $(PARAMS)

ui: venv ## Open the Prefect UI's port until Ctrl-C
	@$(TOOLS) ui $(SELECT)

dashboard: venv ## Open a run's live Dask dashboard until Ctrl-C (RUN=)
	@$(TOOLS) dashboard $(SELECT) $(RUN)

image-size: venv ## Print what a node pulls for the stack's images, layer by layer
	@$(TOOLS) image-size $(SELECT)

env: venv ## Print exports: eval "$(make -s env)" makes a shell for pulumi, kubectl and prefect
	@$(TOOLS) env $(SELECT)

doctor: venv ## Name every missing precondition and its remedy
	@$(TOOLS) doctor $(SELECT)

unlock: venv ## Clear a backend lock whose process is gone
	@$(TOOLS) unlock $(SELECT)

cluster-up: venv ## Start the local Kubernetes
	@$(TOOLS) cluster-up

cluster-down: venv ## Stop the local Kubernetes and take back what it did to this machine
	@$(TOOLS) cluster-down

crd-remove: venv ## Remove Dask's definitions from the cluster, when no Dask cluster exists in it
	@$(TOOLS) crd-remove $(SELECT)

test: venv ## Run all tests
	@$(TOOLS) test lint unit engine e2e

unit: venv ## Run the unit tests
	@$(TOOLS) test unit

engine: venv ## Run the tests on the real Pulumi engine
	@$(TOOLS) test engine

e2e: venv ## Run the tests on the real cluster
	@$(TOOLS) test e2e

e2e-full: venv ## Run the tests on the real cluster that take long: failed starts, evictions, all sample flows
	@$(TOOLS) test e2e-full

crash-sweep: venv ## Kill an update at every step of every Prefect resource, and see that it is taken up again
	@$(TOOLS) test crash-sweep

bench-scaling: venv ## Measure a run's autoscaler beside the Dask operator's, on a stack that is up
	@eval "$$($(TOOLS) env $(SELECT))" && .venv/bin/python -m benchmarks.scaling

bench-churn: venv ## Start Dask clusters one after another and in pairs, on a stack that is up (STARTS=200)
	@eval "$$($(TOOLS) env $(SELECT))" && .venv/bin/python -m benchmarks.churn --starts $(STARTS)

bench-registration: venv ## Measure the registration of 50 deployments beside `prefect deploy --all`
	@.venv/bin/python -m benchmarks.registration

lint: venv ## Lint, format check, types, import boundaries
	@$(TOOLS) test lint

format: venv ## Format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

settings-reference: venv ## Write docs/settings.md from the settings' types
	@$(TOOLS) settings-reference

lock: venv ## Resolve pyproject.toml into requirements/*.txt
	@$(TOOLS) lock
