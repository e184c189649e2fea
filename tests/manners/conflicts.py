"""S3 answers 409 to a conditional write or deletion that meets another request for the same object, a repeated one of
its own sender included: nothing was written, and the sender is to look again (S3 API, `PutObject` and `DeleteObject`,
`If-Match` and `If-None-Match`; S3 user guide, "How to prevent object overwrites with conditional writes", "Conditional
write behavior"; apache/opendal#6741 met it)."""

from collections import Counter

from wire import Call, Refusal

from .manner import Manner

MOST = 2


class Conflicts(Manner):
    """An account's first conditional writes, and its first conditional deletions, meet up to two each."""

    def __init__(self, dice) -> None:
        super().__init__(dice)
        self._met: Counter[tuple[str, str]] = Counter()

    def refuse(self, call: Call) -> Refusal | None:
        if call.service != "s3" or not call.conditional or call.method not in ("PUT", "DELETE"):
            return None
        kind = (call.account, call.method)
        if self._met[kind] > self.dice.upto(MOST - 1, "conflict", call.method):
            return None
        self._met[kind] += 1
        return Refusal("ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting "
                       "operation against this resource.", 409)
