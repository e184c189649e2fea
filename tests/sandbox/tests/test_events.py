"""Events, mail, alarms."""

from deployment import Site

from region.events import at_path, may_publish, render, target_input
from region.health import CheckResult

TOPIC = "arn:aws:sns:eu-central-1:123456789012:site"
RULE = "arn:aws:events:eu-central-1:123456789012:rule/site"


def statement(**changes):
    base = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish",
            "Resource": TOPIC}
    return {"Statement": [base | changes]}


def test_topic_policy_decides():
    def allowed(policy):
        return may_publish(policy, "events.amazonaws.com", TOPIC, RULE, "123456789012")

    assert allowed(statement())
    assert not allowed(statement(Principal={"Service": "cloudwatch.amazonaws.com"}))
    assert not allowed(statement(Principal={"AWS": "*"}))
    assert not allowed(statement(Action="sns:Subscribe"))
    assert allowed(statement(Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}}))
    assert not allowed(statement(Condition={"StringEquals": {"aws:SourceAccount": "210987654321"}}))
    assert allowed(statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/si*"}}))
    assert not allowed(statement(Condition={"ArnEquals": {"aws:SourceArn": RULE + "x"}}))


def test_template_is_bare_in_strings_and_json_outside():
    values = {"id": "i-1", "detail": {"a": 1}, "text": 'say "hi"'}
    assert render('"gone: <id>"', values) == '"gone: i-1"'
    assert render('{"id": <id>, "detail": <detail>}', values) == '{"id": "i-1", "detail": {"a": 1}}'
    assert render('"<text>"', values) == '"say \\"hi\\""'
    assert render("<unknown>", values) == "<unknown>"


def test_paths_and_target_inputs():
    event = {"time": "t", "resources": ["arn"], "detail": {"instance-id": "i-1"}}
    assert at_path(event, "$.detail.instance-id") == "i-1"
    assert at_path(event, "$.resources[0]") == "arn"
    assert at_path(event, "$.detail.nothing") is None
    assert target_input({"Input": "constant"}, event, RULE) == "constant"
    assert target_input({"InputPath": "$.detail"}, event, RULE) == '{"instance-id": "i-1"}'
    transformer = {"InputTemplate": '"<aws.events.rule-name>"'}
    assert target_input({"InputTransformer": transformer}, event, RULE) == '"site"'


def test_mail_comes_only_after_confirmation(sandbox):
    sandbox.plane.world.delays.subscription = -1
    site = Site(sandbox, hooks=False)
    topic = site.mail_about({"source": ["aws.ec2"], "detail": {"state": ["terminated"]}})
    sns = sandbox.client("sns")
    rows = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [r["SubscriptionArn"] for r in rows] == ["PendingConfirmation"]
    instance = site.in_service()
    site.ec2.terminate_instances(InstanceIds=[instance])
    sandbox.after(3)
    assert sandbox.subjects() == ["AWS Notification - Subscription Confirmation"]
    token = sandbox.bodies().split("Token=")[1].split()[0]
    sns.confirm_subscription(TopicArn=topic, Token=token)
    instance = site.members()[-1]["InstanceId"]
    sandbox.after(3)
    site.ec2.terminate_instances(InstanceIds=[instance])
    sandbox.after(3)
    assert sandbox.subjects()[1:] == ["AWS Notification Message"]


def test_without_a_policy_nothing_is_mailed_and_the_reason_is_kept(sandbox):
    site = Site(sandbox, hooks=False)
    site.mail_about({"source": ["aws.ec2"]}, principal="cloudwatch.amazonaws.com")
    site.in_service()
    assert len(sandbox.subjects()) == 1
    assert "does not let events.amazonaws.com publish" in sandbox.plane.events.undelivered[0]


def test_alarm_on_healthy_hosts_mails_and_recovers(sandbox):
    site = Site(sandbox, hooks=False, health_type="EC2")
    topic = site.mail_about({"source": ["nothing"]}, principal="cloudwatch.amazonaws.com")
    sandbox.client("cloudwatch").put_metric_alarm(
        AlarmName="hosts", Namespace="AWS/ApplicationELB", MetricName="HealthyHostCount",
        Dimensions=[
            {"Name": "TargetGroup", "Value": site.target_group.split(":")[-1]},
            {"Name": "LoadBalancer", "Value": site.balancer.split(":loadbalancer/")[-1]},
        ],
        Statistic="Minimum", Period=60, EvaluationPeriods=2, Threshold=1,
        ComparisonOperator="LessThanThreshold", TreatMissingData="breaching",
        AlarmActions=[topic], OKActions=[topic],
    )
    site.in_service()
    state = sandbox.client("cloudwatch").describe_alarms()["MetricAlarms"][0]["StateValue"]
    assert state in ("OK", "INSUFFICIENT_DATA", "ALARM")
    sandbox.health = CheckResult(False, "Target.Timeout", "Request timed out")
    # Metrics carry wall-clock time: the plane's own evaluation is driven with it.
    from datetime import UTC, datetime, timedelta

    start, alarms = datetime.now(UTC), sandbox.plane.alarms
    moved = [0]
    alarms._wall = lambda: start + timedelta(seconds=moved[0])
    try:
        for good in (True, False):
            sandbox.health = CheckResult(good, "Target.Timeout", "Request timed out")
            for _ in range(30):
                moved[0] += 1
                sandbox.after(1)
            wanted = "OK" if good else "ALARM"
            assert sandbox.client("cloudwatch").describe_alarms()["MetricAlarms"][0]["StateValue"] == wanted
    finally:
        alarms._wall = lambda: datetime.now(UTC)
    assert any(s.startswith('ALARM: "hosts"') for s in sandbox.subjects())
