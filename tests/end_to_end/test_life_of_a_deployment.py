"""A deployment's whole life in a sandbox with real instances, as its operator and its users see it: one story,
told in order. Every chapter leaves one healthy instance, where the next one begins."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from checks import codename, fenced, healed
from workplace import DOMAIN, NAME, QUICK, REGION, ROOT, Workplace, wait_for

UNITS = ("nginx", "prosody", "jicofo", "jitsi-videobridge2")
BRIDGE = "/etc/jitsi/videobridge/jvb.conf"
# A release the sandbox's repository has beside its newest, as Jitsi's does.
FORMER = {
    "jitsi-meet": "2.0.10700-1", "jitsi-meet-web": "1.0.9000-1", "jitsi-meet-web-config": "1.0.9000-1",
    "jitsi-meet-prosody": "1.0.9000-1", "jicofo": "1.0-1170-1", "jitsi-videobridge2": "2.3-270-g0000000-1",
}
DRAIN = 90  # seconds a termination waits for people


@pytest.fixture(scope="module")
def before(workplace) -> dict:
    """What the account held before the deployment."""
    return workplace.inventory()


def test_stages_one_by_one_make_a_site_that_meets(workplace: Workplace, before):
    workplace.jitsi_aws(
        "init", "--name", NAME, "--region", REGION, "--domain", DOMAIN, "--certificate", "cert.pem",
        "--chain", "chain.pem", "--private-key", "privkey.pem", "--email", "ops@example.org",
    )
    workplace.edit('# drain = "30m"', f'drain = "{DRAIN}s"')
    for key, seconds in QUICK.items():
        workplace.edit(f"# {key} = ", f"{key} = {seconds}  # not ")
    workplace.sandbox("settings", "jitsi.toml")
    assert workplace.jitsi_aws("plan", expect=3).stdout
    printed = ""
    for stage in ("iam", "instances", "lb", "monitoring"):
        printed += workplace.jitsi_aws("setup", stage, "--yes").stdout
    target = next(line.split(" CNAME ")[1] for line in printed.splitlines() if " CNAME " in line)
    workplace.sandbox("cname", DOMAIN, target)
    workplace.steady()
    report = workplace.probe()
    steps = {step["name"]: step["detail"] for step in report["steps"]}
    assert ":443" in steps["connect"] and "udp/10000" in steps["media"]
    assert report["audio"]["packets"] and not report["audio"]["lost"], "participants hear each other"
    assert "UDP" in workplace.outside("probe", "--udp-blocked", expect=4).stdout


def test_second_run_changes_nothing(workplace):
    instance = workplace.steady()
    workplace.jitsi_aws("plan")
    events = workplace.jitsi_aws("--json", "setup", "all", "--yes")
    assert json.loads(events.stdout)["result"] is not None
    again = workplace.jitsi_aws("setup", "all", "--yes").stderr
    assert "created" not in again and "changed" not in again.replace("unchanged", "")
    assert workplace.steady() == instance


def test_programs_are_fenced_and_the_agent_is_not(workplace):
    """What each program may do on the machine, by a real attempt and in systemd's judgement."""
    instance = workplace.steady()
    assert codename(workplace, instance) == "trixie", "the default image; closed sites are told on the other"
    fenced(workplace, instance)


def test_a_crowd_costs_nobody_a_meeting_and_no_instance(workplace):
    """More WebSockets than one address may have, and requests for rooms without end: the load balancer's check and
    the agent's own way in do not notice, those who are in stay, and the instance is not replaced."""
    instance = workplace.steady()
    people = People(workplace, instance)
    with Flood(workplace, websockets=1200, rooms=300) as flood:
        # Let in are a burst of 500 and 50 a second: how many in all is a matter of how fast the crowd comes.
        assert flood.report["websockets"].get("101", 0) >= 450 and flood.report["websockets"].get("429"), flood.report
        assert flood.report["rooms"].get("200") and flood.report["rooms"].get("429"), flood.report
        for _ in range(10):
            assert workplace.healthz(instance) == (200, [])
            assert workplace.serving() == [instance]
        workplace.inside(instance, "jitsi-agent", "probe")
    ended = people.leave()
    assert ended["packets"] and ended["longest_gap_ms"] < 2000, f"the meeting was disturbed: {ended}"
    healed(workplace, instance)


def test_ctrl_c_at_the_question_harms_nothing(workplace):
    instance = workplace.steady()
    question = "Type the deployment's name to go on:"
    for keys, code in ((b"\x03", 130), (b"\x04", 1), (b"\r", 1)):
        ended, screen = workplace.asked_outside("ha-test", question=question, keys=keys)
        assert ended == code, screen
    assert workplace.steady() == instance


def test_killed_instance_is_mailed_and_replaced_by_what_was_proven(workplace, tmp_path):
    first = workplace.steady()
    note = wait_for("a note of the packages", lambda: proven(workplace), 60)
    assert note["instance"] == first and note["packages"] == packages(workplace, first)
    assert note["packages"]["jitsi-meet"] != FORMER["jitsi-meet"]
    # As if the release that the repository has besides had been the one, and the newest had come out since.
    former = note["packages"] | FORMER
    bucket, key = note_of(workplace)
    workplace.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(note | {"packages": former}))
    survives(workplace, tmp_path, "--kill", "instance")
    second = workplace.steady(other_than=first)
    assert packages(workplace, second) == former
    assert any(first in mail for mail in workplace.mail())


def test_the_agents_work_done_again_changes_and_restarts_nothing(workplace):
    instance = workplace.steady()

    def everything() -> str:
        return workplace.inside(
            instance, "sh", "-c",
            f"systemctl show -p MainPID -p ExecMainStartTimestampMonotonic {' '.join(UNITS)}; "
            "find /etc /usr/share/jitsi-meet -xdev -type f -printf '%p %T@ %i\\n' | sort")

    before = everything()
    again = "jitsi-agent install && jitsi-agent configure && systemctl restart jitsi-agent"
    workplace.inside(instance, "sh", "-c", again)
    healed(workplace, instance)
    assert everything() == before


# `scripts/chaos` kills and hangs every one of them, and measures what comes of it.
@pytest.mark.parametrize("unit", ("nginx", "jitsi-videobridge2", "jitsi-agent"))
def test_killed_service_heals_in_place(workplace, unit):
    instance = workplace.steady()
    before = main_process(workplace, instance, unit)
    workplace.inside(instance, "systemctl", "kill", "--signal=KILL", unit)
    wait_for(f"another process of {unit}",
             lambda: main_process(workplace, instance, unit) not in ("0", before), 60)
    healed(workplace, instance)


@pytest.mark.slow
def test_hanging_bridge_is_noticed_and_restarted(workplace):
    """The process lives, its port is open: systemd and an EC2 health check see nothing."""
    instance, unit = workplace.steady(), "jitsi-videobridge2"
    before = main_process(workplace, instance, unit)
    workplace.inside(instance, "systemctl", "kill", "--signal=STOP", unit)
    wait_for("the bridge named as missing", lambda: names(workplace, instance, "videobridge"), 30, 0.2)
    wait_for("another process of the bridge",
             lambda: main_process(workplace, instance, unit) not in ("0", before), 60)
    healed(workplace, instance)


@pytest.mark.slow
def test_wrong_address_mapping_is_put_right(workplace):
    """Jitsi's own health answers stay green, and no participant gets media."""
    instance = workplace.steady()
    right = workplace.inside(instance, "cat", BRIDGE)
    private = workplace.status(instance)["identity"]["private_ipv4"]
    workplace.inside(instance, "sed", "-i", f"s/{private}/10.99.0.1/", BRIDGE)
    workplace.inside(instance, "systemctl", "restart", "jitsi-videobridge2")
    wait_for("the right file", lambda: workplace.inside(instance, "cat", BRIDGE) == right, 90)
    healed(workplace, instance)


@pytest.mark.slow
def test_blocked_udp_turns_visitors_away_and_says_so(workplace):
    """No replacement would open the port: the load balancer is told that the instance may stay."""
    instance = workplace.steady()
    ec2 = workplace.client("ec2")
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"{NAME}-instance"]}])
    rules = {"GroupId": found["SecurityGroups"][0]["GroupId"], "IpPermissions": [
        {"IpProtocol": "udp", "FromPort": 10000, "ToPort": 10000, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}
    ec2.revoke_security_group_ingress(**rules)
    wait_for("visitors turned away", lambda: workplace.healthz(instance) == (200, ["network"]), 120)
    wait_for("the cause in the status", lambda: names(workplace, instance, "network", "udp/10000"), 120)
    wait_for("the cause for a user", lambda: "udp/10000" in workplace.probe().get("reason", ""), 60)
    workplace.jitsi_aws("setup", "instances", "--yes")  # puts back what somebody removed
    healed(workplace, instance)


@pytest.mark.slow
def test_zone_outage_moves_the_site(workplace, tmp_path):
    first = workplace.steady()
    zone = zone_of(workplace, first)
    wait_for("the end of the killed instance's termination hook", lambda: alone(workplace, first), 240)
    survives(workplace, tmp_path, "--zone-outage")
    second = workplace.steady(other_than=first)
    assert zone_of(workplace, second) != zone


def test_people_finish_their_meeting_while_a_bad_successor_is_given_up(workplace):
    """A termination with a meeting in progress, at the worst moment: the configuration for the next instance
    trusts a key that does not sign the packages."""
    first = workplace.steady()
    fingerprint = next(line.split('"')[1] for line in (workplace.home / "jitsi.toml").read_text().splitlines()
                       if line.startswith("key_fingerprint"))
    wrong = fingerprint[::-1]
    workplace.edit(fingerprint, wrong)
    workplace.jitsi_aws("setup", "instances", "--yes")
    people = People(workplace, first)
    workplace.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=first, ShouldDecrementDesiredCapacity=False)
    wait_for("draining", lambda: workplace.status(first).get("drain"), 60)
    wait_for("no new rooms", lambda: refuses_rooms(workplace, first), 30)
    ended = people.leave()
    assert ended["packets"] and ended["longest_gap_ms"] < 2000, f"the meeting was disturbed: {ended}"
    wait_for("a mail with the cause",
             lambda: any("gave up in phase install" in m and fingerprint in m for m in workplace.mail()), 240)
    assert any("Launch Unsuccessful" in mail for mail in workplace.mail())
    wait_for("the hook told", lambda: f"{NAME}-terminate: CONTINUE" in console(workplace, first), 60 + DRAIN)
    workplace.edit(wrong, fingerprint)
    # whoever failed the same way twice tries on, with the mistake it was launched with: it is ended
    workplace.jitsi_aws("setup", "instances", "--yes")
    workplace.steady(other_than=first)


def test_nobody_was_refused_and_the_instance_may_do_nothing_it_never_did(workplace):
    """Every call of all chapters was weighed against the policies of who made it."""
    account = workplace.client("sts").get_caller_identity()["Account"]
    systems_manager = ("ssmmessages:", "ec2messages:", "ssm:UpdateInstanceInformation")  # its agent is imitated

    def told() -> dict:
        with urllib.request.urlopen(f"{workplace.aws['endpoint_url']}/strict/{account}") as answer:
            return json.load(answer)

    def unused() -> list[str]:
        grants = [grant.split(": ", 1)[1] for grant in told()["unused_by_roles"][f"{NAME}-instance"]]
        return [grant for grant in grants if not grant.startswith(systems_manager)]

    assert told()["refused"] == []
    # Figures go to CloudWatch once a minute, from an agent that lives so long.
    wait_for("a use of every grant", lambda: not unused(), 90)


def test_deleted_means_nothing_is_left(workplace, before):
    workplace.steady()
    assert "0 left" in workplace.jitsi_aws("setup", "delete", f"--yes={NAME}").stdout
    assert workplace.inventory() == before
    assert sorted(p.name for p in workplace.home.rglob("*") if p.is_file()) == [
        "cert.pem", "chain.pem", "jitsi.toml", "privkey.pem"]
    wait_for("no machine", lambda: not [i for i in workplace.state()["instances"] if i["state"] != "terminated"], 30)


# ---- words of the story

def note_of(workplace: Workplace) -> tuple[str, str]:
    """Bucket and key of the note of what held a meeting."""
    account = workplace.client("sts").get_caller_identity()["Account"]
    return f"{NAME}-{account}-{REGION}", "proven/trixie/newest.json"


def proven(workplace: Workplace) -> dict | None:
    """The note, once there is one."""
    bucket, key = note_of(workplace)
    listed = workplace.client("s3").list_objects_v2(Bucket=bucket, Prefix=key)
    if not listed.get("KeyCount"):
        return None
    return json.loads(workplace.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def packages(workplace: Workplace, instance: str) -> dict[str, str]:
    """Versions of the site's packages on an instance."""
    wanted = ["prosody", *FORMER]
    listed = workplace.inside(instance, "dpkg-query", "-W", "-f", "${Package} ${Version}\n", *wanted)
    return dict(line.split() for line in listed.splitlines())


def main_process(workplace: Workplace, instance: str, unit: str) -> str:
    return workplace.inside(instance, "systemctl", "show", "--property=MainPID", "--value", unit, expect=None).strip()


def names(workplace: Workplace, instance: str, part: str, why: str = "") -> bool:
    """Whether the agent names the part among what is missing, and why."""
    missing = workplace.status(instance).get("missing", [])
    return any(entry.startswith(part) and why in entry for entry in missing)


def survives(workplace: Workplace, reports: Path, *harm: str) -> None:
    """`ha-test` judges: back within its limit, on another instance, and the mail was there."""
    workplace.outside("--yes", "ha-test", *harm, "--maildir", workplace.maildir, "--report", str(reports))


def zone_of(workplace: Workplace, instance: str) -> str:
    return next(i["zone"] for i in workplace.state()["instances"] if i["id"] == instance)


def alone(workplace: Workplace, instance: str) -> bool:
    """Whether the group has no other member; a dead one stays until its termination hook times out."""
    return [i["id"] for i in workplace.state()["instances"] if i["lifecycle"]] == [instance]


def console(workplace: Workplace, instance: str) -> str:
    return workplace.sandbox("console", instance).stdout


def refuses_rooms(workplace: Workplace, instance: str) -> bool:
    """Whether the instance itself, asked past the load balancer, holds no new meeting."""
    done = workplace.sandbox("exec", "--instance", instance, "--", "jitsi-agent", "probe", "--json", expect=None)
    return done.returncode == 4


class People:
    """Two participants who send media until they leave."""

    UNIT = "people"
    HOME = Path("/usr/share/jitsi-videobridge")

    def __init__(self, workplace: Workplace, instance: str) -> None:
        self._workplace, self._instance = workplace, instance
        self._process = subprocess.Popen(
            [ROOT / "scripts/sandbox", "--directory", workplace.directory, "exec", "--instance", instance, "--",
             "systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={self.UNIT}",
             f"--setenv=PYTHONPATH={self.HOME}/python", self.HOME / "standins/people", "--domain", DOMAIN],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )
        assert json.loads(self._process.stdout.readline())["event"] == "meeting"

    def leave(self) -> dict:
        """They hang up; says how it was."""
        assert self._process.poll() is None, "the meeting was cut off"
        self._workplace.inside(self._instance, "systemctl", "kill", "--signal=TERM", self.UNIT)
        out, _ = self._process.communicate(timeout=60)
        return json.loads(out)


class Flood:
    """Visitors on the sandbox's internet who come all at once; gone at the end of the block."""

    def __init__(self, workplace: Workplace, websockets: int, rooms: int) -> None:
        flood = Path(__file__).with_name("flood.py")
        self._process = subprocess.Popen(
            [ROOT / "scripts/sandbox", "--directory", workplace.directory, "exec", "--", sys.executable, flood, DOMAIN,
             str(websockets), str(rooms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def __enter__(self) -> "Flood":
        line = self._process.stdout.readline()
        assert line, "the flood ended by itself"
        self.report = json.loads(line)
        print(self.report)
        return self

    def __exit__(self, *exception) -> None:
        self._process.stdin.close()
        self._process.wait(30)
