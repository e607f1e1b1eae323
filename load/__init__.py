"""Drives the local stack with many uploads while requests fail and workers are killed, and checks what it promises."""
