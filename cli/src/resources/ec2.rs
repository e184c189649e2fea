//! What the EC2 resources share: filters by our tags, tags in the create call, and calls that must
//! not be repeated below the engine.

use aws_sdk_ec2::{
    config::{Builder, retry::RetryConfig},
    types::{Filter, ResourceType, Tag, TagSpecification},
};

use crate::{
    cx::Cx,
    engine::Stage,
    names::Names,
    tag_list,
    tags::{self, Owner},
};

/// `name=value` as EC2 filters take it.
pub(super) fn filter(name: &str, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Ours, and called `name`.
pub(super) fn ours_named(cx: &Cx, name: &str) -> [Filter; 2] {
    [filter(&format!("tag:{}", tags::DEPLOYMENT), cx.names.deployment()), filter("tag:Name", name)]
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
