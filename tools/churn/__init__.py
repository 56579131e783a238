"""Many runs, some of which are killed, and what they leave in a stack: `make churn`."""
