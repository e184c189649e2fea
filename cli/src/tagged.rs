//! What carries the owner tag of a deployment, as the tagging API lists it: asked here alone. It lists most of what
//! has tags, but nothing of IAM and no Auto Scaling group, and goes on naming the dead for a while.

use anyhow::Result;
use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::{
    aws::{Answer, Aws},
    tags,
};

/// One thing with its tags.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    /// Its ARN.
    pub arn: String,
    tags: Vec<(String, String)>,
}

impl Tagged {
    /// All its tags.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of one.
    pub(crate) fn tag(&self, wanted: &str) -> Option<&str> {
        self.tags().find(|(key, _)| *key == wanted).map(|(_, value)| value)
    }
}

/// What carries the owner tag of `deployment`, or of any, in the region of `aws`. Experiments are left out: they
/// are history, which nobody can delete for 120 days.
pub(crate) async fn tagged(aws: &Aws, deployment: Option<&str>) -> Result<Vec<Tagged>> {
    let values = deployment.map(|name| vec![name.to_owned()]);
    let filter = TagFilter::builder().key(tags::DEPLOYMENT).set_values(values).build();
    let mut pages = aws.tagging.get_resources().tag_filters(filter).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.doing("listing what carries the tag of a deployment")?;
        for mapping in page.resource_tag_mapping_list() {
            let Some(arn) = mapping.resource_arn().filter(|arn| !arn.contains(":experiment/"))
            else {
                continue;
            };
            let tags = mapping.tags().iter();
            let tags = tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
            all.push(Tagged { arn: arn.to_owned(), tags });
        }
    }
    Ok(all)
}
