"""A flow run without a cluster: Dask processes on this machine, and a Prefect server with its UI."""
