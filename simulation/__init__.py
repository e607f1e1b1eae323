"""Deterministic simulation of the avatar pipeline: real handlers, simulated AWS services, one seed."""
