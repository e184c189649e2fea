"""The check of an ICE connection (RFC 8445), as both ends of one here send it."""

from aioice import stun


def check(theirs, ours, pwd, role, priority):
    """A check that settles on the pair it goes over; `theirs` and `ours` are the ends' ufrags, `pwd` is theirs."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{theirs}:{ours}"
    request.attributes["PRIORITY"] = priority
    request.attributes[role] = 1
    request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(pwd.encode())  # and FINGERPRINT
    return request
