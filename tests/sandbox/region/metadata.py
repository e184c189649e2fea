"""The instance metadata service: session tokens (version 1 only where the launch allows it), hop limit,
and what an instance may know about itself."""

import base64
import hashlib
import json
import secrets
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.iam import iam_backends
from moto.sts import sts_backends

from . import addresses
from .netns import listen
from .plane import Plane
from .world import World, log

MAX_TOKEN_SECONDS = 21_600
CREDENTIAL_LIFE = timedelta(hours=6)
RENEW_BEFORE = timedelta(minutes=15)


class Tokens:
    """Session tokens; each is good for the instance that asked for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}

    def make(self, instance_id: str, seconds: int) -> str:
        token = secrets.token_urlsafe(40)
        self._known[token] = (instance_id, self._clock() + seconds)
        return token

    def valid(self, token: str | None, instance_id: str) -> bool:
        owner, ends = self._known.get(token or "", ("", 0.0))
        return owner == instance_id and self._clock() < ends


class Credentials:
    """Role credentials for instances, renewed before they end; moto knows them as an assumed role's."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], dict] = {}

    def get(self, instance, role) -> dict:
        now = datetime.now(UTC)
        held = self._held.get((instance.id, role.arn))
        if held is None or held["expires"] - now < RENEW_BEFORE:
            region = instance.ec2_backend.region_name
            backend = sts_backends[instance.owner_id]["aws"]
            assumed = backend.assume_role(
                region_name=region, role_session_name=instance.id, role_arn=role.arn, policy="",
                duration=int(CREDENTIAL_LIFE.total_seconds()), external_id="",
            )
            held = {"assumed": assumed, "made": now, "expires": now + CREDENTIAL_LIFE}
            self._held[(instance.id, role.arn)] = held
        assumed = held["assumed"]
        return {
            "Code": "Success",
            "LastUpdated": held["made"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Type": "AWS-HMAC",
            "AccessKeyId": assumed.access_key_id,
            "SecretAccessKey": assumed.secret_access_key,
            "Token": assumed.session_token,
            "Expiration": held["expires"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class Metadata:
    """Answers any path for any instance; serving it is the handler's job."""

    def __init__(self, world: World, plane: Plane) -> None:
        self.world, self.plane = world, plane
        self.tokens = Tokens(world.clock)
        self._credentials = Credentials()

    def instance_at(self, vpc_id: str, address: str):
        """The instance that has this address now."""
        for instance in self.plane.compute.instances():
            if instance.vpc_id == vpc_id and instance.private_ip == address and instance.state_code < 48:
                return instance
        return None

    def user_data(self, instance) -> bytes | None:
        data = instance.user_data
        return None if not data else decode(data)

    def tree(self, instance) -> dict:
        """Everything under meta-data/: a dict is a directory, None is absent."""
        region, zone = instance.ec2_backend.region_name, instance.placement.zone
        mac = instance.nics[0].mac_address
        group_ids = sorted({g.id for g in instance.nics[0].group_set})
        subnet = instance.ec2_backend.get_subnet(instance.subnet_id)
        notice = self.plane.spot_notices.get(instance.id, {})
        interface = {
            "device-number": "0",
            "local-ipv4s": instance.private_ip,
            "mac": mac,
            "owner-id": instance.owner_id,
            "public-ipv4s": instance.public_ip,
            "security-group-ids": "\n".join(group_ids),
            "subnet-id": instance.subnet_id,
            "subnet-ipv4-cidr-block": subnet.cidr_block,
            "vpc-id": instance.vpc_id,
        }
        tree = {
            "ami-id": instance.image_id,
            "ami-launch-index": str(instance.ami_launch_index),
            "hostname": instance.private_dns_name,
            "instance-action": "none",
            "instance-id": instance.id,
            "instance-life-cycle": instance.lifecycle or "on-demand",
            "instance-type": instance.instance_type,
            "local-hostname": instance.private_dns_name,
            "local-ipv4": instance.private_ip,
            "mac": mac,
            "network": {"interfaces": {"macs": {mac: prune(interface)}}},
            "placement": {
                "availability-zone": zone,
                "availability-zone-id": f"{region.replace('-', '')[:4]}-az{ord(zone[-1]) - 96}",
                "region": region,
            },
            "public-hostname": instance.public_dns_name,
            "public-ipv4": instance.public_ip,
            "reservation-id": "r-" + hashlib.sha256(instance.id.encode()).hexdigest()[:17],
            "security-groups": "\n".join(sorted({g.name for g in instance.nics[0].group_set})),
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        }
        if (state := self.plane.groups.target_lifecycle_state(instance.id)) is not None:
            tree["autoscaling"] = {"target-lifecycle-state": state}
        if notice.get("action"):
            tree["spot"] = {"instance-action": json.dumps({"action": notice["action"], "time": notice["time"]})}
        if notice.get("rebalance"):
            tree["events"] = {"recommendations": {"rebalance": json.dumps({"noticeTime": notice["rebalance"]})}}
        if instance.metadata_options.instance_metadata_tags == "enabled":
            tree["tags"] = {"instance": {t["key"]: t["value"] for t in instance.get_tags()}}
        if (profile := self._profile(instance)) is not None:
            tree["iam"] = self._iam(instance, profile)
        return prune(tree)

    def _profile(self, instance):
        association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
        if association is None:
            return None
        profiles = iam_backends[instance.owner_id]["aws"].instance_profiles
        return next((p for p in profiles.values() if p.arn == association.iam_instance_profile.arn), None)

    def _iam(self, instance, profile) -> dict:
        info = {
            "Code": "Success",
            "LastUpdated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "InstanceProfileArn": profile.arn,
            "InstanceProfileId": profile.id,
        }
        credentials = {
            role.name: json.dumps(self._credentials.get(instance, role), indent=2) for role in profile.roles
        }
        return {"info": json.dumps(info, indent=2), "security-credentials": credentials}

    def identity(self, instance) -> str:
        """The instance identity document."""
        return json.dumps(
            {
                "accountId": instance.owner_id,
                "architecture": instance.architecture,
                "availabilityZone": instance.placement.zone,
                "imageId": instance.image_id,
                "instanceId": instance.id,
                "instanceType": instance.instance_type,
                "pendingTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "privateIp": instance.private_ip,
                "region": instance.ec2_backend.region_name,
                "version": "2017-09-30",
            },
            indent=2,
        )

    def get(self, instance, path: str) -> bytes | None:
        """The answer to a path below the version; None is a 404."""
        parts = [p for p in path.split("/") if p]
        if not parts:
            return b"dynamic\nmeta-data\nuser-data" if instance.user_data else b"dynamic\nmeta-data"
        match parts[0]:
            case "user-data" if len(parts) == 1:
                return self.user_data(instance)
            case "dynamic":
                tree = {"instance-identity": {"document": self.identity(instance)}}
            case "meta-data":
                tree = self.tree(instance)
            case _:
                return None
        return walk(tree, parts[1:])


def walk(tree: dict, parts: list[str]) -> bytes | None:
    """The value at a path, or a directory's listing with `/` after directories."""
    value = tree
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    if isinstance(value, dict):
        return "\n".join(k + ("/" if isinstance(v, dict) else "") for k, v in sorted(value.items())).encode()
    return value.encode()


def prune(tree: dict) -> dict:
    return {k: v for k, v in tree.items() if v is not None}


def decode(data) -> bytes:
    """User-data as the user wrote it."""
    return base64.b64decode(str(data))


def serve(metadata: Metadata, vpc_id: str, router: str) -> ThreadingHTTPServer:
    """Serves 169.254.169.254 for one VPC, on its router."""
    sock = listen(router, addresses.METADATA, 80)

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "EC2ws", ""
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *args) -> None:
            pass

        def _instance(self):
            with metadata.world.lock:
                instance = metadata.instance_at(vpc_id, self.client_address[0])
            if instance is None or instance.metadata_options.http_endpoint == "disabled":
                self._answer(403, b"")
                return None
            return instance

        def _answer(self, status: int, body: bytes, extra: dict | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (extra or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            if (instance := self._instance()) is None:
                return
            # The answer dies at the first hop too many, so that a container behind the instance gets none.
            hops = int(instance.metadata_options.http_put_response_hop_limit or 1)
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if self.path != "/latest/api/token":
                self._answer(404, b"")
            elif self.headers.get("X-Forwarded-For"):
                self._answer(403, b"")
            elif not ttl.isdigit() or not 1 <= int(ttl) <= MAX_TOKEN_SECONDS:
                self._answer(400, b"")
            else:
                token = metadata.tokens.make(instance.id, int(ttl))
                self._answer(200, token.encode(), {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl})

        def do_GET(self) -> None:
            if (instance := self._instance()) is None:
                return
            token = self.headers.get("X-aws-ec2-metadata-token")
            version_1 = token is None and instance.metadata_options.http_tokens != "required"
            if not version_1 and not metadata.tokens.valid(token, instance.id):
                self._answer(401, b"")
                return
            _, _, rest = self.path.split("?")[0].partition("/")
            _, _, below = rest.partition("/")
            with metadata.world.lock:
                body = metadata.get(instance, below)
            self._answer(404, b"") if body is None else self._answer(200, body)

        do_HEAD = do_GET

    server = ThreadingHTTPServer((addresses.METADATA, 80), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = sock
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name=f"metadata-{vpc_id}", daemon=True).start()
    log.info("metadata service of %s is up", vpc_id)
    return server
