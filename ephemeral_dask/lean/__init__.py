"""A shorter way for Prefect tasks to Dask workers: what all tasks of a run share is made and sent once.

Each module works around one cost that Prefect 3.8 has per task. Nothing of Prefect is patched: the task runner submits
another function than prefect-dask does, and that function enters the same contexts before it calls Prefect's engine.
"""
