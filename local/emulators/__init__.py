"""Emulators of the AWS services that the program uses, each configured from the recorded resources."""
