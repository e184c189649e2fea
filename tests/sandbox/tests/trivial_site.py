"""A deployment with real instances whose whole software is one small HTTPS server in the user-data."""

import base64
import json
import time

import boto3

HOOK = "launching"
USER_DATA = r"""#!/bin/bash
# Serves /healthz and an echo after a WebSocket handshake on 443, then completes the launch lifecycle action.
set -eu
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=instance \
  -keyout /etc/ssl/site.key -out /etc/ssl/site.crt 2>/dev/null
cat > /usr/local/bin/site <<'PYTHON'
import base64, hashlib, http.server, json, os, ssl, threading, socket
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        if self.headers.get("Upgrade"):
            key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key).digest())
            self.connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                    b"Upgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            while data := self.connection.recv(4096):
                self.connection.sendall(data)
            self.close_connection = True
            return
        bad = self.path == "/healthz" and os.path.exists("/run/unhealthy")
        seen = {k: self.headers.get(k) for k in ("X-Forwarded-For", "X-Forwarded-Proto", "Host")}
        body = json.dumps({"host": socket.gethostname(), "seen": seen}).encode()
        self.send_response(503 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
def echo():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 10000))
    while True:
        data, peer = s.recvfrom(2048)
        s.sendto(data + b" from " + peer[0].encode(), peer)
threading.Thread(target=echo, daemon=True).start()
server = http.server.ThreadingHTTPServer(("", 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/ssl/site.crt", "/etc/ssl/site.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
PYTHON
systemd-run --unit=site --property=Restart=no python3 /usr/local/bin/site
md=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' $md/api/token)
get() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$md/meta-data/$1"; }
id=$(get instance-id); region=$(get placement/region); role=$(get iam/security-credentials/)
credentials=$(get "iam/security-credentials/$role")
field() { printf '%s' "$credentials" | python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"; }
curl -sf --aws-sigv4 "aws:amz:$region:autoscaling" --user "$(field AccessKeyId):$(field SecretAccessKey)" \
  -H "X-Amz-Security-Token: $(field Token)" "$AWS_ENDPOINT_URL/" \
  --data-urlencode Action=CompleteLifecycleAction --data-urlencode Version=2011-01-01 \
  --data-urlencode AutoScalingGroupName=GROUP --data-urlencode LifecycleHookName=launching \
  --data-urlencode "InstanceId=$id" --data-urlencode LifecycleActionResult=RESULT
"""
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


class TrivialSite:
    """Network, certificate, load balancer, group; everything named after the site."""

    def __init__(self, endpoint: str, certificate: tuple[bytes, bytes]) -> None:
        self.name, self._endpoint = "trivial", endpoint
        ec2, elb = self.client("ec2"), self.client("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        self.subnets = []
        for n, zone in enumerate("ab"):
            subnet = ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.20.{n}.0/24", AvailabilityZone=f"eu-central-1{zone}"
            )["Subnet"]["SubnetId"]
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
            self.subnets.append(subnet)
        self.balancer_group = self._group(vpc, "balancer")
        self.instance_group = self._group(vpc, "instance")
        self.allow(self.balancer_group, "tcp", 80, cidr="0.0.0.0/0")
        self.allow(self.balancer_group, "tcp", 443, cidr="0.0.0.0/0")
        self.allow(self.instance_group, "tcp", 443, group=self.balancer_group)
        self.allow(self.instance_group, "udp", 10000, cidr="0.0.0.0/0")
        self._role()
        arn = self.client("acm").import_certificate(Certificate=certificate[0], PrivateKey=certificate[1])
        self.target_group = elb.create_target_group(
            Name=self.name, Protocol="HTTPS", Port=443, VpcId=vpc, HealthCheckProtocol="HTTPS",
            HealthCheckPath="/healthz", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2, UnhealthyThresholdCount=2, Matcher={"HttpCode": "200"},
        )["TargetGroups"][0]["TargetGroupArn"]
        self.set_drain(8)
        balancer = elb.create_load_balancer(
            Name=self.name, Subnets=self.subnets, SecurityGroups=[self.balancer_group]
        )["LoadBalancers"][0]
        self.balancer, self.dns_name = balancer["LoadBalancerArn"], balancer["DNSName"]
        elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTPS", Port=443,
            Certificates=[{"CertificateArn": arn["CertificateArn"]}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.target_group}],
        )
        elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "redirect", "RedirectConfig": {
                "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}],
        )
        self._mail()
        self._launch()

    def client(self, service: str):
        return boto3.client(service, region_name="eu-central-1", endpoint_url=self._endpoint,
                            aws_access_key_id="test", aws_secret_access_key="test")

    def _group(self, vpc: str, name: str) -> str:
        return self.client("ec2").create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]

    def allow(self, to: str, protocol: str, port: int, cidr: str | None = None, group: str | None = None) -> None:
        self.client("ec2").authorize_security_group_ingress(GroupId=to, IpPermissions=[
            self._permission(protocol, port, cidr, group)])

    def forbid(self, to: str, protocol: str, port: int, cidr: str) -> None:
        self.client("ec2").revoke_security_group_ingress(GroupId=to, IpPermissions=[
            self._permission(protocol, port, cidr, None)])

    @staticmethod
    def _permission(protocol: str, port: int, cidr: str | None, group: str | None) -> dict:
        source = {"IpRanges": [{"CidrIp": cidr}]} if cidr else {"UserIdGroupPairs": [{"GroupId": group}]}
        return {"IpProtocol": protocol, "FromPort": port, "ToPort": port, **source}

    def _role(self) -> None:
        iam = self.client("iam")
        iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(TRUST))
        may = {"Effect": "Allow", "Action": "autoscaling:CompleteLifecycleAction", "Resource": "*"}
        iam.put_role_policy(RoleName=self.name, PolicyName="hook", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [may]}))
        iam.create_instance_profile(InstanceProfileName=self.name)
        iam.add_role_to_instance_profile(InstanceProfileName=self.name, RoleName=self.name)

    def _mail(self) -> None:
        sns, events = self.client("sns"), self.client("events")
        topic = sns.create_topic(Name=self.name)["TopicArn"]
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "cloudwatch.amazonaws.com"]},
             "Action": "sns:Publish", "Resource": topic}]}
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy))
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.org")
        events.put_rule(Name=self.name, EventPattern=json.dumps({"source": ["aws.autoscaling"]}))
        events.put_targets(Rule=self.name, Targets=[{"Id": "mail", "Arn": topic, "InputTransformer": {
            "InputPathsMap": {"kind": "$.detail-type", "id": "$.detail.EC2InstanceId", "cause": "$.detail.Cause"},
            "InputTemplate": '"<kind>: <id> <cause>"'}}])

    def template_data(self, result: str = "CONTINUE") -> dict:
        images = self.client("ec2").describe_images(
            Owners=["136693071363"], Filters=[{"Name": "name", "Values": ["debian-13-amd64-*"]}],
        )["Images"]
        text = USER_DATA.replace("GROUP", self.name).replace("RESULT", result)
        return {
            "ImageId": images[0]["ImageId"], "InstanceType": "t3.large",
            "UserData": base64.b64encode(text.encode()).decode(),
            "IamInstanceProfile": {"Name": self.name},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": True,
                                   "Groups": [self.instance_group]}],
        }

    def _launch(self) -> None:
        self.client("ec2").create_launch_template(
            LaunchTemplateName=self.name, LaunchTemplateData=self.template_data()
        )
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=self.name, MinSize=1, MaxSize=1, DesiredCapacity=1,
            LaunchTemplate={"LaunchTemplateName": self.name, "Version": "$Latest"},
            VPCZoneIdentifier=",".join(self.subnets), TargetGroupARNs=[self.target_group],
            HealthCheckType="ELB", HealthCheckGracePeriod=10,
            LifecycleHookSpecificationList=[{
                "LifecycleHookName": HOOK, "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
                "HeartbeatTimeout": 300, "DefaultResult": "ABANDON"}],
        )

    def set_drain(self, seconds: int) -> None:
        self.client("elbv2").modify_target_group_attributes(
            TargetGroupArn=self.target_group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}],
        )

    def members(self) -> list[dict]:
        groups = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return groups["AutoScalingGroups"][0]["Instances"]

    def target_states(self) -> dict[str, str]:
        rows = self.client("elbv2").describe_target_health(TargetGroupArn=self.target_group)
        return {r["Target"]["Id"]: r["TargetHealth"]["State"] for r in rows["TargetHealthDescriptions"]}

    def healthy(self, other_than: str | None = None) -> str | None:
        """An instance that is in service and healthy, and another one than given."""
        states = self.target_states()
        for member in self.members():
            instance = member["InstanceId"]
            if instance != other_than and member["LifecycleState"] == "InService" \
                    and states.get(instance) == "healthy":
                return instance
        return None

    def describe(self, instance: str) -> dict:
        return self.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def wait_for(what: str, ask, seconds: float = 120):
    """Asks twice a second until the answer is true; the last resort of tests with real machines."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s: {what}")
