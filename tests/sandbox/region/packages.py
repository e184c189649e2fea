"""The package repositories instances install from: Debian's real packages, and Jitsi's names around the
stand-ins, each signed with a key made for the occasion and kept in the cache."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import addresses, images
from .netns import listen
from .releases import Release
from .shell import attempt, run

log = logging.getLogger("sandbox")
RECIPES = Path(__file__).parents[1] / "packages"
# What Jitsi's packages and the agent ask of Debian, with what these need in turn.
WANTED = [
    "nginx", "prosody", "ruby-hocon", "jq", "procps", "uuid-runtime", "openssl", "gpg",
    "ca-certificates", "curl", "debconf-utils", "python3-slixmpp", "python3-aioice", "python3-aiohttp",
    "python3-openssl", "python3-pyparsing", "sysvinit-utils", "lua-unbound", "unattended-upgrades",
    "lua-basexx", "lua-cjson", "lua-inspect", "lua-luaossl", "lua-sec",
]
FROM_PYPI = "pyhocon==0.3.61"  # the stand-ins' one dependency that Debian has not
# Modules of Jitsi that a configuration names and nothing here depends on: they load and do nothing.
SILENT_MODULES = [
    "av_moderation_component", "conference_duration", "end_conference", "features_identity",
    "filesharing_component", "limits_exception", "muc_breakout_rooms", "muc_domain_mapper", "muc_max_occupants",
    "muc_password_whitelist", "muc_rate_limit", "muc_wait_for_host", "persistent_lobby", "polls_component",
    "room_metadata_component", "speakerstats_component",
]
# The recipes' versions, and those of the release after it: Jitsi's repository keeps both, and `jitsi-meet`
# names the others exactly.
NEXT_RELEASE = {
    "2.0.10700-1": "2.0.10741-1",  # jitsi-meet
    "1.0.9000-1": "1.0.9056-1",  # jitsi-meet-web, -web-config, -prosody, -tokens
    "1.0-1170-1": "1.0-1180-1",  # jicofo
    "2.3-270-g0000000-1": "2.3-281-g0000001-1",  # jitsi-videobridge2
}
# Jitsi's own repository, passed on to instances, which have no other way to it.
UPSTREAM, UPSTREAM_KEY = "jitsi-upstream", "jitsi-key.gpg.key"
STANDINS = {"jitsi-videobridge2": "usr/share/jitsi-videobridge", "jicofo": "usr/share/jicofo"}


def jitsi(cache: Path, standins: Path, say: Callable[[str], None]) -> Path:
    """Makes Jitsi's repository, which is one for all releases, unless the cache holds it: `www` is served, and
    `layer` goes into every instance."""
    target = cache / f"jitsi-{_fingerprint(standins)}"
    if not target.is_dir():
        say("building the Jitsi packages")
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        www = part / "www"
        key = Key(cache / "key")
        (www / "jitsi/stable").mkdir(parents=True)
        for release in ({}, NEXT_RELEASE):
            (part / "work").mkdir()
            for recipe in sorted(p for p in RECIPES.iterdir() if p.is_dir()):
                _package(recipe, release, standins, part / "work", www / "jitsi/stable")
            shutil.rmtree(part / "work")
        flat(www / "jitsi", "stable", key)
        (www / "key.asc").write_text(key.armored())
        # instances trust Debian's packages through the image, not through anything they install
        keyring = part / "layer/usr/share/keyrings/sandbox.gpg"
        keyring.parent.mkdir(parents=True)
        keyring.write_bytes(key.binary())
        (part / "fingerprint").write_text(key.fingerprint)
        part.rename(target)
    return target


def debian(cache: Path, release: Release, say: Callable[[str], None]) -> tuple[Path, Path]:
    """Makes a release's base layer and its suites of Debian's and Prosody's repositories unless the cache holds
    them; the layer, and the directory to serve."""
    base = images.build_base(cache, release, say)
    downloaded = _debian(cache, release, base, say)
    target = cache / downloaded.name.replace("debian-", "suites-")
    if not target.is_dir():
        say(f"building the package repositories of {release.suite}")
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        key = Key(cache / "key")
        newer = [d for d in downloaded.iterdir() if "~bpo" in d.name]
        suite(part / "debian", release, [d for d in downloaded.iterdir() if d not in newer], key)
        # Prosody's own repository has version 13 for every release.
        suite(part / "prosody", release, newer or list(downloaded.glob("prosody_*.deb")), key)
        part.rename(target)
    return base, target


def _fingerprint(standins: Path) -> str:
    """Changes with any file the Jitsi packages are made of."""
    digest = hashlib.sha256(json.dumps([FROM_PYPI, SILENT_MODULES, NEXT_RELEASE]).encode())
    for root in (RECIPES, standins):
        for path in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:10]


def settings(target: Path, upstream: str | None) -> str:
    """The lines of jitsi.toml that point a deployment at these repositories, or at Jitsi's own."""
    here, ours = f"http://{addresses.PACKAGES}", (target / "fingerprint").read_text()
    jitsi = ("jitsi", "stable/", "key.asc", ours)
    if upstream:
        jitsi = (UPSTREAM, "stable/", f"{UPSTREAM}/{UPSTREAM_KEY}", fingerprint_of(f"{upstream}/{UPSTREAM_KEY}"))
    lines = []
    for name, row in (("jitsi", jitsi), ("prosody", ("prosody", "{codename}", "key.asc", ours))):
        path, suite_name, key, fingerprint = row
        lines += [
            f"[jitsi.apt.{name}]",
            f'url = "{here}/{path}"',
            f'suite = "{suite_name}"',
            f'key_url = "{here}/{key}"',
            f'key_fingerprint = "{fingerprint}"',
            "",
        ]
    return "\n".join(lines)


def fingerprint_of(key_url: str) -> str:
    """Fingerprint of the key at an address; who gives the address vouches for it."""
    with urllib.request.urlopen(key_url, timeout=60) as answer, tempfile.NamedTemporaryFile() as file:
        file.write(answer.read())
        file.flush()
        listing = run(["gpg", "--batch", "--show-keys", "--with-colons", file.name])
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))


# ---- Debian's own packages


def _debian(cache: Path, release: Release, base: Path, say: Callable[[str], None]) -> Path:
    """Real packages with everything they depend on beyond the base image, downloaded once."""
    wanted = [release.java, *WANTED]
    digest = hashlib.sha256(json.dumps([base.name, wanted, release.backported]).encode()).hexdigest()[:10]
    target = cache / f"debian-{release.suite}-{digest}"
    if target.is_dir():
        return target
    say(f"downloading {release.suite}'s packages for the instances")
    work = cache / f"{target.name}.part"
    discard(work)
    root = work / "root"
    for path in (root, work / "upper", work / "work"):
        path.mkdir(parents=True)
    overlay = f"lowerdir={base},upperdir={work / 'upper'},workdir={work / 'work'}"
    run(["mount", "-t", "overlay", "-o", overlay, "sandbox-packages", str(root)])
    try:
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        source = (base.parent / f"{base.name}.sources").read_text().split()[1]
        suites = [release.suite] + [f"{release.suite}-backports"] * bool(release.backported)
        listing = "".join(f"deb {source} {name} main\n" for name in suites)
        (root / images.SOURCE).write_text(listing)
        with (cache / f"debian-{release.suite}.log").open("w") as out:
            images.in_image(root, ["apt-get", "update"], out)
            install = ["apt-get", "install", "-y", "--no-install-recommends", "--download-only"]
            # the distribution's own version, too, for a machine that does not know Prosody's repository
            images.in_image(root, [*install, *wanted], out)
            if release.backported:
                newer = [f"{name}/{suites[1]}" for name in release.backported]
                images.in_image(root, [*install, *wanted, *newer], out)
        archives = work / "archives"
        archives.mkdir()
        for package in (root / "var/cache/apt/archives").glob("*.deb"):
            shutil.copy(package, archives / package.name)
    finally:
        attempt(["umount", str(root)])
    archives.rename(target)
    discard(work)
    return target


def discard(directory: Path) -> None:
    """Removes a work directory, which an interrupted run may have left mounted."""
    attempt(["umount", "-q", str(directory / "root")])
    shutil.rmtree(directory, ignore_errors=True)


# ---- Jitsi's names


def _package(recipe: Path, versions: dict[str, str], standins: Path, work: Path, out: Path) -> None:
    """Builds one package from its recipe: control files beside `root/`, the files it installs. `versions`
    replaces those in the recipe."""
    root = work / recipe.name
    if (recipe / "root").is_dir():
        shutil.copytree(recipe / "root", root)
    control = root / "DEBIAN"
    control.mkdir(parents=True)
    for path in recipe.iterdir():
        if path.is_file():
            shutil.copy(path, control / path.name)
            (control / path.name).chmod(0o644 if path.name in ("control", "templates", "triggers") else 0o755)
    text = (control / "control").read_text()
    for former, version in versions.items():
        text = text.replace(former, version)
    (control / "control").write_text(text)
    if home := STANDINS.get(recipe.name):
        ignored = shutil.ignore_patterns("__pycache__", "test*", "recorded", "*.md")
        shutil.copytree(standins, root / home / "standins", ignore=ignored)
        _pyhocon(work, root / home / "python")
    if recipe.name == "jitsi-meet-prosody":
        plugins = root / "usr/share/jitsi-meet/prosody-plugins"
        for name in SILENT_MODULES:
            (plugins / f"mod_{name}.lua").write_text("-- Stands in for Jitsi's module of this name.\n")
    run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", str(root), str(out)])


def _pyhocon(work: Path, target: Path) -> None:
    """A copy of the library, fetched with the Python that runs this."""
    fetched = work.parent / "work-python"
    if not fetched.is_dir():
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile",
             "--disable-pip-version-check", "--target", str(fetched), FROM_PYPI], timeout=300)
    shutil.copytree(fetched, target)


# ---- repositories


class Key:
    """A signing key without a passphrase, good for this cache and nothing else."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._gpg("--list-secret-keys", "--with-colons"):
            self._gpg("--quick-generate-key", "sandbox packages", "rsa3072", "sign", "never")
        listing = self._gpg("--list-keys", "--with-colons")
        rows = [line.split(":") for line in listing.splitlines()]
        self.fingerprint = next(row[9] for row in rows if row[0] == "fpr")

    def _gpg(self, *arguments: str) -> str:
        return run(["gpg", "--homedir", str(self._home), "--batch", "--quiet", "--pinentry-mode", "loopback",
                    "--passphrase", "", *arguments])

    def sign(self, path: Path) -> None:
        """InRelease and Release.gpg beside a Release file."""
        self._gpg("--yes", "--clearsign", "--output", str(path.with_name("InRelease")), str(path))
        self._gpg("--yes", "--armor", "--detach-sign", "--output", str(path.with_name("Release.gpg")), str(path))

    def armored(self) -> str:
        return self._gpg("--armor", "--export")

    def binary(self) -> bytes:
        argv = ["gpg", "--homedir", str(self._home), "--batch", "--export"]
        return subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout


def flat(root: Path, directory: str, key: Key) -> None:
    """A repository without a pool, as Jitsi's: packages and index side by side."""
    index = subprocess.run(["apt-ftparchive", "packages", directory], cwd=root, check=True,
                           capture_output=True, timeout=300).stdout
    (root / directory / "Packages").write_bytes(index)
    _release(root / directory, ["-o", "APT::FTPArchive::Release::Origin=jitsi.org",
                                "-o", "APT::FTPArchive::Release::Suite=stable"], key)


def suite(root: Path, release: Release, packages: list[Path], key: Key) -> None:
    """One suite of a repository, with a pool of its own beside those of others."""
    pool, dist = root / "pool" / release.suite, root / "dists" / release.suite
    index = dist / "main/binary-amd64"
    pool.mkdir(parents=True)
    index.mkdir(parents=True)
    for package in packages:
        shutil.copy(package, pool / package.name.replace("%3a", ":"))
    listing = subprocess.run(["apt-ftparchive", "packages", str(pool.relative_to(root))], cwd=root, check=True,
                             capture_output=True, timeout=300).stdout
    (index / "Packages").write_bytes(listing)
    options = {"Suite": release.suite, "Codename": release.suite, "Architectures": "amd64", "Components": "main"}
    arguments = [a for k, v in options.items() for a in ("-o", f"APT::FTPArchive::Release::{k}={v}")]
    _release(dist, arguments, key)


def _release(directory: Path, options: list[str], key: Key) -> None:
    text = run(["apt-ftparchive", *options, "release", str(directory)])
    (directory / "Release").write_text(text)
    key.sign(directory / "Release")


# ---- serving


class Repositories:
    """The HTTP server on the sandbox's internet; `down` makes it answer 503."""

    def __init__(self, directory: Path, namespace: str, upstream: str | None) -> None:
        self.down = False
        self._directories = [directory]
        repositories = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args) -> None:
                pass

            def do_GET(self) -> None:
                if repositories.down:
                    self.send_error(503)
                elif upstream and self.path.startswith(f"/{UPSTREAM}/"):
                    self._pass_on(upstream + self.path.removeprefix(f"/{UPSTREAM}"))
                else:
                    super().do_GET()

            def translate_path(self, path: str) -> str:
                found = []
                for self.directory in map(str, repositories._directories):
                    found.append(super().translate_path(path))
                return next(filter(os.path.exists, found), found[0])

            def _pass_on(self, url: str) -> None:
                try:
                    answer = urllib.request.urlopen(url, timeout=60)
                except urllib.error.HTTPError as error:
                    self.send_error(error.code)
                    return
                except OSError as error:
                    self.send_error(502, str(error))
                    return
                with answer:
                    self.send_response(200)
                    self.send_header("Content-Length", answer.headers["Content-Length"])
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile)

        server = ThreadingHTTPServer(
            (addresses.PACKAGES, 80), partial(Handler, directory=str(directory)), bind_and_activate=False
        )
        server.socket.close()
        server.socket = listen(namespace, addresses.PACKAGES, 80)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="packages", daemon=True).start()
        log.info("package repositories on http://%s", addresses.PACKAGES)

    def add(self, directory: Path) -> None:
        """Serves one more directory beside the others."""
        if directory not in self._directories:
            self._directories.append(directory)
