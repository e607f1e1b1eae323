"""Mutation testing of the core modules: each mutant has one small mistake, which a test must find.

A mutant is run in a copy of the repository, by a process that is forked from one that has imported boto3, moto, Pillow
and pytest already.

Neither mutmut nor cosmic-ray is used, as neither samples by a seed. mutmut 3 mutates neither constants of modules nor
functions with most decorators, and selects the mutant by an environment variable, which the render process does not
get. cosmic-ray 8 runs the same tests for all modules, in a new process for each mutant.
"""
