"""How each block of commands of the how-to pages is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.ways import Test, Way

ADOPTED: Final = Test(
    way=Way.NAMED,
    by="tests/full/test_adoption.py::test_an_adopted_repository_runs_its_flows_before_and_after_an_update",
)
PODS: Final = Test(way=Way.NAMED, by="tests/engine/test_how_tos.py::test_a_how_to_gives_pods_what_it_says")
PRODUCTION: Final = "tests/full/test_production.py"
IN_PRODUCTION: Final = Test(
    way=Way.NAMED, by=f"{PRODUCTION}::test_a_stack_is_up_and_verified_after_the_commands_in_their_order"
)
SECRETS: Final = Test(way=Way.NAMED, by=f"{PRODUCTION}::test_a_secret_that_a_page_sets_is_stored_encrypted")
CONSUMER: Final = Test(
    way=Way.NAMED, by="tests/full/test_howtos.py::test_the_program_of_another_team_comes_and_goes_by_its_page"
)
ON_A_CONTROL_PLANE: Final = "tests/engine/test_how_tos.py"

TESTS: Final[Mapping[str, Mapping[str, Test]]] = {
    "docs/adopt.md": {
        "copier copy https://github.com/acme/ephemeral-dask.git .": ADOPTED,
        "make lock": ADOPTED,
        "make check FILE=. STRICT=1\nmake up\nmake doctor": ADOPTED,
        "copier update\nmake lock\nmake preview": ADOPTED,
    },
    "docs/bring-your-prefect-yaml.md": {
        "make check FILE=../their-project/prefect.yaml": Test(
            way=Way.FULL,
            before="cp --recursive tests/project ../their-project",
            prints=r"primes/default(.*\n)+Accepted",
            then="rm --recursive ../their-project",
        ),
        "make preview\nmake up": Test(way=Way.FULL, prints="nothing changes(.*\n)+.*nothing changed"),
        ".venv/bin/python -m tests.support.foreign_projects <folder>": Test(
            way=Way.FULL,
            before="mkdir ../projects && cp --recursive tests/project ../projects/theirs",
            instead={"<folder>": "../projects"},
            prints=r"1 files, \d+ deployments: \{'equal': \d+\}\n0 crashed",
            then="rm --recursive ../projects",
        ),
    },
    "docs/clusters.md": {
        'make laptop FLOW=digits/search PARAMS="folds=3 trees=100"': Test(way=Way.FULL, prints="result: .*accuracy"),
        "make up CLUSTER=kind": Test(way=Way.ELSEWHERE, reason="needs Docker; .github/workflows/kind.yml types it"),
    },
    "docs/code-and-images.md": {
        "uv pip compile --generate-hashes --no-emit-index-url --python-version 3.11 --constraint requirements/flows.txt"
        " \\\n    --output-file requirements/gpu.txt gpu.in": Test(
            way=Way.NAMED, by=f"{ON_A_CONTROL_PLANE}::test_own_packages_are_locked_by_the_command_of_the_page"
        ),
    },
    "docs/data.md": {
        "kubectl create secret generic s3 --namespace flows-runs --from-file=id=./key-id.txt"
        " --from-file=secret=./secret-key.txt": Test(
            way=Way.NAMED, by=f"{ON_A_CONTROL_PLANE}::test_the_keys_of_a_bucket_are_in_the_secret_that_pods_refer_to"
        ),
        """\
eval "$(make -s env)"
.venv/uv/bin/uv run --no-project --python .venv/bin/python --with-requirements requirements/data.txt python - <<'END'
from prefect_aws import S3Bucket

S3Bucket(bucket_name="company-flows", bucket_folder="results").save("results", overwrite=True)
END""": Test(way=Way.NAMED, by="tests/full/test_object_store.py::test_task_results_of_a_run_are_in_the_bucket"),
        """\
eval "$(make -s env)"
.venv/bin/python -c 'import getpass; from prefect.blocks.system import Secret; \
Secret(value=getpass.getpass("password: ")).save("warehouse", overwrite=True)'""": Test(
            way=Way.NAMED, by="tests/full/test_howtos.py::test_a_secret_block_has_what_was_typed_at_the_terminal"
        ),
    },
    "docs/flows.md": {
        'make run FLOW=digits/search PARAMS="folds=3 trees=100"\n'
        """make run FLOW=digits/search PARAMS='{"folds": 3, "trees": 100}'""": Test(
            way=Way.FULL, prints="accuracy(.*\n)+.*accuracy"
        ),
        "make new-flow NAME=daily-report": Test(
            way=Way.FULL,
            then=".venv/bin/pytest tests/unit/flows/test_daily_report.py && make preview && git checkout prefect.yaml"
            " && rm flows/daily_report.py tests/unit/flows/test_daily_report.py",
            prints="2 passed(.*\n)+.*daily-report",
        ),
    },
    "docs/operate.md": {
        "make stack NAME=staging\nmake up STACK=staging": Test(
            way=Way.NAMED, by="tests/full/test_readme.py::test_a_command_of_the_readme_works_as_written"
        ),
        """\
pulumi stack init prod
pulumi config set --secret prefectDatabaseUrl --stack prod
pulumi config set --secret prefectAuthString --stack prod
make preview STACK=prod CLUSTER=existing
make up STACK=prod CLUSTER=existing""": IN_PRODUCTION,
        "pulumi config set --secret netrc < netrc.txt": SECRETS,
        "pulumi config set --secret prefectApiKey": SECRETS,
        "make verify STACK=prod CLUSTER=existing": IN_PRODUCTION,
        'eval "$(make -s env)"\npulumi stack output platform --json': Test(way=Way.FULL, prints='"contract"'),
        """\
make backup
make up DISCARD=flows-runs/results
make restore FILE=backup-dev-20260101-120000.zip
make up""": Test(
            way=Way.NAMED, by="tests/full/test_lost_volumes.py::test_results_move_to_a_volume_of_another_storage_class"
        ),
        """\
for kind in daskclusters daskautoscalers daskworkergroups; do
  for object in $(kubectl --namespace flows-runs get $kind --output name); do
    kubectl --namespace flows-runs patch $object --type merge --patch '{"metadata": {"finalizers": null}}'
  done
done""": Test(way=Way.NAMED, by=f"{ON_A_CONTROL_PLANE}::test_what_a_finalizer_holds_goes_by_the_commands_of_the_page"),
    },
    "docs/pods.md": {
        "kubectl create secret generic warehouse --namespace flows-runs --from-file=password=./password.txt": PODS,
        """\
for namespace in flows flows-runs; do
  kubectl create configmap company-ca --namespace $namespace --from-file=ca.crt=./company-ca-bundle.pem
done""": PODS,
    },
    "docs/production.md": {
        "pulumi login s3://company-pulumi-state\npulumi stack init prod": IN_PRODUCTION,
        "make stack NAME=staging": Test(
            way=Way.NAMED, by="tests/e2e/test_readme.py::test_a_quick_command_of_the_readme_works_as_written"
        ),
        """\
for namespace in flows-prod flows-prod-runs; do
  kubectl create namespace $namespace --dry-run=client --output yaml | kubectl apply -f -
  kubectl annotate --overwrite namespace $namespace ephemeral-dask/stack=organization/ephemeral-dask/prod
  kubectl create secret docker-registry registry --namespace $namespace --docker-server registry.example.com \\
    --docker-username puller --docker-password "$PULL_PASSWORD"
done""": IN_PRODUCTION,
        """\
psql --host postgres.example.com --username postgres \\
  --command "CREATE ROLE prefect LOGIN PASSWORD 'change-me'" --command "CREATE DATABASE prefect OWNER prefect\"""": (
            IN_PRODUCTION
        ),
        """\
pulumi config set --secret prefectDatabaseUrl --stack prod
pulumi config set --secret prefectAuthString --stack prod""": IN_PRODUCTION,
        """\
make preview STACK=prod CLUSTER=existing
make up STACK=prod CLUSTER=existing
make verify STACK=prod CLUSTER=existing""": IN_PRODUCTION,
        "pulumi config set --secret prefectApiKey --stack prod": SECRETS,
    },
    "docs/upgrade-versions.md": {
        "make update PINS=prefect\nmake update PINS=dask": Test(
            way=Way.NAMED, by="tests/unit/tools/test_update.py::test_a_family_that_is_named_is_raised_everywhere"
        ),
        "make doctor\nmake lint unit engine": Test(
            way=Way.ELSEWHERE, reason="runs the other tests; CI types these verbs, and the tests of README the first"
        ),
        "make up\nmake verify": Test(way=Way.FULL, prints="nothing changed(.*\n)+.*stack dev works"),
        "pg_dump --host postgres.example.com --username prefect --format custom --file prefect.dump prefect": Test(
            way=Way.NAMED, by=f"{PRODUCTION}::test_a_database_goes_back_to_its_dump"
        ),
        """\
make preview STACK=prod CLUSTER=existing
make up STACK=prod CLUSTER=existing
make verify STACK=prod CLUSTER=existing""": IN_PRODUCTION,
        """\
kubectl scale deployment prefect-server --namespace flows-prod --replicas 0
kubectl wait pod --for delete --selector app.kubernetes.io/name=prefect-server --namespace flows-prod --timeout 2m
dropdb --host postgres.example.com --username postgres --force prefect
createdb --host postgres.example.com --username postgres --owner prefect prefect
pg_restore --host postgres.example.com --username prefect --dbname prefect prefect.dump
make up STACK=prod CLUSTER=existing""": Test(way=Way.NAMED, by=f"{PRODUCTION}::test_a_database_goes_back_to_its_dump"),
        """\
kubectl scale deployment prefect-server --namespace flows --replicas 0
kubectl delete persistentvolumeclaim prefect-server --namespace flows
make up
make restore FILE=backup-dev-20260101-120000.zip
make up""": Test(way=Way.NAMED, by="tests/full/test_lost_volumes.py::test_a_sqlite_database_goes_back_to_its_backup"),
    },
    "examples/consumer/README.md": {
        """\
eval "$(make -s env)"
cd examples/consumer
pulumi stack init dev
pulumi config set platform organization/ephemeral-dask/dev
pulumi up""": CONSUMER,
        "pulumi destroy\npulumi stack rm dev": CONSUMER,
    },
    "examples/parquet/README.md": {
        ".venv/uv/bin/uv run --no-project --python .venv/bin/python --with-requirements requirements/data.txt"
        " python -m examples.parquet.rides": Test(
            way=Way.NAMED, by="tests/full/test_parquet_sample.py::test_it_runs_on_a_laptop_with_a_folder"
        ),
    },
}
"""Page -> block -> how it is tested. A block that is not here fails a unit test, and so does one that is gone."""
