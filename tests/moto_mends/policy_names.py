"""Lets the emulator take the name of an IAM policy once in an account, whatever its path and case (IAM API,
CreatePolicy: "names must be unique within the account. Names are not distinguished by case"); the emulator
compares ARNs, of which the path is a part."""

from moto.iam.exceptions import EntityAlreadyExists
from moto.iam.models import AWSManagedPolicy, IAMBackend

_create = IAMBackend.create_policy


def create_policy(self, description, path, policy_document, policy_name, tags):
    for known in list(self.managed_policies.values()):
        if not isinstance(known, AWSManagedPolicy) and known.name.lower() == policy_name.lower():
            raise EntityAlreadyExists(
                f"A policy called {policy_name} already exists. Duplicate names are not allowed."
            )
    return _create(self, description, path, policy_document, policy_name, tags)


def install() -> None:
    IAMBackend.create_policy = create_policy
