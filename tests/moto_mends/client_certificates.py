"""Lets the emulator keep whether a listener asks browsers for certificates (MutualAuthentication), which moto forgets."""

from moto.elbv2.responses import ELBV2Response

_modify = ELBV2Response.modify_listener


def modify(self):
    if asked := self._get_param("MutualAuthentication"):
        listeners = self.elbv2_backend.describe_listeners(None, [self._get_param("ListenerArn")])
        listeners[0].mutual_authentication = asked
    return _modify(self)


def install() -> None:
    ELBV2Response.modify_listener = modify
