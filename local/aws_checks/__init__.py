"""What AWS checks and moto lets pass: signatures, expiry, POST policies, the caller's permissions, CORS."""
