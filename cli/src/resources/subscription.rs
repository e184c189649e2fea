//! E-mail subscriptions: one per configured address, and those of addresses configured no longer.

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_sns::types;

use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    invocation::command,
    names::Names,
    policy::Permission,
    tags::Owner,
};

/// One address that gets mail.
pub struct Subscription {
    /// Who gets mail.
    pub address: String,
}

/// Addresses that no longer get mail.
pub struct FormerSubscribers;

const PROTOCOL: &str = "email";
/// What stands in place of the ARN until the address has confirmed (`ListSubscriptionsByTopic`).
const PENDING: &str = "PendingConfirmation";

#[async_trait]
impl Resource for Subscription {
    fn name(&self, _: &Cx) -> String {
        self.address.clone()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let topic = || [names.arn("sns", names.deployment())];
        vec![
            Permission::read(&["sns:ListSubscriptionsByTopic"]).on(topic()),
            Permission::write(&["sns:Subscribe"]).on(topic()),
            // Cannot be narrowed (Service Authorization Reference, "Amazon SNS").
            Permission::write(&["sns:Unsubscribe"]),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let all = subscriptions(cx).await?;
        Ok(all
            .iter()
            .filter(|subscription| subscription.endpoint() == Some(&self.address))
            .map(|subscription| {
                let id = subscription.subscription_arn().unwrap_or(PENDING);
                let detail = if id == PENDING { "not confirmed" } else { "confirmed" };
                Found::new(id, Owner::Ours).detail(detail)
            })
            .collect())
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let answer = cx
            .aws
            .sns
            .subscribe()
            .topic_arn(cx.need(&Key::Topic)?)
            .protocol(PROTOCOL)
            .endpoint(&self.address)
            .send()
            .await
            .doing(format!("subscribing {}", self.address))?;
        // Before the address has confirmed, the answer is a remark in place of an ARN (`Subscribe`).
        let arn = answer.subscription_arn.filter(|arn| arn.starts_with("arn:"));
        Ok(arn.unwrap_or_else(|| PENDING.to_owned()))
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // nothing of it can differ
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        unsubscribe(cx, found, &self.address).await
    }

    async fn wait(&self, cx: &Cx, id: &str) -> Result<()> {
        if id == PENDING {
            let address = &self.address;
            let text = format!(
                "{address} gets no mail yet: somebody must open the link in the message from AWS \
                 Notifications; after two days, `{}` has it sent again",
                command("setup monitoring")
            );
            cx.note(&Key::EmailSubscription(address.clone()), text);
        }
        Ok(())
    }
}

#[async_trait]
impl Resource for FormerSubscribers {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    /// Asked for also where nobody is to get mail: then there is no `Subscription`, and the first address
    /// must not take an administrator.
    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let topic = || [names.arn("sns", names.deployment())];
        vec![
            Permission::read(&["sns:ListSubscriptionsByTopic"]).on(topic()),
            Permission::write(&["sns:Subscribe"]).on(topic()),
            // Cannot be narrowed (Service Authorization Reference, "Amazon SNS").
            Permission::write(&["sns:Unsubscribe"]),
        ]
    }

    fn wanted(&self, _: &Cx) -> bool {
        false
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let configured =
            |address: &str| cx.config.emails.iter().any(|email| email.to_string() == address);
        let mut former = Vec::new();
        for subscription in subscriptions(cx).await? {
            let address = subscription.endpoint().unwrap_or_default();
            let id = subscription.subscription_arn().unwrap_or(PENDING);
            if configured(address) {
                continue;
            }
            if id == PENDING {
                let text = format!(
                    "{address} is no longer configured; AWS cannot withdraw an invitation that was \
                     not confirmed, but it lapses within two days"
                );
                cx.note(&Key::FormerSubscriptions, text);
                continue;
            }
            let found = Found::new(id, Owner::Ours).called(address).stale(true);
            former.push(found.detail("no longer configured"));
        }
        Ok(former)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        Ok(self.name(cx)) // never wanted
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // never wanted
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        unsubscribe(cx, found, found.name.as_deref().unwrap_or_default()).await
    }
}

/// The topic's e-mail subscriptions.
async fn subscriptions(cx: &Cx) -> Result<Vec<types::Subscription>> {
    let Some(topic) = cx.id(&Key::Topic) else { return Ok(Vec::new()) };
    let mut all = listed(cx, &topic).await?;
    all.retain(|subscription| subscription.protocol() == Some(PROTOCOL));
    Ok(all)
}

/// A line for each subscription of another protocol: those are the operator's own.
pub(super) async fn of_others(cx: &Cx, topic: &str) -> Result<Vec<String>> {
    let all = listed(cx, topic).await?.into_iter();
    let others = all.filter(|subscription| subscription.protocol() != Some(PROTOCOL));
    Ok(others
        .map(|subscription| {
            let to = subscription.endpoint().unwrap_or("an endpoint unknown");
            format!("the {} subscription of {to}", subscription.protocol().unwrap_or("other"))
        })
        .collect())
}

/// Who is subscribed to the topic. One that was cancelled is listed as `Deleted` for a while.
async fn listed(cx: &Cx, topic: &str) -> Result<Vec<types::Subscription>> {
    let pages = cx.aws.sns.list_subscriptions_by_topic().topic_arn(topic).into_paginator();
    let all = pages.items().send().try_collect().await;
    let mut all = all.unless(&["NotFound"], "listing who gets mail")?.unwrap_or_default();
    all.retain(|subscription| subscription.subscription_arn() != Some("Deleted"));
    Ok(all)
}

async fn unsubscribe(cx: &Cx, found: &Found, address: &str) -> Result<()> {
    if found.id == PENDING {
        return Ok(()); // has no ARN to name; lapses with the topic
    }
    cx.aws
        .sns
        .unsubscribe()
        .subscription_arn(&found.id)
        .send()
        .await
        .unless(&["NotFound"], format!("unsubscribing {address}"))?;
    Ok(())
}
