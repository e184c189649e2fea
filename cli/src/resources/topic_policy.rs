//! Who may publish to the topic: EventBridge, CloudWatch for our alarms, and no other service; and that no key
//! shuts them out.

use anyhow::{Context, Result};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::monitoring::{ELB_5XX, HEALTHY_HOSTS, STATUS_CHECK, alarm_arn};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::{self, Permission},
    tags::Owner,
};

/// Who may publish to the topic.
pub struct Publishers;

const STATEMENTS: &str = "statements";
const ENCRYPTION: &str = "encryption";
/// The attribute that names the topic's key.
const KEY: &str = "KmsMasterKeyId";
/// AWS's own key for SNS, which lets in neither EventBridge nor `CloudWatch` (SNS developer guide, "Enable
/// compatibility between event sources from AWS services and encrypted topics").
const CLOSED: &str = "alias/aws/sns";
/// `Id` of the policy every new topic has.
const DEFAULT: &str = "__default_policy_ID";

#[async_trait]
impl Resource for Publishers {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let topic = || [names.arn("sns", names.deployment())];
        vec![
            Permission::read(&["sns:GetTopicAttributes"]).on(topic()),
            Permission::write(&["sns:SetTopicAttributes"]).on(topic()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(topic) = cx.id(&Key::Topic) else { return Ok(Vec::new()) };
        let answer = cx
            .aws
            .sns
            .get_topic_attributes()
            .topic_arn(&topic)
            .send()
            .await
            .unless(&["NotFound"], "reading the policy of our topic")?;
        let Some(answer) = answer else { return Ok(Vec::new()) };
        let attribute = |name| answer.attributes().and_then(|attributes| attributes.get(name));
        let policy = attribute("Policy");
        let policy = policy.map(|text| serde_json::from_str(text)).transpose();
        let policy: Value = policy.context("the topic's policy is not JSON")?.unwrap_or_default();
        if policy["Id"] == DEFAULT {
            return Ok(Vec::new());
        }
        let mut found = Found::new(&topic, Owner::Ours);
        found.drift.extend(policy::drift(STATEMENTS, &policy, &document(&cx.names, &topic)));
        match attribute(KEY) {
            Some(key) if key.ends_with(CLOSED) => {
                found.compare(
                    ENCRYPTION,
                    format!("{key}, which lets no alarm and no event in"),
                    "none",
                );
            }
            // None is empty where it was turned off.
            Some(key) if !key.is_empty() => found.warnings.push(shut_out(key)),
            _ => {}
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let topic = cx.need(&Key::Topic)?;
        let policy = document(&cx.names, &topic).to_string();
        set(cx, &topic, "Policy", &policy, "setting the policy of").await?;
        Ok(topic)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        if found.drifted(STATEMENTS) {
            self.create(cx).await?;
        }
        if found.drifted(ENCRYPTION) {
            // Empty is none.
            set(cx, &found.id, KEY, "", "turning off the encryption of").await?;
        }
        Ok(())
    }

    async fn delete(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // goes with the topic; a topic cannot be without a policy
    }
}

async fn set(cx: &Cx, topic: &str, name: &str, value: &str, doing: &str) -> Result<()> {
    let call = cx.aws.sns.set_topic_attributes().topic_arn(topic).attribute_name(name);
    let answer = call.attribute_value(value).send().await;
    answer.doing(format!("{doing} topic `{}`", cx.names.deployment()))?;
    Ok(())
}

/// What an operator's own key does: who lets the services in knows why, and the instance's role has no right to it.
fn shut_out(key: &str) -> String {
    format!(
        "the topic is encrypted with somebody's key {key}: mail comes only of what that key's policy lets in \
         (events.amazonaws.com, cloudwatch.amazonaws.com), and none of what the instance itself has to say"
    )
}

/// The account's own users and roles need no statement: within an account their IAM policies do.
/// CloudWatch is held to our alarms (IAM user guide, "The confused deputy problem"). EventBridge tells
/// SNS neither source account nor ARN, so that a condition would silence it (EventBridge user guide,
/// "Troubleshooting": no `Condition` in topic policies).
fn document(names: &Names, topic: &str) -> Value {
    let publish = |sid: &str, service: &str| {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": "sns:Publish",
            "Resource": topic,
        })
    };
    let sources = [HEALTHY_HOSTS, ELB_5XX, STATUS_CHECK].map(|name| alarm_arn(names, name));
    let mut alarms = publish("Alarms", "cloudwatch.amazonaws.com");
    alarms["Condition"] = json!({
        "StringEquals": { "aws:SourceAccount": names.account() },
        "ArnLike": { "aws:SourceArn": sources },
    });
    json!({
        "Version": "2012-10-17",
        "Id": "jitsi-aws",
        "Statement": [publish("Rules", "events.amazonaws.com"), alarms],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_alarms_only_ours_may_publish() {
        let names = Names::new("jitsi", "cn-north-1", "123456789012");
        let document = document(&names, "arn:aws-cn:sns:cn-north-1:123456789012:jitsi");
        let condition = &document["Statement"][1]["Condition"];
        assert_eq!(condition["StringEquals"]["aws:SourceAccount"], "123456789012");
        assert_eq!(
            condition["ArnLike"]["aws:SourceArn"][1],
            "arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:jitsi-elb-5xx"
        );
    }
}
