"""Runs of deployments: start one, follow it, cancel it."""
