"""Deterministic simulation of the avatar pipeline: real handlers, simulated AWS services, virtual time, one seed.

    python -m simulation --count 100000 --seed 1        random schedules
    python -m simulation --exhaustive                   all interleavings of two deliveries, one sandbox killed

A run is a set of choices (`choices`): what users do, when events arrive, what happens to each request. The handlers
(`lambda_functions`) run as greenlets (`scheduler`) that hand over at every request to a simulated service (`s3`, `sqs`,
`sns`, `dynamodb`, over `network`) and when they sleep (`clock`). `rules` says what must hold. A run that breaks a rule
is repeated with fewer choices (`shrinking`) and printed with its history (`campaign`).

What the simulation does not show: whether AWS keeps to its documentation, and what happens inside one request.
"""
