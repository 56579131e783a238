"""Parses prefect.yaml into deployment specifications. Entry point: `load.load_deployments`."""
