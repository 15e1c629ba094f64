"""The checks: a registry, one file a validator, and the sandbox in which what a model wrote is run."""
