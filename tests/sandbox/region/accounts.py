"""The account's administrator."""

import json

from moto.iam import iam_backends

from .world import World

ADMINISTRATOR = "sandbox-administrator"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def administrator(world: World) -> tuple[str, str]:
    """(access key id, secret) of a user who may do everything."""
    backend = iam_backends[world.account]["aws"]
    backend.create_user(region_name="us-east-1", user_name=ADMINISTRATOR, path="/", tags=[])
    backend.put_user_policy(ADMINISTRATOR, "everything", json.dumps(EVERYTHING))
    key = backend.create_access_key(user_name=ADMINISTRATOR)
    return key.access_key_id, key.secret_access_key
