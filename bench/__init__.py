"""Our functions side by side with what people ship instead: how fast, how large, how good, and what it costs.

Nothing here is deployed, and `make test` runs none of it: `make bench` does.
"""
