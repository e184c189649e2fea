"""Lets the emulator's ACM issue a certificate when each of its validation records is in a hosted zone of the account,
and not before (ACM user guide, "DNS validation"); moto issues whatever was asked for a minute ago."""

from moto.acm.models import CertBundle
from moto.route53.models import route53_backends

_check, _describe = CertBundle.check, CertBundle.describe


def check(self) -> None:
    pending = self.status == "PENDING_VALIDATION"
    _check(self)
    if pending and self.status != "EXPIRED":
        self.status = "ISSUED" if validated(self) else "PENDING_VALIDATION"


def validated(certificate) -> bool:
    partition, _, _, account = certificate.arn.split(":")[1:5]
    published = {
        (record.name.rstrip("."), record.type)
        for zone in route53_backends[account][partition].zones.values()
        for record in zone.rrsets
    }
    options = _describe(certificate)["Certificate"].get("DomainValidationOptions", [])
    wanted = [option["ResourceRecord"] for option in options]
    return all((record["Name"].rstrip("."), record["Type"]) in published for record in wanted)


def install() -> None:
    CertBundle.check = check
