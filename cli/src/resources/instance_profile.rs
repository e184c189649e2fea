//! The instance role as EC2 takes it: an instance profile of the same name.

use anyhow::Result;
use async_trait::async_trait;

use super::iam::{ABSENT, owner, settled, tagged};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::{IAM_PATH, Names},
    policy::Permission,
};

/// The instance profile; its id is its name.
pub struct Profile;

const ROLE: &str = "role";

#[async_trait]
impl Resource for Profile {
    fn name(&self, cx: &Cx) -> String {
        cx.names.instance_role()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let arn = |kind| names.iam_arn(kind, &names.instance_role());
        vec![
            Permission::read(&["iam:GetInstanceProfile"]).on([arn("instance-profile")]),
            Permission::write(&[
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:TagInstanceProfile",
            ])
            .on([arn("instance-profile")]),
            Permission::write(&["iam:PassRole"]).on([arn("role")]),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let answer = cx.aws.iam.get_instance_profile().instance_profile_name(&name).send().await;
        let answer = answer.unless(ABSENT, format!("looking for instance profile `{name}`"))?;
        let Some(profile) = answer.and_then(|answer| answer.instance_profile) else {
            return Ok(Vec::new());
        };
        let mut found = Found::new(&name, owner(&cx.names, profile.tags()));
        let role = profile.roles().first().map_or("none", |role| role.role_name());
        found.compare(ROLE, role, cx.names.instance_role());
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        cx.aws
            .iam
            .create_instance_profile()
            .instance_profile_name(&name)
            .path(IAM_PATH)
            .set_tags(Some(tagged(cx, &name)?))
            .send()
            .await
            .doing(format!("creating instance profile `{name}`"))?;
        cx.made(&Key::InstanceProfile);
        add_role(cx).await?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        remove_roles(cx).await?; // it holds one at most
        add_role(cx).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        remove_roles(cx).await?;
        settled(cx, &Key::InstanceProfile, || async {
            let call = cx.aws.iam.delete_instance_profile().instance_profile_name(&found.id);
            call.send().await.unless(ABSENT, format!("deleting instance profile `{}`", found.id))
        })
        .await?;
        Ok(())
    }
}

async fn add_role(cx: &Cx) -> Result<()> {
    let name = cx.names.instance_role();
    settled(cx, &Key::InstanceProfile, || async {
        let call = cx.aws.iam.add_role_to_instance_profile();
        let call = call.instance_profile_name(&name).role_name(&name);
        call.send().await.doing(format!("putting role `{name}` into its instance profile"))
    })
    .await?;
    Ok(())
}

/// Takes out whatever role is in it.
async fn remove_roles(cx: &Cx) -> Result<()> {
    let name = cx.names.instance_role();
    let answer = cx.aws.iam.get_instance_profile().instance_profile_name(&name).send().await;
    let answer = answer.unless(ABSENT, format!("reading instance profile `{name}`"))?;
    for role in answer.and_then(|answer| answer.instance_profile).map_or(Vec::new(), |p| p.roles) {
        let role = role.role_name();
        let call = cx.aws.iam.remove_role_from_instance_profile();
        let answer = call.instance_profile_name(&name).role_name(role).send().await;
        answer.unless(ABSENT, format!("taking role `{role}` out of instance profile `{name}`"))?;
    }
    Ok(())
}
