"""Checks that AWS makes and moto omits: signatures, expiration, POST policies, IAM policies, CORS."""
