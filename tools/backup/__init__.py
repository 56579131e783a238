"""Backup and restore of what a stack keeps on its volumes: the Prefect server's database, and task results."""
