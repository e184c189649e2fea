"""Policies count for instances with a role as they do on AWS: with the thing, its tags and the request looked at."""

import json

import pytest
from botocore.exceptions import ClientError

TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
TOPIC, PARAMETER = "arn:aws:sns:eu-central-1:123456789012:{}", "arn:aws:ssm:eu-central-1:123456789012:parameter/{}"


def instance(sandbox, *statements):
    """Makes clients with the credentials of a role that may do this."""
    iam = sandbox.client("iam")
    role = iam.create_role(RoleName="instance", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    allowed = [{"Effect": "Allow", "Action": action, "Resource": on, "Condition": when}
               for action, on, when in statements]
    iam.put_role_policy(RoleName="instance", PolicyName="may", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": allowed}))
    key = sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="i-1")["Credentials"]
    return lambda service: sandbox.client_of(
        service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key["SessionToken"])


def refused(call, **arguments) -> str:
    """What AWS says; the call must be refused."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Message"]


def test_an_instance_does_what_its_role_may_and_nothing_else(sandbox):
    for name in ("ours", "theirs"):
        sandbox.client("sns").create_topic(Name=name)
    sns = instance(sandbox, ("sns:Publish", TOPIC.format("ours"), {}))("sns")
    sns.publish(TopicArn=TOPIC.format("ours"), Message="up")
    said = refused(sns.publish, TopicArn=TOPIC.format("theirs"), Message="up")
    assert "assumed-role/instance/i-1 is not authorized to perform: sns:Publish on resource: " in said
    sandbox.plane.control("PUT", "iam", {"enforced": False})
    try:
        sns.publish(TopicArn=TOPIC.format("theirs"), Message="up")
    finally:
        sandbox.plane.control("PUT", "iam", {"enforced": True})


def test_a_secret_of_the_operators_own_key_takes_the_right_to_decrypt(sandbox):
    kms, ssm = sandbox.client("kms"), sandbox.client("ssm")
    kms.create_alias(AliasName="alias/own", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    for name, key in (("/meet/token", "alias/own"), ("/meet/other", "alias/own"), ("/meet/plain", "alias/aws/ssm")):
        ssm.put_parameter(Name=name, Value="x", Type="SecureString", KeyId=key)
    context = {"StringLike": {"kms:EncryptionContext:PARAMETER_ARN": [PARAMETER.format("meet/token")]}}
    read = instance(
        sandbox, ("ssm:GetParameter", PARAMETER.format("meet/*"), {}),
        ("kms:Decrypt", "arn:aws:kms:eu-central-1:123456789012:key/*", context))("ssm").get_parameter
    read(Name="/meet/token", WithDecryption=True)
    read(Name="/meet/plain", WithDecryption=True)
    assert "kms:Decrypt" in refused(read, Name="/meet/other", WithDecryption=True)


def test_a_tag_of_another_name_is_refused(sandbox):
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["launches"]}}
    group = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/jitsi"
    autoscaling = instance(sandbox, ("autoscaling:CreateOrUpdateTags", group, only))("autoscaling")
    tag = {"ResourceId": "jitsi", "ResourceType": "auto-scaling-group", "Value": "1", "PropagateAtLaunch": False}
    assert "CreateOrUpdateTags" in refused(autoscaling.create_or_update_tags, Tags=[{**tag, "Key": "owner"}])
    assert "CreateOrUpdateTags" in refused(
        autoscaling.create_or_update_tags, Tags=[{**tag, "Key": "launches", "ResourceId": "another"}])
