"""AWS's calls as they go over the wire: one reader of requests and one writer of refusals, for all that stands before
the emulator: `strict`, `manners`, the translation of CBOR, the sandbox's own faults."""

from .call import Call, read
from .refusal import Refusal, refuse

__all__ = ["Call", "Refusal", "read", "refuse"]
