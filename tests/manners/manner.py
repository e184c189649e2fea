"""What a manner is: a way in which AWS differs from the emulator, asked before and after every call."""

import re

from wire import Call, Refusal


class Manner:
    """One way in which AWS differs; each method changes nothing unless a manner says so."""

    def __init__(self, dice) -> None:
        self.dice = dice

    def refuse(self, call: Call) -> Refusal | None:
        """Before the call is served: the refusal instead."""

    def spoil(self, call: Call, status: str) -> Refusal | None:
        """After it was served: the failure that is answered although it took effect."""

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        """After it was served: the answer as AWS spells it."""


def tags_of(body: bytes, name: str) -> list[str]:
    """The texts of all elements of that name in an XML answer."""
    return re.findall(rf"<{name}>([^<]+)</{name}>", body.decode(errors="replace"))
