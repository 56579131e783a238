"""What each verb of `make` does: one module per noun."""
