"""A package, so that tests/load and tests/local are not taken for load and local."""
