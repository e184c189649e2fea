"""Lets the emulator's ACM know which load balancers use a certificate (ACM API, `CertificateDetail.InUseBy`), and
refuse to delete one that is in use (DeleteCertificate: `ResourceInUseException`)."""

from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.core.exceptions import JsonRESTError
from moto.elbv2.models import elbv2_backends

_delete = AWSCertificateManagerBackend.delete_certificate


class ResourceInUse(JsonRESTError):
    def __init__(self, arn: str) -> None:
        super().__init__("ResourceInUseException", f"Certificate {arn} is in use.")


def in_use_by(certificate) -> list[str]:
    region, account = certificate.arn.split(":")[3:5]
    return sorted({
        balancer.arn
        for balancer in elbv2_backends[account][region].load_balancers.values()
        for listener in balancer.listeners.values()
        if certificate.arn in map(str, listener.certificates)
    })


def delete_certificate(self, arn: str) -> None:
    certificate = self._certificates.get(arn)
    if certificate is not None and certificate.in_use_by:
        raise ResourceInUse(arn)
    _delete(self, arn)


def install() -> None:
    CertBundle.in_use_by = property(in_use_by, lambda _certificate, _initially: None)
    AWSCertificateManagerBackend.delete_certificate = delete_certificate
