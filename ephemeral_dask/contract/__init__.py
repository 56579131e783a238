"""The language that infra, flows and ops share. Standard library only, so that all of them may import it."""
