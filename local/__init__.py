"""Runs the whole stack on one machine: the Pulumi program, its functions, and emulators of the AWS services."""
