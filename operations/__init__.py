"""What the operator of a deployed or local stack does to users and their avatars, with AWS credentials."""
