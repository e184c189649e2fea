"""The sandbox's own addresses. Public ones are documentation ranges (RFC 5737), the sandbox's services
live in the benchmarking range (RFC 2544): none of them exists outside the sandbox's namespaces."""

import ipaddress
import threading

METADATA = "169.254.169.254"  # instance metadata, the same on every EC2 instance
RESOLVER = "169.254.169.253"  # the VPC's resolver, the same in every VPC
GATEWAY = "169.254.1.1"  # next hop of every network interface; EC2 has one per subnet

API = "198.18.0.1"  # the AWS API as instances and clients in the namespace reach it
API_PORT = 4566
PACKAGES = "198.18.0.2"  # the package repositories
CLIENT = "198.18.0.10"  # a user on the internet: `scripts/sandbox exec`

PUBLIC = ipaddress.ip_network("198.51.100.0/24")


class PublicAddresses:
    """Hands out public addresses, least recently used first, as a stopped instance gets another one."""

    def __init__(self) -> None:
        self._free = [str(ip) for ip in PUBLIC.hosts()]
        self._lock = threading.Lock()

    def take(self) -> str:
        with self._lock:
            ip = self._free.pop(0)
            self._free.append(ip)
            return ip
