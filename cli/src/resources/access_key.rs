//! The deployer's access key of this operator. AWS shows its secret once, so a key is worth something only
//! where a profile holds that secret: a key whose secret is not here is another operator's, and kept.

mod others;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_iam::types::{AccessKeyMetadata, StatusType};

use super::iam::{ABSENT, once, settled};
use crate::{
    aws::{Answer, Aws, AwsError, Fate, NotYet},
    cx::Cx,
    engine::{Drift, Found, Key, Resource},
    error::Hinted,
    invocation::as_admin,
    local::{CredentialsFile, Profile},
    names::Names,
    policy::Permission,
    tags::Owner,
    wait,
};

/// The key; its id is AWS's access key id.
pub struct AccessKeyPair;

const STATUS: &str = "status";
const SECRET: &str = "secret";
const KEY: &str = "key";
const OWNER: &str = "owner";

// A new key works everywhere within seconds as a rule.
const WORKING_LIMIT: Duration = Duration::from_mins(2);

#[async_trait]
impl Resource for AccessKeyPair {
    fn name(&self, cx: &Cx) -> String {
        cx.names.profile()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let user = || [names.iam_arn("user", &names.deployer_user())];
        vec![
            // Whose a key is stands in the tags of the user.
            Permission::read(&["iam:GetUser", "iam:ListAccessKeys"]).on(user()),
            Permission::write(&[
                "iam:CreateAccessKey",
                "iam:DeleteAccessKey",
                "iam:GetAccessKeyLastUsed",
                "iam:TagUser",
                "iam:UntagUser",
            ])
            .on(user()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let (file, profile) = local(cx)?;
        let foreign = profile.as_ref().and_then(|profile| profile.foreign(&cx.names));
        let here =
            profile.as_ref().filter(|profile| foreign.is_none() && profile.credentials().is_some());
        let sure = here.is_some_and(|profile| profile.is_of(&cx.names));
        let here = here.and_then(Profile::key_id);
        let mut found = Vec::new();
        // Only the keys of a user that is ours: its id is known only then.
        if let Some(user) = cx.id(&Key::DeployerUser) {
            let notes = others::notes(cx, &user).await?;
            let owners = &notes.owners;
            for key in keys(cx, &user).await? {
                let id = key.access_key_id().unwrap_or_default();
                let mut this = Found::new(id, Owner::Ours);
                if Some(id) == here {
                    let status = key.status().map_or("unknown", StatusType::as_str);
                    this.compare(STATUS, status, StatusType::Active.as_str());
                    if !owners.contains_key(id) {
                        this.compare(OWNER, "not noted", "noted");
                    }
                } else if cx.take_over.as_deref() == Some(id) {
                    this.drift.push(unusable(SECRET, &file, "not in"));
                } else if here.is_none()
                    && notes.is_rest_of_ours(id)
                    && others::last_used(cx, id).await? == others::NEVER
                {
                    this.drift.push(unusable(
                        SECRET,
                        &file,
                        "lost with a run that was killed, not in",
                    ));
                } else {
                    this = this.detail(others::told(&key, owners.get(id))).spare();
                }
                found.push(this);
            }
        }
        // Only a profile that says so is this deployment's, where AWS does not know its key.
        if let Some(id) = here.filter(|_| sure)
            && found.iter().all(|key| key.id != id)
        {
            let mut this = Found::new(id, Owner::Ours);
            this.drift.push(unusable(KEY, &file, "unknown to AWS, only in"));
            found.push(this);
        }
        // Said where it is asked for: of two keys that leave no room for a third.
        if others::refusal(cx, &found, in_iam).is_some() {
            for key in found.iter_mut().filter(|key| key.spare) {
                key.detail = format!("{}, {}", key.detail, others::last_used(cx, &key.id).await?);
            }
        }
        if let Some(whose) = foreign {
            found.push(Found::new(file.path().display().to_string(), Owner::Foreign(whose)));
        }
        Ok(found)
    }

    fn refuse(&self, cx: &Cx, all: &[Found]) -> Option<Hinted> {
        others::refusal(cx, all, in_iam)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        make(cx).await
    }

    /// Whatever else is wrong with a key, a new one is the cure: one that was made inactive may have been
    /// so for a reason.
    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        let user = cx.need(&Key::DeployerUser)?;
        if found.drift.iter().all(|drift| drift.field == OWNER) {
            return others::own(cx, &user, &found.id).await;
        }
        refuse_foreign_profile(cx)?;
        delete_key(cx, &found.id).await?;
        others::disown(cx, &user, &found.id).await?;
        make(cx).await?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // The profile first: what is left on AWS is found again, what is left here might not be.
        let (file, profile) = local(cx)?;
        if profile.as_ref().and_then(Profile::key_id) == Some(&found.id) {
            file.remove(&cx.names.profile())?;
        }
        delete_key(cx, &found.id).await
    }

    /// Until the key works, with all three policies behind it.
    async fn wait(&self, cx: &Cx, _: &str) -> Result<()> {
        let (file, profile) = local(cx)?;
        let credentials = profile.and_then(|profile| profile.credentials());
        let credentials = credentials.with_context(|| {
            format!("profile `{}` in {} is incomplete", cx.names.profile(), file.path().display())
        })?;
        let deployer = cx.aws.acting_as(credentials);
        let result = Box::pin(try_out(cx, &deployer)).await;
        result.map_err(|error| match error.downcast_ref::<AwsError>() {
            Some(aws) if aws.is(&["SignatureDoesNotMatch"]) => error.context(Hinted::user(
                "the secret access key on this machine is not the one AWS knows",
                format!(
                    "remove profile `{}` from {}, then run `{}` again",
                    cx.names.profile(),
                    file.path().display(),
                    as_admin("setup iam")
                ),
            )),
            _ => error,
        })
    }
}

/// One call that needs the key alone, and one for each policy.
async fn try_out(cx: &Cx, deployer: &Aws) -> Result<()> {
    let doing = |action| format!("trying the deployer's access key with {action}");
    let key = &Key::AccessKey;
    let topic = cx.names.arn("sns", cx.names.deployment());
    tokio::try_join!(
        wait::retry_while(cx, key, too_new, WORKING_LIMIT, || async {
            deployer.sts.get_caller_identity().send().await.doing(doing("sts:GetCallerIdentity"))
        }),
        wait::retry_while(cx, key, too_new, WORKING_LIMIT, || async {
            deployer
                .ec2
                .describe_vpcs()
                .max_results(5)
                .send()
                .await
                .doing(doing("ec2:DescribeVpcs"))
        }),
        wait::retry_while(cx, key, too_new, WORKING_LIMIT, || async {
            let answer = deployer.elbv2.describe_load_balancers().page_size(1).send().await;
            answer.doing(doing("elasticloadbalancing:DescribeLoadBalancers"))
        }),
        wait::retry_while(cx, key, too_new, WORKING_LIMIT, || async {
            // Refused before it is looked for.
            let answer = deployer.sns.get_topic_attributes().topic_arn(&topic).send().await;
            answer.unless(&["NotFound"], doing("sns:GetTopicAttributes"))
        }),
    )?;
    Ok(())
}

/// Whether a service refuses a key or a right that has not reached it yet.
fn too_new(error: &AwsError) -> bool {
    matches!(error.not_yet(), Some(NotYet::Key | NotYet::Right))
}

async fn make(cx: &Cx) -> Result<String> {
    refuse_foreign_profile(cx)?;
    let user = cx.need(&Key::DeployerUser)?;
    let before = ids(cx, &user).await?;
    others::announce(cx, &user, &before).await?;
    let answer = settled(cx, &Key::AccessKey, || async {
        let call = cx.aws.iam.create_access_key().user_name(&user).customize();
        let answer = call.config_override(once()).send().await;
        answer.doing(format!("creating an access key for `{user}`"))
    })
    .await;
    if let Err(error) = &answer
        && error.downcast_ref::<AwsError>().is_some_and(|error| error.fate == Fate::Unknown)
    {
        // Nobody knows the secret of what was made, and it is our turn: nobody else has made it.
        for id in ids(cx, &user).await?.difference(&before) {
            delete_key(cx, id).await?;
        }
    }
    let key = answer?.access_key.context("AWS returned no access key")?;
    let profile = Profile::new(cx.names.account(), &key.access_key_id, &key.secret_access_key)
        .for_region(cx.names.region())
        .changed(SystemTime::now());
    CredentialsFile::standard()?.write(&cx.names.profile(), &profile)?;
    cx.made(&Key::AccessKey);
    others::own(cx, &user, &key.access_key_id).await?;
    others::done(cx, &user).await?;
    Ok(key.access_key_id)
}

async fn keys(cx: &Cx, user: &str) -> Result<Vec<AccessKeyMetadata>> {
    let keys = cx.aws.iam.list_access_keys().user_name(user).into_paginator().items();
    let keys = keys.send().try_collect().await;
    let keys = keys.unless(ABSENT, format!("listing the access keys of `{user}`"))?;
    Ok(keys.unwrap_or_default())
}

async fn ids(cx: &Cx, user: &str) -> Result<BTreeSet<String>> {
    let keys = keys(cx, user).await?;
    Ok(keys.into_iter().filter_map(|key| key.access_key_id).collect())
}

/// Whether it is more than a profile of a key that is gone.
fn in_iam(key: &Found) -> bool {
    !key.drifted(KEY)
}

async fn delete_key(cx: &Cx, id: &str) -> Result<()> {
    let Some(user) = cx.id(&Key::DeployerUser) else { return Ok(()) };
    let answer = cx.aws.iam.delete_access_key().user_name(&user).access_key_id(id).send().await;
    answer.unless(ABSENT, format!("deleting access key {id} of `{user}`"))?;
    Ok(())
}

fn local(cx: &Cx) -> Result<(CredentialsFile, Option<Profile>)> {
    let file = CredentialsFile::standard()?;
    let profile = file.read(&cx.names.profile())?;
    Ok((file, profile))
}

/// A profile of our name that says to be of another account or region, or nothing of that, holds
/// somebody's only copy of a secret: a deployment of the same name elsewhere, for instance.
fn refuse_foreign_profile(cx: &Cx) -> Result<()> {
    let (file, profile) = local(cx)?;
    let Some(whose) = profile.and_then(|profile| profile.foreign(&cx.names)) else { return Ok(()) };
    let (name, path) = (cx.names.profile(), file.path().display());
    Err(Hinted::user(
        format!("profile `{name}` in {path} is left as it is: {whose}"),
        "choose another [deployment] name in jitsi.toml, rename that profile, or set AWS_SHARED_CREDENTIALS_FILE to another file",
    )
    .into())
}

fn unusable(field: &'static str, file: &CredentialsFile, how: &str) -> Drift {
    let path = file.path().display();
    Drift {
        field,
        actual: format!("{how} {path}"),
        wanted: format!("a new key in {path}"),
        effect: None,
    }
}
