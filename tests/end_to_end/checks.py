"""What is asked of an instance, whichever story it is in."""

from workplace import Workplace, wait_for

# The most `systemd-analyze security` may say of each, of 10.
MOST_EXPOSED = {"jitsi-agent": 4.0, "nginx": 3.0, "prosody": 2.0, "jicofo": 2.0, "jitsi-videobridge2": 2.0}


def fenced(workplace: Workplace, instance: str) -> None:
    """No program of Jitsi's reaches the metadata service, the agent does; all run hardened."""
    def reaches(user: str) -> bool:
        script = f"timeout 5 runuser -u {user} -- bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' && echo reached"
        return "reached" in workplace.inside(instance, "sh", "-c", script, expect=None)

    assert [user for user in ("prosody", "jicofo", "jvb", "www-data", "root") if reaches(user)] == ["root"]
    said = workplace.inside(instance, "jitsi-agent", "doctor", expect=None)
    assert "\u2713 metadata " in said, said
    judged = workplace.inside(instance, "systemd-analyze", "security", "--no-pager")
    exposed = {row[0].removesuffix(".service"): float(row[1]) for line in judged.splitlines()
               if (row := line.split())[0].removesuffix(".service") in MOST_EXPOSED}
    print(codename(workplace, instance), exposed)
    assert {unit for unit, most in MOST_EXPOSED.items() if exposed[unit] > most} == set(), exposed


def nothing_started_early(workplace: Workplace, instance: str) -> None:
    """No program ran on its package's own configuration. On Debian 12 the trigger of jitsi-meet-prosody tries to
    start both; on Debian 13 it was not seen to, so there this would prove nothing."""
    for unit in ("jicofo", "jitsi-videobridge2"):
        said = workplace.inside(instance, "journalctl", "-o", "cat", "-u", unit).splitlines()
        skipped = [n for n, line in enumerate(said) if "skipped because of an unmet condition" in line]
        started = [n for n, line in enumerate(said) if line.startswith("Started")]
        assert skipped, f"no package tried to start {unit}: this proves nothing"
        assert max(skipped) < min(started), said


def healed(workplace: Workplace, instance: str) -> None:
    """Ready again by the agent's word, the load balancer's and a user's, and still the same instance."""
    def well():
        status = workplace.status(instance)
        return status.get("ready") and not status["missing"] and workplace.healthz(instance) == (200, [])

    wait_for("the agent is content", well, 120)
    assert workplace.steady() == instance


def codename(workplace: Workplace, instance: str) -> str:
    return workplace.inside(instance, "sh", "-c", '. /etc/os-release; printf %s "$VERSION_CODENAME"')


def started(workplace: Workplace, instance: str) -> str:
    """When the instance's init began; empty while there is none."""
    return workplace.inside(instance, "ps", "-o", "lstart=", "1", expect=None).strip()
