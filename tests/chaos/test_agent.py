"""What a serving instance survives without anything being wrong with Jitsi: an agent that is killed, a reboot,
another public address."""

import pytest

from .course import Fault, suffer
from .deployment import Instance, dropping

KILL = (
    "before=$(systemctl show -p MainPID --value jitsi-agent); systemctl kill --signal=KILL jitsi-agent; "
    "for _ in $(seq 50); do kill -0 $before 2>/dev/null || exit 0; sleep 0.1; done; exit 9"
)


def ask_nobody(instance: Instance) -> None:
    """An agent that is killed while the metadata service does not tell who it is."""
    instance.run("systemctl stop jitsi-agent")
    instance.network(dropping("ip daddr 169.254.169.254"))
    assert instance.run("curl -m 2 -s http://169.254.169.254/ || echo silent") == "silent\n"
    instance.run(f"systemctl start jitsi-agent; sleep 5; {KILL}")


def reboot(instance: Instance) -> None:
    instance.deployment.client("ec2").reboot_instances(InstanceIds=[instance.identifier])


def has_just_started(instance: Instance) -> bool:
    return int(instance.run("ps -o etimes= -p 1", check=False) or 1000) < 60


@pytest.mark.quick
def test_agent_killed_while_it_watches(member, figures):
    suffer(member, "agent-killed", Fault("agent: kill -9 while it watches", lambda i: i.run(KILL), 30), figures)


def test_agent_killed_while_it_asks_who_it_is(member, figures):
    fault = Fault("agent: restarted and killed -9 while the metadata service is silent", ask_nobody, 60,
                  lambda i: i.network(""), lasts=15)
    suffer(member, "agent-killed-discovering", fault, figures)


def test_reboot(member, figures):
    suffer(member, "reboot", Fault("instance rebooted", reboot, 120, bit=has_just_started), figures)


def test_another_public_address(member, figures):
    ec2 = member.deployment.client("ec2")
    address = ec2.allocate_address(Domain="vpc")

    def associate(instance: Instance) -> None:
        ec2.associate_address(InstanceId=instance.identifier, AllocationId=address["AllocationId"])

    note = "the metadata service is asked every minute, and when a meeting fails"
    suffer(member, "address", Fault("another public address", associate, 150, told_by=110, note=note), figures)
    assert address["PublicIp"] in member.run("cat /etc/jitsi/videobridge/jvb.conf")
