"""Pictures of a stack that is up, for the documentation."""
