"""A command-line client that uses a deployed or local stack as one of its users."""
