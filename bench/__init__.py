"""Benchmarks of the functions against Node.js implementations: time, memory, package size, image quality and cost.

Nothing here is deployed. `make bench` runs the benchmarks; `make test` only tests the code that evaluates them.
"""
