//! All deployments of an account: those of one region by the tags that everything of them carries, those
//! of other regions by their IAM users, which belong to the whole account.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Filter};
use aws_sdk_iam::types::User;
use aws_smithy_types::{DateTime, date_time::Format};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{
    aws::{Answer, Aws, AwsError},
    leftovers::exists,
    names::{DEPLOYER, IAM_PATH, Names},
    policy::Permission,
    tagged::tagged,
    tags,
};

// Elastic Load Balancing and EC2 allow many more looks a second.
const AT_ONCE: usize = 5;

/// What there is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Deployments {
    /// Those of the region that was looked at, by name.
    pub deployments: Vec<Deployment>,
    /// Those of other regions, as far as IAM tells.
    pub elsewhere: Vec<Elsewhere>,
    /// Whether these credentials may ask IAM; without that, nothing is known of other regions.
    pub iam_seen: bool,
}

/// One deployment of the region.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// The domain of its certificate, when it has one of its own.
    pub domain: Option<String>,
    /// When its first part was made, RFC 3339, UTC.
    pub since: Option<String>,
    /// How many things carry its tag: fewer than it has resources, for IAM's and the dashboard are not among them.
    pub tagged: usize,
    /// Its Auto Scaling group's instances.
    pub instances: Vec<Instance>,
}

/// An instance as its group knows it.
#[derive(Clone, Debug, Serialize)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Lifecycle state, `InService`.
    pub state: String,
    /// `Healthy` or `Unhealthy`.
    pub health: String,
}

/// A deployment in another region.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Elsewhere {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// When its IAM user was made, RFC 3339, UTC.
    pub since: Option<String>,
}

impl Deployments {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty() && self.elsewhere.is_empty()
    }
}

/// What [`find`] takes.
pub fn permissions(names: &Names) -> Vec<Permission> {
    vec![
        Permission::read(&[
            "autoscaling:DescribeAutoScalingGroups",
            "ec2:DescribeInstances",
            "ec2:DescribeTags",
            "elasticloadbalancing:DescribeTags",
            "iam:ListUsers",
            "tag:GetResources",
        ]),
        Permission::read(&["iam:GetUser"]).on([names.iam_arn("user", "*")]),
    ]
}

/// Looks for all deployments that can be seen from `region`, to which `aws` must be connected.
pub async fn find(aws: &Aws, region: &str) -> Result<Deployments> {
    let (mut here, groups, users) =
        tokio::try_join!(carriers(aws, region), groups(aws), users(aws))?;
    for group in groups {
        let tag = |wanted| {
            group.tags().iter().find(|tag| tag.key() == Some(wanted)).and_then(|tag| tag.value())
        };
        let Some(name) = tag(tags::DEPLOYMENT) else { continue };
        let known = entry(&mut here, name);
        known.tagged += 1; // the tagging API lists none
        known.since = group.created_time().map(written);
        known.instances = instances(&group);
    }
    let mut found = Deployments { iam_seen: users.is_some(), ..Deployments::default() };
    for user in users.unwrap_or_default() {
        let tag =
            |wanted| user.tags().iter().find(|tag| tag.key() == wanted).map(|tag| tag.value());
        let Some(name) = tag(tags::DEPLOYMENT) else { continue };
        let since = Some(written(user.create_date()));
        match tag(tags::REGION) {
            Some(other) if other != region => found.elsewhere.push(Elsewhere {
                name: name.to_owned(),
                region: other.to_owned(),
                since,
            }),
            // IAM comes first, and goes last.
            _ => entry(&mut here, name).since = since,
        }
    }
    found.deployments = here.into_values().collect();
    found.elsewhere.sort();
    Ok(found)
}

fn entry<'a>(here: &'a mut BTreeMap<String, Deployment>, name: &str) -> &'a mut Deployment {
    here.entry(name.to_owned())
        .or_insert_with(|| Deployment { name: name.to_owned(), ..Deployment::default() })
}

/// By name, what the tagging API lists and its own service still knows.
async fn carriers(aws: &Aws, region: &str) -> Result<BTreeMap<String, Deployment>> {
    let mut listed = Vec::new();
    for one in tagged(aws, None).await? {
        let here = one.tag(tags::REGION).is_none_or(|of| of == region);
        let Some(name) = one.tag(tags::DEPLOYMENT).filter(|_| here) else { continue };
        let domain = one.tag(tags::NAME).filter(|_| one.arn.contains(":acm:"));
        let (name, domain) = (name.to_owned(), domain.map(str::to_owned));
        listed.push((one.arn, name, domain));
    }
    let alive = stream::iter(listed).map(|(arn, name, domain)| async move {
        anyhow::Ok(lives(aws, &arn).await?.then_some((name, domain)))
    });
    let alive: Vec<_> = alive.buffered(AT_ONCE).try_collect().await?;
    let mut here = BTreeMap::new();
    for (name, domain) in alive.into_iter().flatten() {
        let known = entry(&mut here, &name);
        known.tagged += 1;
        known.domain = known.domain.take().or(domain);
    }
    Ok(here)
}

/// Of EC2 and Elastic Load Balancing, the tagging API goes on naming the dead (aws/aws-sdk issue 676).
async fn lives(aws: &Aws, arn: &str) -> Result<bool> {
    let mortal = [":ec2:", ":elasticloadbalancing:"].iter().any(|service| arn.contains(service));
    if mortal { exists(aws, arn).await } else { Ok(true) }
}

async fn groups(aws: &Aws) -> Result<Vec<AutoScalingGroup>> {
    let tagged = Filter::builder().name("tag-key").values(tags::DEPLOYMENT).build();
    let call = aws.autoscaling.describe_auto_scaling_groups().filters(tagged);
    let groups = call.into_paginator().items().send().try_collect().await;
    Ok(groups.doing("looking for the Auto Scaling groups of deployments")?)
}

/// The deployers, with their tags; `None` when these credentials may not look.
async fn users(aws: &Aws) -> Result<Option<Vec<User>>> {
    let call = aws.iam.list_users().path_prefix(IAM_PATH).into_paginator();
    let users = call.items().send().try_collect().await;
    let users = match users.doing("listing the IAM users of deployments") {
        Err(error) if error.is_denied() => return Ok(None),
        users => users?,
    };
    // Listed without their tags (`ListUsers`).
    let users = users.into_iter().filter(|user| user.user_name().ends_with(DEPLOYER));
    let read = stream::iter(users).map(|user| async move {
        let name = user.user_name();
        let answer = aws.iam.get_user().user_name(name).send().await;
        let answer = answer.unless(&["NoSuchEntity"], format!("looking at IAM user `{name}`"))?;
        Ok::<_, AwsError>(answer.and_then(|answer| answer.user))
    });
    let read: Result<Vec<_>, _> = read.buffered(AT_ONCE).try_collect().await;
    match read {
        Err(error) if error.is_denied() => Ok(None),
        read => Ok(Some(read?.into_iter().flatten().collect())),
    }
}

fn instances(group: &AutoScalingGroup) -> Vec<Instance> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let described = group.instances().iter().map(|instance| Instance {
        id: text(instance.instance_id()),
        zone: text(instance.availability_zone()),
        state: text(instance.lifecycle_state().map(|state| state.as_str())),
        health: text(instance.health_status()),
    });
    described.collect()
}

fn written(time: &DateTime) -> String {
    // To the second: AWS's fractions tell nobody anything.
    DateTime::from_secs(time.secs()).fmt(Format::DateTime).unwrap_or_default()
}
