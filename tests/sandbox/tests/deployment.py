"""A deployment made with boto3 as any deployer would: network, target group, launch template, group."""

import json

LAUNCH, TERMINATE = "launching", "terminating"


class Site:
    """Ids of what was made, and the calls tests repeat."""

    def __init__(self, sandbox, *, hooks=True, delay=10, health_type="ELB") -> None:
        ec2, elb = sandbox.client("ec2"), sandbox.client("elbv2")
        self.sandbox, self.ec2, self.elb = sandbox, ec2, elb
        self.asg = sandbox.client("autoscaling")
        vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{n}.0/24", AvailabilityZone=f"eu-central-1{z}")[
                "Subnet"
            ]["SubnetId"]
            for n, z in enumerate("ab")
        ]
        self.group = ec2.create_security_group(GroupName="instance", Description="instance", VpcId=vpc)["GroupId"]
        self.target_group = elb.create_target_group(
            Name="site", Protocol="HTTPS", Port=443, VpcId=vpc, HealthCheckPath="/healthz",
            HealthCheckIntervalSeconds=5, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
            Matcher={"HttpCode": "200"},
        )["TargetGroups"][0]["TargetGroupArn"]
        elb.modify_target_group_attributes(
            TargetGroupArn=self.target_group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
        )
        image = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
        ec2.create_launch_template(
            LaunchTemplateName="site",
            LaunchTemplateData={
                "ImageId": image, "InstanceType": "t3.large",
                "NetworkInterfaces": [
                    {"DeviceIndex": 0, "AssociatePublicIpAddress": True, "Groups": [self.group]}
                ],
            },
        )
        self.balancer = elb.create_load_balancer(Name="site", Subnets=self.subnets, SecurityGroups=[self.group])[
            "LoadBalancers"
        ][0]["LoadBalancerArn"]
        elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.target_group}],
        )
        specifications = [
            {"LifecycleHookName": LAUNCH, "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
             "HeartbeatTimeout": 60, "DefaultResult": "ABANDON", "NotificationMetadata": "note"},
            {"LifecycleHookName": TERMINATE, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
             "HeartbeatTimeout": 60, "DefaultResult": "CONTINUE"},
        ]
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="site", MinSize=1, MaxSize=1, DesiredCapacity=1,
            LaunchTemplate={"LaunchTemplateName": "site", "Version": "$Latest"},
            VPCZoneIdentifier=",".join(self.subnets), TargetGroupARNs=[self.target_group],
            HealthCheckType=health_type, HealthCheckGracePeriod=10,
            LifecycleHookSpecificationList=specifications if hooks else [],
        )

    def members(self) -> list[dict]:
        return self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["site"])["AutoScalingGroups"][0][
            "Instances"
        ]

    def states(self) -> list[str]:
        return [m["LifecycleState"] for m in self.members()]

    def complete(self, hook: str, instance: str, result: str = "CONTINUE") -> None:
        self.asg.complete_lifecycle_action(
            AutoScalingGroupName="site", LifecycleHookName=hook, InstanceId=instance,
            LifecycleActionResult=result,
        )

    def in_service(self) -> str:
        """Waits for the first member and completes its launch hook."""
        self.sandbox.after(3)
        instance = self.members()[0]["InstanceId"]
        if self.states() == ["Pending:Wait"]:
            self.complete(LAUNCH, instance)
            self.sandbox.after(2)
        return instance

    def health(self, instance: str | None = None) -> list[str]:
        targets = [{"Id": instance}] if instance else []
        rows = self.elb.describe_target_health(TargetGroupArn=self.target_group, Targets=targets)
        return [r["TargetHealth"]["State"] for r in rows["TargetHealthDescriptions"]]

    def activities(self) -> list[dict]:
        return self.asg.describe_scaling_activities(AutoScalingGroupName="site")["Activities"]

    def mail_about(self, pattern: dict, *, principal="events.amazonaws.com", transformer=None) -> str:
        """A topic with a confirmed subscriber that gets the events matching `pattern`."""
        sns, events = self.sandbox.client("sns"), self.sandbox.client("events")
        topic = sns.create_topic(Name="site")["TopicArn"]
        statement = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sns:Publish",
                     "Resource": topic}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.org")
        events.put_rule(Name="site", EventPattern=json.dumps(pattern))
        target = {"Id": "mail", "Arn": topic}
        if transformer:
            target["InputTransformer"] = transformer
        events.put_targets(Rule="site", Targets=[target])
        return topic
