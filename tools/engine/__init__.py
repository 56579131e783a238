"""Pulumi's engine: how it is called, what its events say, who holds a stack's lock."""
