"""Prometheus's view of Redraft, served by a process of its own."""
