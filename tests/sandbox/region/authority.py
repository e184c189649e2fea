"""A certificate authority for the sandbox's users: those `exec` runs trust it, nobody else does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SYSTEM_BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
CA_LIFE, LEAF_LIFE = timedelta(days=3650), timedelta(days=80)


class Authority:
    """Its key and certificate lie in the cache and are made at first use."""

    def __init__(self, directory: Path) -> None:
        self._key_file, self.certificate_file = directory / "authority.key", directory / "authority.pem"
        if not self.certificate_file.exists():
            directory.mkdir(parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("Sandbox authority")
            certificate = (
                _builder(name, name, key.public_key(), CA_LIFE)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
                .sign(key, hashes.SHA256())
            )
            _write_key(self._key_file, key)
            self.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, domain: str, out: Path) -> None:
        """Writes `cert.pem`, `chain.pem` and `privkey.pem` for a domain, as an ACME client would."""
        authority = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        signer = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(domain), authority.subject, key.public_key(), LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        out.mkdir(parents=True, exist_ok=True)
        _write_key(out / "privkey.pem", key)
        (out / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (out / "chain.pem").write_bytes(self.certificate_file.read_bytes())

    def bundle(self, file: Path) -> Path:
        """The machine's trusted authorities and this one, in one file."""
        system = next((p.read_bytes() for p in SYSTEM_BUNDLES if p.exists()), b"")
        file.write_bytes(system + b"\n" + self.certificate_file.read_bytes())
        return file


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key, life: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def _write_key(path: Path, key) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
