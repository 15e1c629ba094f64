"""The embedded stack: Postgres, Valkey, memory, relay, worker and Flower on one machine, without prior installation."""
