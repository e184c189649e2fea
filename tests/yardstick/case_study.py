"""The case study's deployment, as its authors describe it, written with boto3: a launch template whose
user-data installs Jitsi's packages, a group of one over two zones with EC2 health checks, an HTTPS target
group with AWS's default health check, an application load balancer. What it gets beyond its own script,
because it could not work without, is marked and told in docs/ha.md."""

import base64
from pathlib import Path

from region_client import Region

# In its favour, each marked by a letter that docs/ha.md explains.
USER_DATA = r"""#!/bin/bash
domain=@domain@
. /etc/os-release
# (a) the certificate the preseeded answer promises
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$domain" \
  -keyout "/etc/ssl/$domain.key" -out "/etc/ssl/$domain.crt" 2>/dev/null
# (b) the public address, which the bridge would learn from its STUN server; (c) the packaged restart
cat > /usr/local/sbin/public-address <<'SCRIPT'
#!/bin/sh -e
conf=/etc/jitsi/videobridge/jvb.conf
grep -q static-mappings "$conf" && exit
md=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $md/api/token)
get() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$md/meta-data/$1"; }
printf 'ice4j.harvest.mapping.static-mappings = [ { local-address = "%s", public-address = "%s" } ]\n' \
  "$(get local-ipv4)" "$(get public-ipv4)" >> "$conf"
SCRIPT
chmod 755 /usr/local/sbin/public-address
mkdir -p /etc/systemd/system/jitsi-videobridge2.service.d
cat > /etc/systemd/system/jitsi-videobridge2.service.d/favour.conf <<'UNIT'
[Service]
ExecStartPre=+/usr/local/sbin/public-address
Restart=on-failure
RestartSec=2
UNIT
# the repository; (d) and the one of the Prosody that Jitsi requires today
curl -sf '@jitsi_key@' | gpg --dearmor > /usr/share/keyrings/jitsi.gpg
curl -sf '@prosody_key@' | gpg --dearmor > /usr/share/keyrings/prosody.gpg
echo 'deb [signed-by=/usr/share/keyrings/jitsi.gpg] @jitsi@ @jitsi_suite@' \
  > /etc/apt/sources.list.d/jitsi-stable.list
echo "deb [signed-by=/usr/share/keyrings/prosody.gpg] @prosody@ $VERSION_CODENAME main" \
  > /etc/apt/sources.list.d/prosody.list
apt-get update
printf 'DefaultLimitNOFILE=65000\nDefaultLimitNPROC=65000\nDefaultTasksMax=65000\n' >> /etc/systemd/system.conf
systemctl daemon-reload
apt-get install -y debconf-utils
# (e) and the passwords that Jitsi's own packages agree on
debconf-set-selections <<SELECTIONS
jitsi-meet-web-config jitsi-meet/jaas-choice boolean false
jitsi-meet-web-config jitsi-meet/cert-choice select I want to use my own certificate
jitsi-videobridge2 jitsi-videobridge/jvb-hostname string $domain
jitsi-videobridge2 jitsi-videobridge/jvbsecret password $(openssl rand -hex 12)
jicofo jicofo/jicofo-authpassword password $(openssl rand -hex 12)
SELECTIONS
export DEBIAN_FRONTEND=noninteractive
apt-get install -y jitsi-meet
"""
OPEN_PORTS = [("tcp", 22), ("tcp", 80), ("tcp", 443), ("tcp", 4443), ("udp", 10000)]
GROUP = "jitsi-auto-scaling-group"
GRACE = 200  # seconds


class CaseStudy:
    """Makes it, in the order of the authors' scripts; `build` returns once everything is asked for."""

    def __init__(self, region: Region, domain: str) -> None:
        self._region, self.domain = region, domain
        self.group = GROUP

    def build(self, certificate: Path, zones: list[str]) -> None:
        """`zones` in the order in which the other deployment's group prefers them."""
        vpc = self._network(zones)
        elb = self._region.client("elbv2")
        # AWS's default health check: HTTPS to /, every 30 s, 5 s time-out, 5 good, 2 bad, 200 expected.
        target_group = elb.create_target_group(Name="jitsi-target", Protocol="HTTPS", Port=443, VpcId=vpc)
        self.target_group = target_group["TargetGroups"][0]["TargetGroupArn"]
        self._balancer(certificate)
        self._group()

    def _network(self, zones: list[str]) -> str:
        ec2 = self._region.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        group = ec2.create_security_group(GroupName="jitsi-security-group", Description="Jitsi", VpcId=vpc)
        self._security_group = group["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=self._security_group, IpPermissions=[
            {"IpProtocol": protocol, "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            for protocol, port in OPEN_PORTS
        ])
        self._subnets = []
        for number, zone in enumerate(zones):
            subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)
            self._subnets.append(subnet["Subnet"]["SubnetId"])
            ec2.modify_subnet_attribute(SubnetId=self._subnets[-1], MapPublicIpOnLaunch={"Value": True})
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
        table = ec2.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        return vpc

    def _group(self) -> None:
        ec2 = self._region.client("ec2")
        images = ec2.describe_images(Owners=["099720109477"], Filters=[
            {"Name": "name", "Values": ["ubuntu/images/*-24.04-amd64-server-*"]}])["Images"]
        ec2.create_launch_template(LaunchTemplateName="jitsi-launch-template", LaunchTemplateData={
            "ImageId": images[0]["ImageId"],
            "InstanceType": "t3.large",  # (f) its t2.micro cannot hold both Java programs
            "UserData": base64.b64encode(self._user_data().encode()).decode(),
            "NetworkInterfaces": [
                {"DeviceIndex": 0, "AssociatePublicIpAddress": True, "Groups": [self._security_group]}],
        })
        self._region.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=GROUP, MinSize=1, MaxSize=1, DesiredCapacity=1,
            LaunchTemplate={"LaunchTemplateName": "jitsi-launch-template", "Version": "1"},
            VPCZoneIdentifier=",".join(self._subnets), TargetGroupARNs=[self.target_group],
            HealthCheckType="EC2", HealthCheckGracePeriod=GRACE,
        )

    def _user_data(self) -> str:
        repositories = self._region.repositories()
        text = USER_DATA.replace("@domain@", self.domain)
        for name in ("jitsi", "prosody"):
            settings = repositories[name]
            text = text.replace(f"@{name}@", settings["url"]).replace(f"@{name}_key@", settings["key_url"])
        return text.replace("@jitsi_suite@", repositories["jitsi"]["suite"])

    def _balancer(self, certificate: Path) -> None:
        elb = self._region.client("elbv2")
        arn = self._region.client("acm").import_certificate(
            Certificate=(certificate / "cert.pem").read_bytes(),
            PrivateKey=(certificate / "privkey.pem").read_bytes(),
            CertificateChain=(certificate / "chain.pem").read_bytes(),
        )["CertificateArn"]
        balancer = elb.create_load_balancer(
            Name="jitsi-lb", Subnets=self._subnets, SecurityGroups=[self._security_group],
            Scheme="internet-facing", Type="application",
        )["LoadBalancers"][0]
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=443,
            Certificates=[{"CertificateArn": arn}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.target_group}],
        )
        self._region.put(f"names/{self.domain}", {"target": balancer["DNSName"]})
