//! Machine images: Canonical's newest Ubuntu 24.04, or one the configuration names.

use anyhow::{Context, Result};
use aws_sdk_ec2::types::{self, InstanceType};

use super::{agent_file::Architecture, ec2::filter};
use crate::{aws::Answer, cx::Cx, error::Hinted, names::Names};

/// An image an instance can be made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// `ami-…`.
    pub(super) id: String,
    /// What it is for, in EC2's words; more kinds exist than ours.
    pub(super) architecture: String,
    /// The root volume's device name, `/dev/sda1`.
    pub(super) root_device: String,
    /// Least size of the root volume.
    pub(super) root_gib: i32,
    canonical: bool,
}

/// Canonical's account in each partition (Ubuntu on AWS documentation, "Find Ubuntu images on AWS").
fn canonical(names: &Names) -> &'static str {
    match names.partition() {
        "aws-cn" => "837727238323",
        "aws-us-gov" => "513442679011",
        _ => "099720109477",
    }
}

impl Image {
    fn read(cx: &Cx, image: &types::Image) -> Self {
        let root_device = image.root_device_name().unwrap_or_default();
        let root = image
            .block_device_mappings()
            .iter()
            .find(|mapping| mapping.device_name() == Some(root_device))
            .and_then(|mapping| mapping.ebs());
        Self {
            id: image.image_id().unwrap_or_default().to_owned(),
            architecture: image.architecture().map_or("", |a| a.as_str()).to_owned(),
            root_device: root_device.to_owned(),
            root_gib: root.and_then(types::EbsBlockDevice::volume_size).unwrap_or_default(),
            canonical: image.owner_id() == Some(canonical(&cx.names)),
        }
    }

    /// Whether it may stay in use: it is the one the configuration names or, where that names none,
    /// one of Canonical's. A newer one alone is no reason to change: a rerun changes nothing.
    pub(super) fn suits(&self, cx: &Cx, architecture: &str) -> bool {
        let chosen = cx
            .config
            .instance
            .image
            .as_ref()
            .map_or(self.canonical, |image| image.as_str() == self.id);
        chosen && self.architecture == architecture
    }
}

/// The image `id`; `None` when it does not exist or is not shared with us.
pub(super) async fn by_id(cx: &Cx, id: &str) -> Result<Option<Image>> {
    let answer =
        cx.aws.ec2.describe_images().image_ids(id).include_deprecated(true).send().await.unless(
            &["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"],
            format!("looking for image {id}"),
        )?;
    let images = answer.and_then(|answer| answer.images).unwrap_or_default();
    Ok(images.first().map(|image| Image::read(cx, image)))
}

/// The image to use from now on: `current` while it suits, else the one the configuration names,
/// else Canonical's newest Ubuntu 24.04.
pub(super) async fn resolve(cx: &Cx, current: Option<Image>) -> Result<Image> {
    let architecture = architecture(cx).await?;
    let image = match (current, &cx.config.instance.image) {
        (Some(current), _) if current.suits(cx, &architecture) => current,
        (_, Some(id)) => by_id(cx, id.as_str()).await?.ok_or_else(|| {
            Hinted::user(
                format!("there is no image {id} in {}", cx.names.region()),
                "set [instance] image in jitsi.toml to an image of this region, or remove it",
            )
        })?,
        (_, None) => newest_ubuntu(cx, &architecture).await?,
    };
    let kind = cx.config.instance.instance_type.as_str();
    if image.architecture != architecture {
        return Err(Hinted::user(
            format!(
                "image {} is for {}, but {kind} needs {architecture}",
                image.id, image.architecture
            ),
            "change [instance] image or type in jitsi.toml",
        )
        .into());
    }
    if i64::from(image.root_gib) > i64::from(cx.config.instance.disk_gib) {
        return Err(Hinted::user(
            format!("image {} needs a root volume of {} GiB", image.id, image.root_gib),
            format!("set [instance] disk_gib in jitsi.toml to {} or more", image.root_gib),
        )
        .into());
    }
    Ok(image)
}

async fn newest_ubuntu(cx: &Cx, architecture: &str) -> Result<Image> {
    let debian =
        if architecture == Architecture::Arm.aws() { Architecture::Arm } else { Architecture::X86 };
    let name = format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{}-server-*", debian.debian());
    let mut pages = cx
        .aws
        .ec2
        .describe_images()
        .owners(canonical(&cx.names))
        .filters(filter("name", &name))
        .filters(filter("state", "available"))
        .into_paginator()
        .items()
        .send();
    let mut images = Vec::new();
    while let Some(image) = pages.next().await {
        images.push(image.doing("looking for Canonical's Ubuntu images")?);
    }
    let newest = newest(&images).with_context(|| {
        Hinted::user(
            format!("Canonical has no image `{name}` in {}", cx.names.region()),
            "set [instance] image in jitsi.toml to an Ubuntu 24.04 image of this region",
        )
    })?;
    Ok(Image::read(cx, newest))
}

/// The newest by the date in its name, `…-server-20261104.1`, which unlike the creation date is the
/// same in every region.
fn newest(images: &[types::Image]) -> Option<&types::Image> {
    images.iter().max_by_key(|image| (image.name(), image.image_id()))
}

/// What the instance type's processor runs, in EC2's words.
async fn architecture(cx: &Cx) -> Result<String> {
    let kind = cx.config.instance.instance_type.as_str();
    let answer = cx
        .aws
        .ec2
        .describe_instance_types()
        .instance_types(InstanceType::from(kind))
        .send()
        .await
        .unless(&["InvalidInstanceType"], format!("asking what {kind} is"))?;
    let types = answer.and_then(|answer| answer.instance_types).unwrap_or_default();
    // Old x86 types also name i386, which no image of ours is for.
    let runs = types
        .iter()
        .filter_map(|known| known.processor_info())
        .flat_map(types::ProcessorInfo::supported_architectures)
        .map(types::ArchitectureType::as_str)
        .find(|runs| {
            [Architecture::X86, Architecture::Arm].iter().any(|known| known.aws() == *runs)
        });
    Ok(runs
        .with_context(|| {
            Hinted::user(
                format!(
                    "{kind} cannot run Ubuntu in {}, or there is no such instance type",
                    cx.names.region()
                ),
                "set [instance] type in jitsi.toml to another type, such as t3.large",
            )
        })?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_the_last_by_date_and_respin() {
        let image = |date: &str| types::Image::builder().name(format!("…-server-{date}")).build();
        let images = [image("20251022"), image("20261104.1"), image("20261104"), image("20260101")];
        assert_eq!(newest(&images).and_then(|image| image.name()), Some("…-server-20261104.1"));
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn canonical_has_an_account_in_each_partition() {
        let of = |region| canonical(&Names::new("jitsi", region, "123456789012"));
        assert_eq!(of("eu-central-1"), "099720109477");
        assert_eq!(of("cn-north-1"), "837727238323");
        assert_eq!(of("us-gov-west-1"), "513442679011");
    }
}
