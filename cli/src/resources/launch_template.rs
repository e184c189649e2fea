//! The launch template: how an instance is made. A change is a new version, which becomes the
//! default and applies to the next instance; the one that runs is not touched.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_ec2::types::{LaunchTemplateVersion, ResourceType};
use jitsi_templates::{UserData, user_data};
use sha2::{Digest, Sha256};

use super::{
    agent_file::{AgentFile, hex},
    ec2::{filter, making, on_ours, owner, tagged, tagging},
    image::{self, Image},
    recipe::{Recipe, USER_DATA},
    running, volume_key,
};
use crate::{
    aws::Answer,
    config::{Architecture, Debian, ImageChoice},
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
};

/// How an instance is made.
pub struct Template;

#[async_trait]
impl Resource for Template {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn intent(&self, cx: &Cx) -> String {
        let instance = &cx.config.instance;
        let image = match &instance.image {
            None => format!("the newest {}", Debian::ALL[0]),
            Some(ImageChoice::Newest(release)) => format!("the newest {release}"),
            Some(ImageChoice::Id(id)) => id.to_string(),
        };
        format!("{}, {image}, {} GiB gp3, encrypted", instance.instance_type, instance.disk_gib)
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let mut all = vec![
            Permission::read(&[
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeLaunchTemplateVersions",
            ]),
            making(names, &["ec2:CreateLaunchTemplate"]),
            tagging(names),
            on_ours(
                names,
                &[
                    "ec2:CreateLaunchTemplateVersion",
                    "ec2:ModifyLaunchTemplate",
                    "ec2:DeleteLaunchTemplate",
                ],
            ),
        ];
        all.extend(volume_key::permissions(names));
        all
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        image::check(cx).await
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let answer = cx
            .aws
            .ec2
            .describe_launch_templates()
            .filters(filter("launch-template-name", self.name(cx)))
            .send()
            .await
            .doing("looking for our launch template")?;
        let Some(template) = answer.launch_templates().first() else {
            return Ok(Vec::new());
        };
        let id = template.launch_template_id().unwrap_or_default();
        let mut found = Found::new(id, owner(&cx.names, template.tags()));
        if found.owner != crate::tags::Owner::Ours {
            return Ok(vec![found]);
        }
        let (version, actual) = default_version(cx, id).await?;
        let expected = expected(cx, &actual).await?;
        found.drift = actual.drift(&expected);
        if let Some((then, now)) = actual.moves_to(&expected)
            && let Some(drift) = found.drift.iter_mut().find(|drift| drift.field == USER_DATA)
        {
            drift.effect = Some(moved(cx, then, now));
        }
        Ok(vec![found.detail(format!("version {version}  {}  {}", actual.kind, actual.image))])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let recipe = wanted(cx, None).await?;
        volume_key::check(cx).await?;
        let answer = cx
            .aws
            .ec2
            .create_launch_template()
            .launch_template_name(&name)
            .launch_template_data(recipe.request())
            .tag_specifications(tagged(cx, ResourceType::LaunchTemplate, &name))
            .send()
            .await
            .doing(format!("creating launch template `{name}`"))?;
        answer
            .launch_template
            .and_then(|template| template.launch_template_id)
            .context("AWS named no launch template id")
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        let id = &found.id;
        let (base, actual) = default_version(cx, id).await?;
        let recipe = wanted(cx, Some(&actual)).await?;
        volume_key::check(cx).await?;
        let answer = cx
            .aws
            .ec2
            .create_launch_template_version()
            .launch_template_id(id)
            .launch_template_data(recipe.request())
            .client_token(token(id, base, &recipe))
            .send()
            .await
            .doing(format!("creating a version of launch template {id}"))?;
        let new = answer
            .launch_template_version
            .and_then(|version| version.version_number)
            .context("AWS named no version of the launch template")?;
        cx.aws
            .ec2
            .modify_launch_template()
            .launch_template_id(id)
            .default_version(new.to_string())
            .send()
            .await
            .doing(format!("making version {new} of launch template {id} the default"))?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        cx.aws.ec2.delete_launch_template().launch_template_id(&found.id).send().await.unless(
            &[
                "InvalidLaunchTemplateId.NotFound",
                "InvalidLaunchTemplateId.NotFoundException",
                "InvalidLaunchTemplateName.NotFoundException",
            ],
            format!("deleting launch template {}", found.id),
        )?;
        Ok(())
    }
}

/// What people feel of another domain. The load balancer shows the new one's certificate as soon as it has
/// it, the instance answers to the old one as long as it lives.
fn moved(cx: &Cx, then: &str, now: &str) -> String {
    format!(
        "at once nobody can meet at {then} any more, and at {now} nobody until the instance is replaced: `{}`",
        running::replacing(cx)
    )
}

/// The default version's number and what it says.
async fn default_version(cx: &Cx, id: &str) -> Result<(i64, Recipe)> {
    let answer = cx
        .aws
        .ec2
        .describe_launch_template_versions()
        .launch_template_id(id)
        .versions("$Default")
        .send()
        .await
        .doing(format!("reading launch template {id}"))?;
    let version = answer.launch_template_versions().first();
    let data = version.and_then(LaunchTemplateVersion::launch_template_data);
    let number = version.and_then(LaunchTemplateVersion::version_number);
    number
        .zip(data.map(Recipe::read))
        .with_context(|| format!("launch template {id} has no default version"))
}

/// What a look at `actual` expects, without asking AWS for more than whether its image still exists:
/// looking must not fail for what only a change would need. What a change would look up is named in
/// words.
async fn expected(cx: &Cx, actual: &Recipe) -> Result<Recipe> {
    let instance = &cx.config.instance;
    let group = cx.id(&Key::InstanceSecurityGroup).unwrap_or_else(|| cx.names.with("instance"));
    let current = current_image(cx, actual).await?;
    // A type's architecture is AWS's to say; its name says enough to tell whether a new type needs
    // another image.
    let architecture = Architecture::of(instance.instance_type.as_str());
    let kept = current.filter(|image| {
        let same = actual.kind == instance.instance_type.as_str();
        image.suits(cx, if same { &image.architecture } else { architecture.aws() })
    });
    let image = match kept {
        Some(image) => {
            image.tell_if_unproven(cx);
            image.id
        }
        None => image::described(cx, architecture),
    };
    let wanted = |boot| Recipe::wanted(cx, &image, &actual.root_device, &group, boot);
    match AgentFile::read(&cx.config).await {
        Ok(agent) => Ok(wanted(boot(cx, &agent)?)),
        // The agent object tells what is wrong with it, and whoever only looks needs none.
        Err(_) => Ok(wanted(String::new()).with_user_data_of(actual)),
    }
}

/// The image of a recipe that is there; a version that somebody made need not name one.
async fn current_image(cx: &Cx, actual: &Recipe) -> Result<Option<Image>> {
    if actual.image.is_empty() { Ok(None) } else { image::by_id(cx, &actual.image).await }
}

/// The recipe for a new version.
async fn wanted(cx: &Cx, actual: Option<&Recipe>) -> Result<Recipe> {
    let agent = AgentFile::read(&cx.config).await?;
    let current = match actual {
        Some(actual) => current_image(cx, actual).await?,
        None => None,
    };
    let image = image::resolve(cx, current).await?;
    image.tell_if_unproven(cx);
    agent.check_glibc(image.glibc())?;
    let group = cx.need(&Key::InstanceSecurityGroup)?;
    Ok(Recipe::wanted(cx, &image.id, &image.root_device, &group, boot(cx, &agent)?))
}

/// The user data: fetches this agent and starts it with these settings.
fn boot(cx: &Cx, agent: &AgentFile) -> Result<String> {
    let names = &cx.names;
    let hooks = [names.launch_hook(), names.terminate_hook()];
    let settings =
        cx.config.instance_settings(names.deployment(), hooks.each_ref().map(String::as_str));
    Ok(user_data(&UserData {
        bucket: &names.agent_bucket(),
        account: names.account(),
        key: &agent.key(),
        sha256: &agent.sha256(),
        settings: &settings,
    })?)
}

/// The same for the same change of the same version: sent again, or by the run after one that was
/// killed, it makes no second version.
fn token(id: &str, base: i64, recipe: &Recipe) -> String {
    hex(&Sha256::digest(format!("{id} {base} {recipe:?}")))
}
