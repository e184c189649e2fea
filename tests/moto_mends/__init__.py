"""Calls and refusals of AWS's that moto lacks or gets wrong, mended from outside. `install` is for every program that
serves moto, before its first call; `group_hooks`, `held_launches` and `instance_refresh` are the emulator's alone, the
sandbox has real groups and launches."""

from . import (
    atomic_s3,
    bucket_acls,
    bucket_owners,
    bucket_tags,
    certificates_in_use,
    certificates_issued,
    client_certificates,
    ebs_default_key,
    fis_tags,
    group_settings,
    listed_tags,
    load_balancer_addresses,
    object_checksums,
    policy_names,
    profile_roles,
    service_passwords,
)

MENDS = (
    atomic_s3,
    bucket_acls,
    bucket_owners,
    bucket_tags,
    certificates_in_use,
    certificates_issued,
    client_certificates,
    ebs_default_key,
    fis_tags,
    group_settings,
    listed_tags,
    load_balancer_addresses,
    object_checksums,
    policy_names,
    profile_roles,
    service_passwords,
)


def install() -> None:
    """Once for each program: what a mend wraps it would wrap again."""
    for mend in MENDS:
        mend.install()
