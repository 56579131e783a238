"""The measures behind what README and docs say about speed, each against a peer in the same run."""
