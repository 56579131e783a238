"""prefect.yaml, from the file to deployment specs: `load` is the entry point."""
