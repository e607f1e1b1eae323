"""Runs a Pulumi program without the Pulumi engine and records the resources that it registers."""
