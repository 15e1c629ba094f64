"""Hooks: who is told of events outside, by a signed webhook or by a command."""
