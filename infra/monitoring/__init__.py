"""What Prometheus scrapes and reports, and what Grafana shows: specs of objects, from the stack's settings.

Pure: no Pulumi and no network. The expressions are in PromQL.
"""
