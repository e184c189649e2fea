//! The key pair for SSH: made on the machine of the operator who came first, only its public half is sent.
//! A pair whose private half is elsewhere is another operator's, and kept.

use anyhow::Result;
use async_trait::async_trait;
use aws_sdk_ec2::{
    primitives::Blob,
    types::{KeyPairInfo, ResourceType, Tag, TagSpecification},
};
use ssh_key::PublicKey;

use super::ec2::{filter, owner};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    invocation::aws_here,
    local::{Kept, PrivateKeyFile},
    names::Names,
    policy::Permission,
    tag_list,
    tags::Owner,
};

/// The key pair; its id is its name.
pub struct SshKeyPair;

const PUBLIC_HALF: &str = "public key";
const ELSEWHERE: &str = "the private half is on another machine";

#[async_trait]
impl Resource for SshKeyPair {
    fn name(&self, cx: &Cx) -> String {
        cx.names.deployment().to_owned()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let pair = || [names.arn("ec2", &format!("key-pair/{}", names.deployment()))];
        vec![
            Permission::read(&["ec2:DescribeKeyPairs"]),
            Permission::write(&["ec2:CreateTags", "ec2:ImportKeyPair"])
                .on(pair())
                .tagging_ours(names),
            Permission::write(&["ec2:DeleteKeyPair"]).on(pair()).on_ours(names),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let call = cx.aws.ec2.describe_key_pairs().filters(filter("key-name", &name));
        let answer = call.include_public_key(true).send().await;
        let pairs = answer.doing(format!("looking for key pair `{name}`"))?.key_pairs;
        let file = PrivateKeyFile::standard(&cx.names)?;
        let kept = file.read()?;
        let mut all = match pairs.unwrap_or_default().first() {
            Some(pair) => vec![on_aws(cx, &file, &kept, pair)],
            None if matches!(kept, Kept::Ours(_)) => vec![only_here(&name, &file)],
            None => Vec::new(),
        };
        let path = || file.path().display().to_string();
        if kept.public().is_some() {
            for found in all.iter_mut().filter(|found| found.detail.is_empty()) {
                found.detail = path();
            }
        }
        if let Kept::Elsewhere(whose) = kept {
            all.push(Found::new(path(), Owner::Foreign(whose)));
        }
        Ok(all)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let file = PrivateKeyFile::standard(&cx.names)?;
        import(cx, &file.read_or_make()?).await?;
        Ok(self.name(cx))
    }

    /// The only drift there is: a pair that is only here.
    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    /// Says once that the private half is elsewhere.
    async fn wait(&self, cx: &Cx, _: &str) -> Result<()> {
        for found in self.find(cx).await?.iter().filter(|found| found.detail.ends_with(ELSEWHERE)) {
            let (name, detail) = (&found.id, &found.detail);
            let delete = aws_here(&format!("ec2 delete-key-pair --key-name {name}"));
            let lost = format!("ask who has it, or, if it is lost, run `{delete}` and this again");
            cx.note(&Key::KeyPair, format!("key pair `{name}`: {detail}; {lost}"));
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // The file first: what is left on AWS is found again by its tag.
        PrivateKeyFile::standard(&cx.names)?.remove()?;
        delete_pair(cx, &found.id).await
    }
}

fn on_aws(cx: &Cx, file: &PrivateKeyFile, kept: &Kept, pair: &KeyPairInfo) -> Found {
    let name = pair.key_name().unwrap_or_default();
    let mut found = Found::new(name, owner(&cx.names, pair.tags()));
    let fits = match kept.public() {
        Some(here) => is(here, pair.public_key().unwrap_or_default()),
        None => false,
    };
    if found.owner == Owner::Ours && !fits {
        let path = file.path().display();
        found.detail = match kept {
            Kept::Nothing => format!("{path} does not exist: {ELSEWHERE}"),
            Kept::Unreadable(_) => format!("{path} is not a private key: {ELSEWHERE}"),
            Kept::Ours(_) | Kept::Theirs(_) | Kept::Elsewhere(_) => {
                format!("{path} is another one: {ELSEWHERE}")
            }
        };
    }
    found
}

/// Whether AWS knows this key. The comment behind it means nothing.
fn is(here: &PublicKey, on_aws: &str) -> bool {
    PublicKey::from_openssh(on_aws).is_ok_and(|on_aws| on_aws.key_data() == here.key_data())
}

/// A run that ended between making the key and importing it, or an AWS key pair deleted by hand.
fn only_here(name: &str, file: &PrivateKeyFile) -> Found {
    let mut found = Found::new(name, Owner::Ours);
    found.compare(PUBLIC_HALF, format!("only in {}", file.path().display()), "imported");
    found
}

async fn import(cx: &Cx, public: &PublicKey) -> Result<()> {
    let name = cx.names.deployment();
    let bare = PublicKey::from(public.key_data().clone()); // without the comment, which is ours
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::KeyPair)
        .set_tags(Some(tag_list!(cx, Stage::Iam, name, Tag)))
        .build();
    cx.aws
        .ec2
        .import_key_pair()
        .key_name(name)
        .public_key_material(Blob::new(bare.to_openssh()?))
        .tag_specifications(tags)
        .send()
        .await
        .doing(format!("importing the public half of key pair `{name}`"))?;
    Ok(())
}

async fn delete_pair(cx: &Cx, name: &str) -> Result<()> {
    let answer = cx.aws.ec2.delete_key_pair().key_name(name).send().await;
    answer.unless(&["InvalidKeyPair.NotFound"], format!("deleting key pair `{name}`"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_without_their_comments() {
        const KEY: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let here = PublicKey::from_openssh(&format!("{KEY} jitsi-aws-jitsi")).unwrap();
        assert!(is(&here, KEY));
        assert!(is(&here, &format!("{KEY} somebody@else\n")));
        assert!(!is(
            &here,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIs2Q8Fzuk6x6U8CYQzNZ5DxCh9w0eD0pIY6TnF1EYH8"
        ));
        assert!(!is(&here, ""));
    }
}
