"""Makes recorded resources real, one module a service.

A maker gets a resource as the program registered it and gives its id and the outputs AWS would compute. What moto has a
data plane for (S3, SQS, SNS, Cognito) is created there; the rest is served from the record by local/emulators.
"""
