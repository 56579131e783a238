"""Whether a deployed stack works: `make verify`."""
