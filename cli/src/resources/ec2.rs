//! What the EC2 resources share: filters by our tags, tags in the create call, calls that must not
//! be repeated below the engine, and permissions narrowed by our owner tag.

use anyhow::Result;
use aws_sdk_ec2::{
    config::{Builder, retry::RetryConfig},
    types::{Filter, ResourceType, Tag, TagSpecification},
};
use serde_json::json;

use crate::{
    aws::Answer,
    cx::Cx,
    engine::Stage,
    names::Names,
    policy::Permission,
    tag_list,
    tags::{self, Owner},
};

/// `name=value` as EC2 filters take it.
pub(super) fn filter(name: &str, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Ours, and called `name`.
pub(super) fn ours_named(cx: &Cx, name: &str) -> [Filter; 2] {
    [carrying_our_tag(cx), filter("tag:Name", name)]
}

/// What carries our owner tag, whatever it is called.
pub(super) fn carrying_our_tag(cx: &Cx) -> Filter {
    filter(&format!("tag:{}", tags::DEPLOYMENT), cx.names.deployment())
}

/// What has a network interface where `name=value` says: instances, the load balancer, or somebody else's.
pub(super) async fn interfaces(cx: &Cx, name: &str, value: &str) -> Result<Option<String>> {
    let call = cx.aws.ec2.describe_network_interfaces().filters(filter(name, value));
    let answer = call.send().await.doing(format!("looking for what uses {value}"))?;
    let told = answer.network_interfaces().iter().map(|interface| {
        let id = interface.network_interface_id().unwrap_or_default();
        let attachment = interface.attachment();
        let instance = attachment.and_then(|attachment| attachment.instance_id());
        let what = instance.or(interface.description()).filter(|what| !what.is_empty());
        what.map_or_else(|| id.to_owned(), |what| format!("{id} of {what}"))
    });
    let told: Vec<String> = told.collect();
    Ok((!told.is_empty()).then(|| told.join(", ")))
}

/// The tags of a new thing, for its create call.
pub(super) fn tagged(cx: &Cx, kind: ResourceType, name: &str) -> TagSpecification {
    let tags = tag_list!(cx, Stage::Instances, name, Tag);
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
}

/// Whose a thing is.
pub(super) fn owner(names: &Names, tags: &[Tag]) -> Owner {
    tags::owner(names, tags.iter().map(|tag| (tag.key().unwrap_or(""), tag.value().unwrap_or(""))))
}

/// For creates that have no idempotency token: sent once, because a second sending after a lost
/// answer would leave a twin. The engine looks before it tries again.
pub(super) fn once() -> Builder {
    Builder::default().retry_config(RetryConfig::disabled())
}

/// Everything of the account's EC2 in the region. What narrows is the condition beside it; one ARN
/// instead of one for each kind keeps the policy within its size and lets the statements merge.
fn anything(names: &Names) -> [String; 1] {
    [names.arn("ec2", "*/*")]
}

/// Giving a thing of ours its name back. What carries our tag already cannot be made ours by another.
pub(super) fn naming(names: &Names) -> Permission {
    on_ours(names, &["ec2:CreateTags"])
}

/// Calls on things of ours. A call that makes a thing inside another needs this for the other.
pub(super) fn on_ours(names: &Names, actions: &[&'static str]) -> Permission {
    Permission::write(actions).on(anything(names)).on_ours(names)
}

/// Calls that make things tagged as ours.
pub(super) fn making(names: &Names, actions: &[&'static str]) -> Permission {
    Permission::write(actions).on(anything(names)).tagging_ours(names)
}

/// Tagging as ours, but only what the same call makes: otherwise a tag could make anything ours.
pub(super) fn tagging(names: &Names) -> Permission {
    let owner = format!("aws:RequestTag/{}", tags::DEPLOYMENT);
    Permission::write(&["ec2:CreateTags"]).on(anything(names)).when(json!({
        "StringEquals": { owner: names.deployment() },
        "Null": { "ec2:CreateAction": "false" },
    }))
}
