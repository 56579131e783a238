"""Stack prod as tests use it."""

PROD = "flows-prod"
SMALL = "--job-variable dask_worker_cpu=100m --job-variable dask_worker_memory=512Mi --job-variable dask_maximum=2"
"""The stack's own workers are larger than a test machine."""
UP = "pulumi up --yes --skip-preview --non-interactive"
