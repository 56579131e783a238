"""Prefect objects as Pulumi resources, with plan, drift, adoption and prune.

Import the modules directly: this package is also loaded by the dynamic provider's process, which starts once
per `pulumi up` and should load only what it needs. The dotted paths of the providers in `work_pool` and
`deployment` are part of every stack's state: a module that moves leaves state behind that nobody can read.
"""
