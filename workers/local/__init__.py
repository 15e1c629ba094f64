"""The embedded stack: Postgres, Valkey, relay, worker and Flower on one machine, with nothing installed before."""
