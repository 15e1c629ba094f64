"""The embedded stack: Postgres, Valkey, memory, relay, worker, Flower on one machine, with nothing installed before."""
