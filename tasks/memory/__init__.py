"""The memory room: lessons as an index that can be rebuilt from Postgres. The only room that knows qdrant_client."""
