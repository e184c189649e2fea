//! Machine images: Debian's newest of the release the configuration asks for, or one it names.

use anyhow::{Context, Result};
use aws_sdk_ec2::types::{self, BootModeValues, DeviceType, InstanceType};

use super::ec2::filter;
use crate::{
    aws::Answer,
    config::{Architecture, Debian, ImageChoice},
    cx::Cx,
    engine::Key,
    error::Hinted,
    names::Names,
};

/// An image an instance can be made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// `ami-…`.
    pub(super) id: String,
    /// What it is for, in EC2's words; more kinds exist than ours.
    pub(super) architecture: String,
    /// The root volume's device name: `/dev/xvda` with Debian, `/dev/sda1` with Ubuntu.
    pub(super) root_device: String,
    /// Least size of the root volume.
    pub(super) root_gib: i32,
    name: String,
    origin: Origin,
    on_ebs: bool,
    /// What firmware it can only be booted by; `None` when any will do.
    boot_mode: Option<BootModeValues>,
    /// The driver of Nitro's network, without which an instance is not reachable.
    without_ena: bool,
}

/// Who made an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Debian itself, of a release that was proven.
    Debian(Debian),
    /// Canonical.
    Canonical,
    /// Somebody else, or a release that was not proven.
    Other,
}

/// What an instance type's hardware asks of an image.
#[derive(Debug)]
struct Hardware {
    architecture: Architecture,
    boot_modes: Vec<String>,
    needs_ena: bool,
}

/// Debian's account (Debian wiki, "Cloud/AmazonEC2Image"); known for the commercial partition only.
fn debian(names: &Names) -> Option<&'static str> {
    (names.partition() == "aws").then_some("136693071363")
}

/// Canonical's account in each partition (Ubuntu on AWS documentation, "Find Ubuntu images on AWS").
fn canonical(names: &Names) -> Option<&'static str> {
    match names.partition() {
        "aws" => Some("099720109477"),
        "aws-cn" => Some("837727238323"),
        "aws-us-gov" => Some("513442679011"),
        _ => None,
    }
}

/// Whose newest image is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publisher {
    Debian(Debian, &'static str),
    /// Where no account of Debian's is known.
    Canonical(&'static str),
}

impl Publisher {
    /// By what the configuration names; `None` when there is none in this partition.
    fn wanted(cx: &Cx) -> Option<Self> {
        let (release, named) = match cx.config.instance.image {
            Some(ImageChoice::Newest(release)) => (release, true),
            _ => (Debian::Trixie, false),
        };
        let account = debian(&cx.names).map(|account| Self::Debian(release, account));
        account.or_else(|| if named { None } else { canonical(&cx.names).map(Self::Canonical) })
    }

    fn account(self) -> &'static str {
        match self {
            Self::Debian(_, account) | Self::Canonical(account) => account,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Debian(release, _) => release.to_string(),
            Self::Canonical(_) => "Ubuntu 24.04".to_owned(),
        }
    }

    /// What every name of its images begins with.
    fn prefix(self, architecture: Architecture) -> String {
        let architecture = architecture.debian();
        match self {
            Self::Debian(release, _) => format!("{}-{architecture}-", release.as_str()),
            Self::Canonical(_) => {
                format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{architecture}-server-")
            }
        }
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
        let name = image.name().unwrap_or_default();
        let owner = image.owner_id();
        let release = Debian::ALL.into_iter().find(|release| {
            [Architecture::X86, Architecture::Arm].into_iter().any(|architecture| {
                let prefix = format!("{}-{}-", release.as_str(), architecture.debian());
                published(name, &prefix).is_some()
            })
        });
        let origin = match release {
            Some(release) if owner.is_some() && owner == debian(&cx.names) => {
                Origin::Debian(release)
            }
            _ if owner.is_some() && owner == canonical(&cx.names) => Origin::Canonical,
            _ => Origin::Other,
        };
        Self {
            id: image.image_id().unwrap_or_default().to_owned(),
            architecture: image.architecture().map_or("", |a| a.as_str()).to_owned(),
            root_device: root_device.to_owned(),
            root_gib: root.and_then(types::EbsBlockDevice::volume_size).unwrap_or_default(),
            name: name.to_owned(),
            origin,
            on_ebs: image.root_device_type() == Some(&DeviceType::Ebs),
            boot_mode: image
                .boot_mode()
                .filter(|mode| **mode != BootModeValues::UefiPreferred)
                .cloned(),
            without_ena: image.ena_support() == Some(false),
        }
    }

    /// Whether it may stay in use: it is what the configuration names or, where that names nothing,
    /// an official one. A newer one alone is no reason to change: a rerun changes nothing.
    pub(super) fn suits(&self, cx: &Cx, architecture: &str) -> bool {
        let chosen = match &cx.config.instance.image {
            None => self.origin != Origin::Other,
            Some(ImageChoice::Newest(release)) => self.origin == Origin::Debian(*release),
            Some(ImageChoice::Id(id)) => id.as_str() == self.id,
        };
        chosen && self.architecture == architecture
    }

    /// The glibc its programs find, where it is known.
    pub(super) fn glibc(&self) -> Option<(u32, u32)> {
        match self.origin {
            Origin::Debian(release) => Some(release.glibc()),
            Origin::Canonical | Origin::Other => None,
        }
    }

    /// Tells the user, once in a run, that nobody has seen a deployment live on this image.
    pub(super) fn tell_if_unproven(&self, cx: &Cx) {
        if matches!(self.origin, Origin::Debian(_)) {
            return;
        }
        let [default, other] = Debian::ALL;
        let ask = match debian(&cx.names) {
            Some(_) => format!(": [instance] image = \"{}\" takes the newest", default.as_str()),
            None => String::new(),
        };
        let name = if self.name.is_empty() { "without a name" } else { &self.name };
        cx.note(
            &Key::LaunchTemplate,
            format!(
                "image {} ({name}) is unproven: what is proven end to end is {default} and {other}{ask}",
                self.id
            ),
        );
    }

    /// Why an instance of `kind` cannot be made from it, and what to do.
    fn refusal(&self, kind: &str, hardware: &Hardware) -> Option<(String, String)> {
        let needed = hardware.architecture.aws();
        let (id, either) = (&self.id, "change [instance] image or type in jitsi.toml");
        let boots = self.boot_mode.as_ref().is_none_or(|mode| {
            hardware.boot_modes.is_empty() || hardware.boot_modes.iter().any(|m| m == mode.as_str())
        });
        let what = if self.architecture != needed {
            format!("image {id} is for {}, but {kind} needs {needed}", self.architecture)
        } else if !self.on_ebs {
            format!("image {id} has its root on instance store, which no volume of ours replaces")
        } else if !boots {
            let mode = self.boot_mode.as_ref().map_or("", |mode| mode.as_str());
            format!("image {id} boots by {mode}, which {kind} cannot")
        } else if hardware.needs_ena && self.without_ena {
            format!("image {id} has no driver for {kind}'s network (ENA)")
        } else {
            return None;
        };
        Some((what, either.to_owned()))
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

/// Whether the image that the configuration names, if it names one, exists and fits; asked before anything
/// is written. Tells of an unproven one.
pub(super) async fn check(cx: &Cx) -> Result<()> {
    let Some(ImageChoice::Id(id)) = &cx.config.instance.image else { return Ok(()) };
    let image = named(cx, id.as_str()).await?;
    fits(cx, &image, &hardware(cx, cx.config.instance.instance_type.as_str()).await?)?;
    image.tell_if_unproven(cx);
    Ok(())
}

async fn named(cx: &Cx, id: &str) -> Result<Image> {
    Ok(by_id(cx, id).await?.ok_or_else(|| {
        Hinted::user(
            format!("there is no image {id} in {}", cx.names.region()),
            "set [instance] image in jitsi.toml to an image of this region, or remove it",
        )
    })?)
}

/// What would be chosen for a new instance, in words or as the id the configuration names.
pub(super) fn described(cx: &Cx, architecture: Architecture) -> String {
    if let Some(ImageChoice::Id(id)) = &cx.config.instance.image {
        return id.to_string();
    }
    let what = Publisher::wanted(cx).map_or_else(|| "image".to_owned(), Publisher::describe);
    format!("the newest {what} for {architecture}")
}

/// The image to use from now on: `current` while it suits, else the one the configuration names,
/// else the newest of its release.
pub(super) async fn resolve(cx: &Cx, current: Option<Image>) -> Result<Image> {
    let kind = cx.config.instance.instance_type.as_str();
    let hardware = hardware(cx, kind).await?;
    let image = match (current, &cx.config.instance.image) {
        (Some(current), _) if current.suits(cx, hardware.architecture.aws()) => current,
        (_, Some(ImageChoice::Id(id))) => named(cx, id.as_str()).await?,
        _ => newest_published(cx, hardware.architecture).await?,
    };
    fits(cx, &image, &hardware)?;
    Ok(image)
}

/// Whether an instance as configured can be made from it.
fn fits(cx: &Cx, image: &Image, hardware: &Hardware) -> Result<()> {
    let instance = &cx.config.instance;
    if let Some((what, hint)) = image.refusal(instance.instance_type.as_str(), hardware) {
        return Err(Hinted::user(what, hint).into());
    }
    if i64::from(image.root_gib) > i64::from(instance.disk_gib) {
        return Err(Hinted::user(
            format!("image {} needs a root volume of {} GiB", image.id, image.root_gib),
            format!("set [instance] disk_gib in jitsi.toml to {} or more", image.root_gib),
        )
        .into());
    }
    Ok(())
}

async fn newest_published(cx: &Cx, architecture: Architecture) -> Result<Image> {
    let unnamed = |what: String| {
        Hinted::user(what, "set [instance] image in jitsi.toml to the id of a Debian image there")
    };
    let publisher = Publisher::wanted(cx).ok_or_else(|| {
        unnamed(format!("no publisher of images is known in {}", cx.names.region()))
    })?;
    let (what, prefix) = (publisher.describe(), publisher.prefix(architecture));
    let mut pages = cx
        .aws
        .ec2
        .describe_images()
        .owners(publisher.account())
        .filters(filter("name", format!("{prefix}*")))
        .filters(filter("state", "available"))
        .into_paginator()
        .items()
        .send();
    let mut images = Vec::new();
    while let Some(image) = pages.next().await {
        images.push(image.doing(format!("looking for images of {what}"))?);
    }
    let newest = newest(&images, &prefix).with_context(|| {
        let (owner, region) = (publisher.account(), cx.names.region());
        unnamed(format!("account {owner} has no image `{prefix}*` of {what} in {region}"))
    })?;
    Ok(Image::read(cx, newest))
}

/// Date and build in an official name, `debian-13-amd64-20261020-2290` or `…-server-20261104.1`, which
/// unlike the creation date are the same in every region. Daily builds and backported kernels have
/// another word there.
fn published(name: &str, prefix: &str) -> Option<(u32, u32)> {
    let dated = name.strip_prefix(prefix)?;
    let (date, build) = dated.split_once(['-', '.']).unwrap_or((dated, "0"));
    let number =
        |text: &str| text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()));
    (date.len() == 8).then(|| Some((number(date)?, number(build)?)))?
}

fn newest<'a>(images: &'a [types::Image], prefix: &str) -> Option<&'a types::Image> {
    let dated = |image: &types::Image| published(image.name()?, prefix);
    images
        .iter()
        .filter(|image| dated(image).is_some())
        .max_by_key(|image| (dated(image), image.image_id()))
}

/// What the instance type's hardware asks of an image.
async fn hardware(cx: &Cx, kind: &str) -> Result<Hardware> {
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
    let architecture = types
        .iter()
        .filter_map(|known| known.processor_info())
        .flat_map(types::ProcessorInfo::supported_architectures)
        .find_map(|runs| {
            [Architecture::X86, Architecture::Arm]
                .into_iter()
                .find(|known| known.aws() == runs.as_str())
        })
        .with_context(|| {
            Hinted::user(
                format!(
                    "{kind} cannot run Linux in {}, or there is no such instance type",
                    cx.names.region()
                ),
                "set [instance] type in jitsi.toml to another type, such as t3.large",
            )
        })?;
    let modes = types.iter().flat_map(types::InstanceTypeInfo::supported_boot_modes);
    let network = types.iter().find_map(|known| known.network_info());
    Ok(Hardware {
        architecture,
        boot_modes: modes.map(|mode| mode.as_str().to_owned()).collect(),
        needs_ena: network.and_then(types::NetworkInfo::ena_support)
            == Some(&types::EnaSupport::Required),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "debian-13-amd64-";

    fn named(name: &str) -> types::Image {
        types::Image::builder().name(name).build()
    }

    #[test]
    fn the_newest_is_the_last_by_date_and_build() {
        let images = [
            "debian-13-amd64-20251022-999",
            "debian-13-amd64-20261104-10000",
            "debian-13-amd64-20261104-2290",
            "debian-13-amd64-daily-20991231-1",
            "debian-13-amd64-backports-20991231-1",
            "debian-13-amd64-20991231-1-dev",
            "debian-13-backports-amd64-20991231-1",
        ]
        .map(named);
        let found = newest(&images, PREFIX).and_then(|image| image.name());
        assert_eq!(found, Some("debian-13-amd64-20261104-10000"));
        assert_eq!(newest(&[], PREFIX), None);
        assert_eq!(published("…-server-20261104.1", "…-server-"), Some((20_261_104, 1)));
    }

    #[test]
    fn accounts_are_known_or_absent() {
        let of = |region| {
            let names = Names::new("jitsi", region, "123456789012");
            (debian(&names), canonical(&names))
        };
        assert_eq!(of("eu-central-1"), (Some("136693071363"), Some("099720109477")));
        assert_eq!(of("cn-north-1"), (None, Some("837727238323")));
        assert_eq!(of("us-gov-west-1"), (None, Some("513442679011")));
        assert_eq!(of("eusc-de-east-1"), (None, None));
    }

    #[test]
    fn an_image_must_fit_the_hardware() {
        let good = Image {
            id: "ami-1".into(),
            architecture: "x86_64".into(),
            root_device: "/dev/xvda".into(),
            root_gib: 8,
            name: "debian-13-amd64-20261101-2290".into(),
            origin: Origin::Debian(Debian::Trixie),
            on_ebs: true,
            boot_mode: Some(BootModeValues::Uefi),
            without_ena: true,
        };
        let hardware = |modes: &[&str], needs_ena| Hardware {
            architecture: Architecture::X86,
            boot_modes: modes.iter().map(ToString::to_string).collect(),
            needs_ena,
        };
        let old = hardware(&["legacy-bios"], false);
        let new = hardware(&["legacy-bios", "uefi"], true);
        let said = |image: &Image, kind, hardware: &Hardware| {
            image.refusal(kind, hardware).map(|(what, _)| what)
        };
        assert_eq!(
            said(&good, "t2.large", &old).as_deref(),
            Some("image ami-1 boots by uefi, which t2.large cannot")
        );
        assert_eq!(
            said(&good, "t3.large", &new).as_deref(),
            Some("image ami-1 has no driver for t3.large's network (ENA)")
        );
        let either = Image { boot_mode: None, without_ena: false, ..good.clone() };
        assert_eq!(said(&either, "t2.large", &old), None);
        assert_eq!(said(&either, "t3.large", &new), None);
        let store = Image { on_ebs: false, ..either.clone() };
        assert!(said(&store, "t3.large", &new).is_some_and(|what| what.contains("instance store")));
        let arm = Image { architecture: "arm64".into(), ..either };
        assert_eq!(
            said(&arm, "t3.large", &new).as_deref(),
            Some("image ami-1 is for arm64, but t3.large needs x86_64")
        );
    }
}
