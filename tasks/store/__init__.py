"""Postgres, the truth: tables, leases, journal, queries. The only room that knows SQLAlchemy."""
