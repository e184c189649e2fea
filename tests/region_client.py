"""A sandbox of its own for one run: up, knobs, processes inside, down."""

import json
import subprocess
import tomllib
import urllib.request
from pathlib import Path

import boto3


class Region:
    """The sandbox as `scripts/sandbox` makes it: with AWS-like delays, unless it is up with `--fast`."""

    def __init__(self, root: Path, directory: Path) -> None:
        self._argv = [str(root / "scripts/sandbox"), "--directory", str(directory)]
        self.directory = directory
        self._clients: dict = {}

    def up(self, *options: str) -> None:
        self.cli("up", *options, capture=True)
        self.known = json.loads((self.directory / "sandbox.json").read_text())

    def down(self) -> None:
        # in a session of its own: a second Ctrl-C must not leave half of it behind
        subprocess.run([*self._argv, "down"], check=True, start_new_session=True)

    def cli(self, *arguments: str, capture: bool = False) -> str:
        """Runs scripts/sandbox; what it says for people goes to stderr."""
        done = subprocess.run([*self._argv, *arguments], check=True, text=True,
                              stdout=subprocess.PIPE if capture else None)
        return done.stdout or ""

    def on_the_internet(self, *argv: str) -> list[str]:
        """The command line that runs `argv` as a user on the sandbox's internet."""
        return [*self._argv, "exec", "--", *argv]

    def client(self, service: str):
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service, region_name=self.known["region"], endpoint_url=self.known["endpoint"],
                aws_access_key_id=self.known["access_key_id"],
                aws_secret_access_key=self.known["secret_access_key"],
            )
        return self._clients[service]

    def environment(self) -> dict[str, str]:
        """What an AWS client needs, as `scripts/sandbox up` prints it."""
        return {
            "AWS_ENDPOINT_URL": self.known["endpoint"],
            "AWS_ACCESS_KEY_ID": self.known["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.known["secret_access_key"],
            "AWS_REGION": self.known["region"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def settings(self) -> str:
        """The lines of jitsi.toml that name the sandbox's package repositories."""
        return (self.directory / "jitsi.toml").read_text()

    def repositories(self) -> dict[str, dict[str, str]]:
        return tomllib.loads(self.settings())["jitsi"]["apt"]

    def get(self, path: str) -> dict:
        return self._ask("GET", path, None)

    def put(self, path: str, body: dict) -> dict:
        return self._ask("PUT", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict:
        url = f"{self.known['endpoint']}/sandbox/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=30) as answer:
            return json.load(answer)

    def inside(self, instance: str, *argv: str) -> str:
        """Runs a command inside an instance, at once."""
        enter = self.get(f"enter/{instance}")["argv"]
        done = subprocess.run([*enter, *argv], check=True, text=True, capture_output=True, timeout=60)
        return done.stdout
