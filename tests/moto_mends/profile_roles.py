"""Lets the emulator say that a role is not in an instance profile, where it fails inside. IAM API reference,
RemoveRoleFromInstanceProfile: `NoSuchEntity`."""

from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend

_remove = IAMBackend.remove_role_from_instance_profile


def remove_role_from_instance_profile(self, profile_name: str, role_name: str) -> None:
    if self.get_role(role_name) not in self.get_instance_profile(profile_name).roles:
        raise NotFoundException(f"The role with name {role_name} cannot be found in {profile_name}.")
    _remove(self, profile_name, role_name)


def install() -> None:
    IAMBackend.remove_role_from_instance_profile = remove_role_from_instance_profile
