"""What a flow takes and imports, read from its source without importing the flow."""
