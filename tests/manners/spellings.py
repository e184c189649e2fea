"""ACM spells key algorithms with a hyphen, `RSA-2048`, where its API's enumeration has `RSA_2048`
(ACM user guide, "List certificates", whose examples are real answers)."""

import re

from wire import Call

from .manner import Manner


class Spellings(Manner):
    """Of lists and descriptions alike; curves keep their underscores: `EC-prime256v1`."""

    def rewrite(self, call: Call, status: str, body: bytes) -> bytes | None:
        if call.service == "acm" and call.action in ("ListCertificates", "DescribeCertificate"):
            return re.sub(rb'("KeyAlgorithm": ?"(?:RSA|EC))_', rb"\1-", body)
        return None
