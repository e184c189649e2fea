//! What a launch template says, both ways: as AWS takes it and as AWS tells it.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    InstanceType, LaunchTemplateBlockDeviceMapping, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateEbsBlockDevice, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptions,
    LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateInstanceNetworkInterfaceSpecification,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType,
    ResponseLaunchTemplateData, Tag, VolumeType,
};
use aws_smithy_types::base64;

use super::{agent_object::abridged, difference::difference};
use crate::{
    cx::Cx,
    engine::{Drift, Stage},
    tags,
};

/// How an instance is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) image: String,
    pub(super) kind: String,
    pub(super) root_device: String,
    key_pair: String,
    profile: String,
    security_groups: String,
    public_address: bool,
    root_gib: i32,
    volume_type: String,
    encrypted: bool,
    tokens: String,
    hop_limit: i32,
    /// What else it says, by name: nothing of it is ours.
    others: Vec<&'static str>,
    /// Key and value by resource type.
    tags: BTreeMap<String, BTreeMap<String, String>>,
    user_data: String,
}

/// What the instance does at boot: which agent it starts, with which settings.
pub(super) const USER_DATA: &str = "user data";

/// The agent that the instance starts.
const AGENT: &str = "agent";

/// What an instance brings along, and what is therefore tagged at launch.
const TAGGED: [ResourceType; 3] =
    [ResourceType::Instance, ResourceType::NetworkInterface, ResourceType::Volume];

impl Recipe {
    /// What the configuration asks for.
    pub(super) fn wanted(
        cx: &Cx,
        image: &str,
        root_device: &str,
        security_group: &str,
        user_data: String,
    ) -> Self {
        let own: BTreeMap<String, String> =
            tags::new(&cx.names, Stage::Instances, cx.names.deployment())
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        Self {
            image: image.to_owned(),
            kind: cx.config.instance.instance_type.to_string(),
            root_device: root_device.to_owned(),
            key_pair: cx.names.deployment().to_owned(),
            profile: cx.names.instance_role(),
            security_groups: security_group.to_owned(),
            public_address: true,
            root_gib: i32::try_from(cx.config.instance.disk_gib).unwrap_or(i32::MAX),
            volume_type: VolumeType::Gp3.to_string(),
            encrypted: true,
            tokens: LaunchTemplateHttpTokensState::Required.to_string(),
            // What is routed through the instance, a container say, cannot reach the role's credentials.
            hop_limit: 1,
            others: Vec::new(),
            tags: TAGGED.map(|kind| (kind.to_string(), own.clone())).into(),
            user_data,
        }
    }

    /// What AWS says a version holds.
    pub(super) fn read(data: &ResponseLaunchTemplateData) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let root = data.block_device_mappings().first();
        let volume = root.and_then(LaunchTemplateBlockDeviceMapping::ebs);
        let interface = data.network_interfaces().first();
        let metadata = data.metadata_options();
        let mut tags: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for specification in data.tag_specifications() {
            let Some(kind) = specification.resource_type().filter(|kind| TAGGED.contains(kind))
            else {
                continue; // AWS takes tags for more kinds of things than an instance brings along
            };
            let own = specification.tags().iter().map(|tag| (text(tag.key()), text(tag.value())));
            tags.entry(kind.to_string()).or_default().extend(own);
        }
        // What cannot be decoded is not ours, and differs from what is.
        let user_data =
            data.user_data().and_then(|data| base64::decode(data).ok()).unwrap_or_default();
        Self {
            image: text(data.image_id()),
            kind: text(data.instance_type().map(InstanceType::as_str)),
            root_device: text(root.and_then(|root| root.device_name())),
            key_pair: text(data.key_name()),
            profile: text(data.iam_instance_profile().and_then(|profile| profile.name())),
            security_groups: interface.map(|own| own.groups().join(", ")).unwrap_or_default(),
            public_address: interface
                .and_then(LaunchTemplateInstanceNetworkInterfaceSpecification::associate_public_ip_address)
                .unwrap_or(false),
            root_gib: volume.and_then(LaunchTemplateEbsBlockDevice::volume_size).unwrap_or_default(),
            volume_type: text(
                volume.and_then(|volume| volume.volume_type()).map(VolumeType::as_str),
            ),
            encrypted: volume.and_then(LaunchTemplateEbsBlockDevice::encrypted).unwrap_or(false),
            tokens: text(
                metadata.and_then(|options| options.http_tokens()).map(LaunchTemplateHttpTokensState::as_str),
            ),
            hop_limit: metadata
                .and_then(LaunchTemplateInstanceMetadataOptions::http_put_response_hop_limit)
                .unwrap_or_default(),
            others: others(data),
            tags,
            user_data: String::from_utf8_lossy(&user_data).into_owned(),
        }
    }

    /// The recipe as AWS takes it.
    pub(super) fn request(&self) -> RequestLaunchTemplateData {
        let root = LaunchTemplateBlockDeviceMappingRequest::builder()
            .device_name(&self.root_device)
            .ebs(
                LaunchTemplateEbsBlockDeviceRequest::builder()
                    .volume_size(self.root_gib)
                    .volume_type(VolumeType::from(self.volume_type.as_str()))
                    .encrypted(self.encrypted)
                    .delete_on_termination(true)
                    .build(),
            )
            .build();
        let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
            .device_index(0)
            .associate_public_ip_address(self.public_address)
            .delete_on_termination(true)
            .groups(&self.security_groups)
            .build();
        let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
            .http_tokens(LaunchTemplateHttpTokensState::from(self.tokens.as_str()))
            .http_put_response_hop_limit(self.hop_limit)
            .build();
        let tags = self.tags.iter().map(|(kind, tags)| {
            let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
            LaunchTemplateTagSpecificationRequest::builder()
                .resource_type(ResourceType::from(kind.as_str()))
                .set_tags(Some(tags.collect()))
                .build()
        });
        RequestLaunchTemplateData::builder()
            .image_id(&self.image)
            .instance_type(InstanceType::from(self.kind.as_str()))
            .key_name(&self.key_pair)
            .iam_instance_profile(
                LaunchTemplateIamInstanceProfileSpecificationRequest::builder()
                    .name(&self.profile)
                    .build(),
            )
            .block_device_mappings(root)
            .network_interfaces(interface)
            .metadata_options(metadata)
            .set_tag_specifications(Some(tags.collect()))
            .user_data(base64::encode(&self.user_data))
            .build()
    }

    /// Where this one differs from what is `wanted`.
    pub(super) fn drift(&self, wanted: &Self) -> Vec<Drift> {
        let fields = self.facts().into_iter().zip(wanted.facts());
        let mut pairs: Vec<(&'static str, String, String)> =
            fields.map(|((field, actual), (_, wanted))| (field, actual, wanted)).collect();
        let (agent, next) = (self.agent(), wanted.agent());
        pairs.push((AGENT, digest(agent), digest(next)));
        // The agent's digest stands there more than once.
        let rest = |text: &str, agent: Option<&str>| {
            agent.map_or_else(|| text.to_owned(), |digest| text.replace(digest, AGENT))
        };
        let (actual, wanted) =
            difference(&rest(&self.user_data, agent), &rest(&wanted.user_data, next));
        pairs.push((USER_DATA, actual, wanted));
        pairs
            .into_iter()
            .filter(|(_, actual, wanted)| actual != wanted)
            .map(|(field, actual, wanted)| Drift {
                field,
                actual,
                wanted,
                effect: Some(
                    "nothing yet; the running instance stays as it is until it is replaced".into(),
                ),
            })
            .collect()
    }

    /// The old domain and the new one, when `wanted` is for another.
    pub(super) fn moves_to<'a>(&'a self, wanted: &'a Self) -> Option<(&'a str, &'a str)> {
        self.domain().zip(wanted.domain()).filter(|(old, new)| old != new)
    }

    /// The site's domain among the agent's settings.
    fn domain(&self) -> Option<&str> {
        self.boots_with("\"domain\":\"")
    }

    /// The agent's SHA-256.
    fn agent(&self) -> Option<&str> {
        self.boots_with("SHA256 = \"").filter(|digest| !digest.is_empty())
    }

    /// What stands in the user data between `mark` and the next quotation mark.
    fn boots_with(&self, mark: &str) -> Option<&str> {
        let (_, rest) = self.user_data.split_once(mark)?;
        rest.split('"').next()
    }

    /// Takes over what another one says to do at boot.
    pub(super) fn with_user_data_of(self, other: &Self) -> Self {
        Self { user_data: other.user_data.clone(), ..self }
    }

    /// All but the user data, in words.
    fn facts(&self) -> [(&'static str, String); 9] {
        let volume = format!(
            "{} GiB {}, {}, as {}",
            self.root_gib,
            self.volume_type,
            if self.encrypted { "encrypted" } else { "not encrypted" },
            self.root_device
        );
        [
            ("instance type", self.kind.clone()),
            ("image", self.image.clone()),
            ("root volume", volume),
            ("instance profile", self.profile.clone()),
            ("key pair", self.key_pair.clone()),
            (
                "network interface",
                format!(
                    "{}, {} address",
                    self.security_groups,
                    if self.public_address { "public" } else { "private" }
                ),
            ),
            ("metadata service", format!("tokens {}, hop limit {}", self.tokens, self.hop_limit)),
            (
                "other settings",
                if self.others.is_empty() { "none".to_owned() } else { self.others.join(", ") },
            ),
            ("tags", self.tag_lines()),
        ]
    }

    /// The tags in one line. The version that wrote them is no difference: a new jitsi-aws alone
    /// makes no new version of the template.
    fn tag_lines(&self) -> String {
        let lines = self.tags.iter().map(|(kind, tags)| {
            let tags: Vec<String> = tags
                .iter()
                .filter(|(key, _)| *key != tags::VERSION)
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("{kind}: {}", tags.join(" "))
        });
        lines.collect::<Vec<_>>().join("; ")
    }
}

/// What a version says besides what ours say: an instance that nobody can end, or a spot one, for example, and one that
/// cannot reach the metadata service, which gives it its credentials.
fn others(data: &ResponseLaunchTemplateData) -> Vec<&'static str> {
    use LaunchTemplateInstanceMetadataEndpointState::Disabled;
    let volume = data.block_device_mappings().first().and_then(|root| root.ebs());
    let interface = data.network_interfaces().first();
    let metadata = data.metadata_options();
    [
        ("capacity reservation", data.capacity_reservation_specification().is_some()),
        ("further network interfaces", data.network_interfaces().len() > 1),
        ("further volumes", data.block_device_mappings().len() > 1),
        ("hibernation", data.hibernation_options().is_some_and(|o| o.configured() == Some(true))),
        ("instance requirements", data.instance_requirements().is_some()),
        ("market", data.instance_market_options().is_some()),
        ("metadata service off", metadata.is_some_and(|m| m.http_endpoint() == Some(&Disabled))),
        (
            "network interface kept",
            interface.is_some_and(|i| i.delete_on_termination() == Some(false)),
        ),
        ("placement", data.placement().is_some()),
        ("shutdown behavior", data.instance_initiated_shutdown_behavior().is_some()),
        ("stop protection", data.disable_api_stop() == Some(true)),
        ("termination protection", data.disable_api_termination() == Some(true)),
        ("volume kept", volume.is_some_and(|v| v.delete_on_termination() == Some(false))),
        ("volume key", volume.is_some_and(|v| v.kms_key_id().is_some())),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect()
}

/// The beginning of the agent's SHA-256, as the agent object shows it.
fn digest(agent: Option<&str>) -> String {
    agent.map_or_else(|| "none".to_owned(), abridged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_by_hand_says_besides_is_told() {
        let metadata = |endpoint| {
            LaunchTemplateInstanceMetadataOptions::builder().http_endpoint(endpoint).build()
        };
        let enabled = LaunchTemplateInstanceMetadataEndpointState::Enabled;
        let ours = ResponseLaunchTemplateData::builder()
            .disable_api_termination(false)
            .metadata_options(metadata(enabled))
            .block_device_mappings(LaunchTemplateBlockDeviceMapping::builder().build());
        assert_eq!(others(&ours.clone().build()), [""; 0]);
        let disabled = LaunchTemplateInstanceMetadataEndpointState::Disabled;
        let by_hand = ours
            .disable_api_termination(true)
            .metadata_options(metadata(disabled))
            .block_device_mappings(LaunchTemplateBlockDeviceMapping::builder().build())
            .build();
        assert_eq!(
            others(&by_hand),
            ["further volumes", "metadata service off", "termination protection"]
        );
        let drift =
            Recipe::read(&by_hand).drift(&Recipe { others: vec![], ..Recipe::read(&by_hand) });
        assert_eq!(drift.len(), 1);
        assert_eq!((drift[0].field, drift[0].wanted.as_str()), ("other settings", "none"));
    }

    #[test]
    fn drift_is_said_by_field() {
        let own: BTreeMap<String, String> =
            [("Name", "jitsi"), (tags::VERSION, "0.1.0")].map(|(k, v)| (k.into(), v.into())).into();
        let recipe = Recipe {
            image: "ami-1".into(),
            kind: "t3.large".into(),
            root_device: "/dev/sda1".into(),
            key_pair: "jitsi".into(),
            profile: "jitsi-instance".into(),
            security_groups: "sg-1".into(),
            public_address: true,
            root_gib: 20,
            volume_type: "gp3".into(),
            encrypted: true,
            tokens: "required".into(),
            hop_limit: 1,
            others: Vec::new(),
            tags: TAGGED.map(|kind| (kind.to_string(), own.clone())).into(),
            user_data: "#!/bin/sh".into(),
        };
        assert_eq!(recipe.drift(&recipe), []);
        let mut older = recipe.clone();
        older
            .tags
            .values_mut()
            .for_each(|tags| drop(tags.insert(tags::VERSION.into(), "0.0.9".into())));
        assert_eq!(older.drift(&recipe), [], "a new jitsi-aws alone");
        let small = Recipe { kind: "t3.small".into(), hop_limit: 2, ..recipe.clone() };
        let said: Vec<String> = small
            .drift(&recipe)
            .iter()
            .map(|drift| format!("{}: {} → {}", drift.field, drift.actual, drift.wanted))
            .collect();
        assert_eq!(
            said,
            [
                "instance type: t3.small → t3.large",
                "metadata service: tokens required, hop limit 2 → tokens required, hop limit 1",
            ]
        );
        let request = recipe.request();
        assert_eq!(request.user_data(), Some("IyEvYmluL3No"));
        assert_eq!(request.tag_specifications().len(), 3);
    }
}
