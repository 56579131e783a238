"""Frozen specifications of Prefect objects, shared by the parser of prefect.yaml and the registration."""
