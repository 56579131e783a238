"""The benchmarks behind the figures in README and docs, each of which measures a peer in the same run."""
