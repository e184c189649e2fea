//! What the load balancing resources share: whose a thing is, and creates that are sent once.

use anyhow::{Context, Result};
use aws_sdk_elasticloadbalancingv2::{
    config::{Builder, retry::RetryConfig},
    types::{LoadBalancer, TagDescription},
};

use crate::{
    aws::Answer,
    cx::Cx,
    tags::{self, Owner},
};

/// Whose a load balancer or target group is.
pub(super) async fn owner(cx: &Cx, arn: &str) -> Result<Owner> {
    let tags = tags(cx, arn).await?;
    Ok(tags::owner(&cx.names, tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
}

/// Key and value of every tag: describing a thing does not tell them.
pub(super) async fn tags(cx: &Cx, arn: &str) -> Result<Vec<(String, String)>> {
    let answer = cx
        .aws
        .elbv2
        .describe_tags()
        .resource_arns(arn)
        .send()
        .await
        .doing(format!("reading the tags of {arn}"))?;
    let tags = answer.tag_descriptions().iter().flat_map(TagDescription::tags);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok(tags.map(|tag| (text(tag.key()), text(tag.value()))).collect())
}

/// A load balancer that must exist.
pub(super) async fn describe(cx: &Cx, arn: &str) -> Result<LoadBalancer> {
    let answer = cx
        .aws
        .elbv2
        .describe_load_balancers()
        .load_balancer_arns(arn)
        .send()
        .await
        .doing("looking at our load balancer")?;
    answer.load_balancers.and_then(|mut all| all.pop()).context("AWS described no load balancer")
}

/// For creates that a second sending would answer with "exists already" or do twice: sent once,
/// because the engine looks before it tries again.
pub(super) fn once() -> Builder {
    Builder::default().retry_config(RetryConfig::disabled())
}

/// What CloudWatch calls a load balancer or target group: its ARN from behind the account on,
/// without `loadbalancer/` (CloudWatch metrics for your Application Load Balancer, "Dimensions").
pub(super) fn dimension(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').last().unwrap_or(arn);
    resource.strip_prefix("loadbalancer/").unwrap_or(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_what_cloudwatch_prints() {
        let arn = |rest| format!("arn:aws:elasticloadbalancing:eu-central-1:1:{rest}");
        assert_eq!(
            dimension(&arn("loadbalancer/app/jitsi/50dc6c495c0c9188")),
            "app/jitsi/50dc6c495c0c9188"
        );
        assert_eq!(
            dimension(&arn("targetgroup/jitsi/73e2d6bc24d8a067")),
            "targetgroup/jitsi/73e2d6bc24d8a067"
        );
    }
}
