"""Sites that are not open to anybody: made from nothing in token mode, then turned into a secure domain while running.
Users, secrets and the probe go the whole way; strangers do not. Told on the other proven image, Debian 12."""

import pytest
from checks import codename, fenced, healed, nothing_started_early, started
from workplace import DOMAIN, NAME, QUICK, REGION, Workplace, wait_for

PREFIX = "/meet"
KEY = "alias/meet"  # of the operator's own: whoever reads must be allowed to decrypt
# Holds everything a file's language would take for its own.
SECRET = "it's \"quoted\" / slashed \\ and longer than thirty-two characters ${x} ]]"
JWT = f'mode = "jwt"\napp_id = "team"\nsecret_parameter = "{PREFIX}/token"\n'
ACCOUNTS = f'mode = "secure-domain"\nusers_path = "{PREFIX}/users"\n'


@pytest.fixture(scope="module")
def site(workplace: Workplace):
    """A deployment in token mode; gone afterwards."""
    kms = workplace.client("kms")
    kms.create_alias(AliasName=KEY, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    put(workplace, "token", SECRET)
    put(workplace, "users/Ann", SECRET)
    text = f"""
[deployment]
name = "{NAME}"
region = "{REGION}"
[instance]
image = "debian-12"
[site]
domain = "{DOMAIN}"
[certificate]
mode = "import"
certificate = "cert.pem"
chain = "chain.pem"
private_key = "privkey.pem"
[meetings]
drain = "10s"
[jitsi.authentication]
{JWT}[watch]
""" + "".join(f"{key} = {seconds}\n" for key, seconds in QUICK.items())
    (workplace.home / "jitsi.toml").write_text(text)
    workplace.sandbox("settings", "jitsi.toml")
    try:
        printed = workplace.jitsi_aws("setup", "all", "--yes").stdout
        target = next(line.split(" CNAME ")[1] for line in printed.splitlines() if " CNAME " in line)
        workplace.sandbox("cname", DOMAIN, target)
        yield workplace
    finally:
        workplace.jitsi_aws("setup", "delete", f"--yes={NAME}")
        (workplace.home / "jitsi.toml").unlink()


def put(workplace: Workplace, name: str, value: str) -> None:
    ssm = workplace.client("ssm")
    ssm.put_parameter(Name=f"{PREFIX}/{name}", Value=value, Type="SecureString", KeyId=KEY, Overwrite=True)


def test_a_token_site_meets_and_refuses_strangers(site: Workplace):
    site.steady()
    said = site.outside("probe", "--anonymous", expect=4)
    assert "token required" in said.stdout
    assert SECRET not in said.stdout + said.stderr


def test_debian_12_serves_as_debian_13_does(site: Workplace):
    instance = site.steady()
    assert codename(site, instance) == "bookworm"
    fenced(site, instance)
    nothing_started_early(site, instance)
    assert site.inside(instance, "jitsi-agent", "configure") == "nothing to do\n"

    before = started(site, instance)
    site.client("ec2").reboot_instances(InstanceIds=[instance])
    wait_for("another init", lambda: started(site, instance) not in ("", before), 60)
    healed(site, instance)


def test_a_wrong_secret_is_refused_until_it_is_right(site: Workplace):
    site.steady()
    put(site, "token", "another")
    said = site.outside("probe", expect=4)
    assert "Prosody refuses the log-in" in said.stdout
    put(site, "token", SECRET)
    assert site.meets()


def test_the_mode_changes_with_the_next_instance(site: Workplace):
    first = site.steady()
    site.edit(JWT, ACCOUNTS)
    site.jitsi_aws("setup", "iam", "--yes")
    site.jitsi_aws("setup", "instances", "--yes")
    site.client("autoscaling").start_instance_refresh(
        AutoScalingGroupName=NAME, Preferences={"MinHealthyPercentage": 0})
    wait_for("the first instance to go", lambda: first not in site.serving(), 120)
    site.steady(other_than=first)
    # Over HTTP, where jicofo is not told who asks, a secure domain takes no request.
    assert "404" in site.outside("probe", "--anonymous", expect=4).stdout
    put(site, "users/Ann", "another")
    assert "not-authorized" in site.outside("probe", expect=4).stdout
