"""Lets the emulator answer which passwords for single services (CodeCommit, Keyspaces) a user has: none."""

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse


def install() -> None:
    IamResponse.list_service_specific_credentials = lambda self: ActionResult({"ServiceSpecificCredentials": []})
