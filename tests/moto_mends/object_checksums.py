"""Lets the emulator keep the checksum an object was uploaded with, as S3 does whether or not the algorithm is named
besides (S3 API, PutObject: "If you provide an individual checksum, Amazon S3 ignores any provided
ChecksumAlgorithm")."""

from moto.s3.responses import S3Response

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")

_get = S3Response._get_checksum


def get(self, response_headers):
    for algorithm in ALGORITHMS:
        header = f"x-amz-checksum-{algorithm.lower()}"
        if value := self.headers.get(header):
            response_headers[header] = value
            return algorithm, value
    return _get(self, response_headers)


def install() -> None:
    S3Response._get_checksum = get
