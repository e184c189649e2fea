//! The SNS topic: alarms and events go in, mail comes out.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_sns::types::Tag;

use super::{monitoring::topic_arn, subscription};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Resource, Stage},
    names::Names,
    policy::Permission,
    tag_list, tags,
};

/// The topic of the deployment.
pub struct MailTopic;

#[async_trait]
impl Resource for MailTopic {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let topic = || [topic_arn(names)];
        vec![
            Permission::read(&["sns:ListTagsForResource"]).on(topic()),
            Permission::write(&["sns:CreateTopic", "sns:TagResource"])
                .on(topic())
                .tagging_ours(names),
            Permission::write(&["sns:DeleteTopic"]).on(topic()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let arn = topic_arn(&cx.names);
        let answer = cx
            .aws
            .sns
            .list_tags_for_resource()
            .resource_arn(&arn)
            .send()
            .await
            .unless(&["ResourceNotFound", "NotFound"], "looking for our topic")?;
        Ok(answer
            .map(|answer| {
                let tags = answer.tags().iter().map(|tag| (tag.key(), tag.value()));
                Found::new(&arn, tags::owner(&cx.names, tags))
            })
            .into_iter()
            .collect())
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .sns
            .create_topic()
            .name(&name)
            // The sender people see in their mail; one given by hand may stay.
            .attributes("DisplayName", format!("Jitsi {name}"))
            .set_tags(Some(tag_list!(cx, Stage::Monitoring, &name, fallible Tag)?))
            .send()
            .await
            .doing(format!("creating topic `{name}`"))?;
        answer.topic_arn.context("AWS named no topic ARN")
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // nothing of it can differ
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        subscription::of_others(cx, &found.id).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // Takes its policy and all subscriptions along; deleting twice is no error (`DeleteTopic`).
        cx.aws
            .sns
            .delete_topic()
            .topic_arn(&found.id)
            .send()
            .await
            .unless(&["NotFound"], format!("deleting topic `{}`", self.name(cx)))?;
        Ok(())
    }
}
