"""The checks: a registry, one file a validator, and the sandbox in which model-written code runs."""
