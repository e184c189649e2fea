//! The Auto Scaling group's lifecycle hooks: heartbeats while there is work, one completion at the
//! end. An answer that was lost, or a hook somebody else completed, is no failure.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use aws_sdk_autoscaling::types::{Filter, Tag};
use serde::{Deserialize, Serialize};

use crate::advice::Advice;
use crate::aws;

/// Time between heartbeats: the shortest heartbeat timeout AWS accepts is 30 s, and one may be lost.
pub const HEARTBEAT: Duration = Duration::from_mins(1);

/// What a hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Go on.
    Continue,
    /// Give this instance up; on termination it means the same as [`Outcome::Continue`].
    Abandon,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Abandon => "ABANDON",
        }
    }
}

/// What came of telling the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It heard.
    Now,
    /// No action waits for an answer: it was completed before, ran out, has not begun, or this
    /// instance belongs to no group.
    NothingWaits,
}

/// The hooks of one Auto Scaling group, seen from one instance.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    client: Client,
    group: String,
    instance_id: String,
}

impl Lifecycle {
    /// The hooks of `group` for `instance_id`.
    pub fn new(config: &SdkConfig, group: &str, instance_id: &str) -> Self {
        Self {
            client: Client::new(config),
            group: group.to_owned(),
            instance_id: instance_id.to_owned(),
        }
    }

    /// Tells `hook` the outcome.
    pub async fn complete(&self, hook: &str, outcome: Outcome) -> Result<Told> {
        let answer = self
            .client
            .complete_lifecycle_action()
            .lifecycle_hook_name(hook)
            .auto_scaling_group_name(&self.group)
            .instance_id(&self.instance_id)
            .lifecycle_action_result(outcome.as_str())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Told::Now),
            Err(error) if nothing_waits(error.code(), error.message()) => Ok(Told::NothingWaits),
            Err(error) => Err(aws::service(error)).with_context(|| {
                Advice::new(
                    format!("telling the hook `{hook}` of `{}` {}", self.group, outcome.as_str()),
                    format!(
                        "aws autoscaling complete-lifecycle-action --lifecycle-hook-name {hook} \
                         --auto-scaling-group-name {} --instance-id {} \
                         --lifecycle-action-result {}",
                        self.group,
                        self.instance_id,
                        outcome.as_str()
                    ),
                )
            }),
        }
    }

    /// The value of the group's tag `key`.
    pub async fn tag(&self, key: &str) -> Result<Option<String>> {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let answer = self
            .client
            .describe_tags()
            .filters(filter("auto-scaling-group", &self.group))
            .filters(filter("key", key))
            .send()
            .await
            .map_err(aws::service)
            .with_context(|| format!("reading the tag `{key}` of `{}`", self.group))?;
        let found = answer.tags.unwrap_or_default().into_iter();
        Ok(found
            .filter(|tag| tag.key() == Some(key) && tag.resource_id() == Some(&*self.group))
            .find_map(|tag| tag.value))
    }

    /// Sets the group's tag `key`, or removes it. Instances do not inherit it.
    pub async fn set_tag(&self, key: &str, value: Option<&str>) -> Result<()> {
        let tag = Tag::builder()
            .resource_id(&self.group)
            .resource_type("auto-scaling-group")
            .key(key)
            .set_value(value.map(str::to_owned))
            .propagate_at_launch(false)
            .build();
        let done = if value.is_some() {
            let request = self.client.create_or_update_tags().tags(tag);
            request.send().await.map(drop).map_err(aws::service)
        } else {
            let request = self.client.delete_tags().tags(tag);
            request.send().await.map(drop).map_err(aws::service)
        };
        done.with_context(|| format!("setting the tag `{key}` of `{}`", self.group))
    }

    /// Asks `hook` for more time.
    pub async fn heartbeat(&self, hook: &str) -> Result<Told> {
        let answer = self
            .client
            .record_lifecycle_action_heartbeat()
            .lifecycle_hook_name(hook)
            .auto_scaling_group_name(&self.group)
            .instance_id(&self.instance_id)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Told::Now),
            Err(error) if nothing_waits(error.code(), error.message()) => Ok(Told::NothingWaits),
            Err(error) => Err(aws::service(error))
                .with_context(|| format!("heartbeat to the hook `{hook}` of `{}`", self.group)),
        }
    }
}

/// AWS says `ValidationError: No active Lifecycle Action found with instance ID i-…`; the same code
/// with other words is a mistake of ours (no such hook, no such group).
fn nothing_waits(code: Option<&str>, message: Option<&str>) -> bool {
    code == Some("ValidationError")
        && message.is_some_and(|m| m.to_ascii_lowercase().contains("no active lifecycle action"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_action_is_taken_as_done() {
        let said = "No active Lifecycle Action found with instance ID i-0123456789abcdef0";
        assert!(nothing_waits(Some("ValidationError"), Some(said)));
        assert!(!nothing_waits(Some("ValidationError"), Some("AutoScalingGroup name not found")));
        assert!(!nothing_waits(Some("AccessDenied"), Some(said)));
        assert!(!nothing_waits(None, None));
    }
}
