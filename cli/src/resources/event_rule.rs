//! EventBridge rules: mail when the group launches or terminates its instance, or fails to. The
//! group's own events, because EC2's state changes cannot be narrowed to one deployment.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use aws_sdk_eventbridge::types::{InputTransformer, RuleState, Tag, Target};
use serde_json::{Value, json};

use super::{difference::compare_document, monitoring::topic_arn};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    names::Names,
    policy::Permission,
    tag_list, tags,
};

/// A rule and its one target, the topic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EventRule {
    /// An instance is, was or could not be terminated.
    Termination,
    /// An instance is, was or could not be launched.
    Launch,
}

const NOT_FOUND: [&str; 1] = ["ResourceNotFoundException"];
const PATTERN: &str = "event pattern";
const STATE: &str = "state";
const TARGET: &str = "target";
const TARGET_ID: &str = "mail";

/// What is taken from an event. A lifecycle action has no cause, a success no status message: what an
/// event lacks is left empty in the mail.
const PATHS: [(&str, &str); 5] = [
    ("what", "$.detail-type"),
    ("instance", "$.detail.EC2InstanceId"),
    ("time", "$.time"),
    ("cause", "$.detail.Cause"),
    ("status", "$.detail.StatusMessage"),
];

impl EventRule {
    fn suffix(self) -> &'static str {
        match self {
            Self::Termination => "termination",
            Self::Launch => "launch",
        }
    }

    /// Amazon EC2 Auto Scaling user guide, "Amazon EC2 Auto Scaling events reference".
    fn pattern(self, cx: &Cx) -> Value {
        let kinds = match self {
            Self::Termination => [
                "EC2 Instance-terminate Lifecycle Action",
                "EC2 Instance Terminate Successful",
                "EC2 Instance Terminate Unsuccessful",
            ],
            Self::Launch => [
                "EC2 Instance-launch Lifecycle Action",
                "EC2 Instance Launch Successful",
                "EC2 Instance Launch Unsuccessful",
            ],
        };
        json!({
            "source": ["aws.autoscaling"],
            "detail-type": kinds,
            "detail": { "AutoScalingGroupName": [cx.names.deployment()] },
        })
    }

    /// The mail's text: lines that are JSON strings each, as a template of several lines must be
    /// (EventBridge user guide, "Input transformation").
    fn text(self, deployment: &str, domain: &str) -> String {
        let meaning = match self {
            Self::Termination => {
                "A terminated instance is replaced by itself. Until the new one serves, nobody can \
                 meet; running meetings go on there once browsers have reloaded."
            }
            Self::Launch => {
                "A new instance installs itself and holds a test meeting before it serves; one that \
                 cannot says why in a mail of its own and is replaced. Without such a mail its console \
                 tells: aws ec2 get-console-output --output text --instance-id <instance>"
            }
        };
        [
            &format!("Jitsi Meet on {domain} (deployment {deployment}): <what>."),
            "Instance: <instance>",
            "Time: <time>",
            "Cause: <cause> <status>",
            meaning,
            "To see whether one can meet: jitsi-aws probe",
        ]
        .map(|line| format!("\"{line}\""))
        .join("\n")
    }

    fn target(self, cx: &Cx, topic: &str) -> Result<Target> {
        let text = self.text(cx.names.deployment(), cx.config.domain.as_str());
        let mut input = InputTransformer::builder().input_template(text);
        for (name, path) in PATHS {
            input = input.input_paths_map(name, path);
        }
        Ok(Target::builder().id(TARGET_ID).arn(topic).input_transformer(input.build()?).build()?)
    }

    async fn put_rule(self, cx: &Cx, tags: Option<Vec<Tag>>) -> Result<()> {
        let name = self.name(cx);
        cx.aws
            .eventbridge
            .put_rule()
            .name(&name)
            .description(match self {
                Self::Termination => "Mail when the instance is terminated",
                Self::Launch => "Mail when an instance is launched",
            })
            .event_pattern(self.pattern(cx).to_string())
            .state(RuleState::Enabled)
            .set_tags(tags)
            .send()
            .await
            .doing(format!("setting EventBridge rule `{name}`"))?;
        Ok(())
    }

    async fn put_target(self, cx: &Cx) -> Result<()> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .eventbridge
            .put_targets()
            .rule(&name)
            .targets(self.target(cx, &cx.need(&Key::Topic)?)?)
            .send()
            .await
            .doing(format!("pointing EventBridge rule `{name}` at our topic"))?;
        // Some failures come with status 200 (`PutTargets`).
        let failed = answer.failed_entries().first();
        let why = failed.and_then(|entry| entry.error_message()).unwrap_or("no reason given");
        ensure!(answer.failed_entry_count() == 0, "EventBridge rule `{name}` got no target: {why}");
        Ok(())
    }
}

#[async_trait]
impl Resource for EventRule {
    fn name(&self, cx: &Cx) -> String {
        cx.names.with(self.suffix())
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let rule = || [names.arn("events", &format!("rule/{}", names.with(self.suffix())))];
        vec![
            Permission::read(&[
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
            ])
            .on(rule()),
            Permission::write(&[
                "events:PutRule",
                "events:TagResource",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:DeleteRule",
            ])
            .on(rule()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let events = &cx.aws.eventbridge;
        let looking = format!("looking for EventBridge rule `{name}`");
        let rule = events.describe_rule().name(&name).send().await.unless(&NOT_FOUND, &looking)?;
        let Some(rule) = rule else { return Ok(Vec::new()) };
        let tags = events
            .list_tags_for_resource()
            .resource_arn(rule.arn().unwrap_or_default())
            .send()
            .await
            .doing(&looking)?;
        let tags = tags.tags().iter().map(|tag| (tag.key(), tag.value()));
        let targets = events.list_targets_by_rule().rule(&name).send().await.doing(&looking)?;

        let mut found = Found::new(&name, tags::owner(&cx.names, tags));
        let state = rule.state().map_or("unknown", RuleState::as_str);
        found.compare(STATE, state, RuleState::Enabled);
        let pattern = rule.event_pattern().unwrap_or_default();
        // AWS keeps it as it was sent, spaces included; what is no JSON is not ours.
        let pattern = serde_json::from_str(pattern).unwrap_or_else(|_| Value::from(pattern));
        compare_document(&mut found, PATTERN, &pattern.to_string(), &self.pattern(cx).to_string());
        let ours = self.target(cx, &topic_arn(&cx.names))?;
        if !targets.targets().contains(&ours) {
            let actual = targets.targets().iter().find(|target| target.id() == TARGET_ID);
            let actual = actual.map(told).unwrap_or_default();
            compare_document(&mut found, TARGET, &actual, &told(&ours));
            if !found.drifted(TARGET) {
                found.compare(TARGET, "with other settings", "ours");
            }
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let tags = tag_list!(cx, Stage::Monitoring, &name, fallible Tag)?;
        self.put_rule(cx, Some(tags)).await?;
        self.put_target(cx).await?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        if found.drifted(STATE) || found.drifted(PATTERN) {
            self.put_rule(cx, None).await?;
        }
        if found.drifted(TARGET) {
            self.put_target(cx).await?;
        }
        Ok(())
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let call = cx.aws.eventbridge.list_targets_by_rule().rule(&found.id);
        let doing = format!("listing the targets of EventBridge rule `{}`", found.id);
        let answer = call.send().await.unless(&NOT_FOUND, doing)?;
        let targets = answer.and_then(|answer| answer.targets).unwrap_or_default().into_iter();
        let others = targets.filter(|target| target.id() != TARGET_ID);
        Ok(others.map(|target| format!("the target `{}`, {}", target.id(), target.arn())).collect())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let name = &found.id;
        let events = &cx.aws.eventbridge;
        let deleting = format!("deleting EventBridge rule `{name}`");
        // A rule with targets cannot be deleted, whoever added them (`DeleteRule`).
        let targets =
            events.list_targets_by_rule().rule(name).send().await.unless(&NOT_FOUND, &deleting)?;
        let Some(targets) = targets else { return Ok(()) };
        let ids: Vec<String> =
            targets.targets().iter().map(|target| target.id().to_owned()).collect();
        if !ids.is_empty() {
            let answer = events
                .remove_targets()
                .rule(name)
                .set_ids(Some(ids))
                .send()
                .await
                .unless(&NOT_FOUND, &deleting)?;
            let failed = answer.map_or(0, |answer| answer.failed_entry_count());
            ensure!(failed == 0, "EventBridge rule `{name}` kept {failed} of its targets");
        }
        events.delete_rule().name(name).send().await.unless(&NOT_FOUND, &deleting)?;
        Ok(())
    }
}

/// A target in words: the mail it makes, and where that goes.
fn told(target: &Target) -> String {
    let text = target.input_transformer().map_or("", InputTransformer::input_template);
    format!("{text}\nto {}", target.arn())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_a_mail_is_taken_from_the_event() {
        for rule in [EventRule::Termination, EventRule::Launch] {
            let text = rule.text("jitsi", "meet.example.org");
            assert!(text.len() < 8_192, "limit of InputTemplate");
            for part in text.split('<').skip(1) {
                let name = part.split('>').next().unwrap_or_default();
                assert!(PATHS.iter().any(|(known, _)| *known == name), "<{name}>");
            }
            for line in text.lines() {
                serde_json::from_str::<String>(line).expect("each line is a JSON string");
            }
        }
    }
}
