"""Resource handlers: each creates one type of registered resource and returns its ID and computed outputs."""
