"""What a flow takes: its parameter schema, read from the source without importing the flow."""
