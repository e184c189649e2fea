//! Reads the settings, from TOML a person wrote or JSON user-data carries, and writes them small.

use std::time::Duration;

use serde_json::Value;

use super::reader::{Section, read};
use super::source::{Table, json_table, toml_table};
use super::values::{duration, flag, integer, ipv4_range, one_of, text};
use super::{
    Apt, Authentication, Domain, InstanceSettings, Jitsi, Problem, Repository, Watch, checks,
};

/// The longest a replacement waits for people: a lifecycle hook's heartbeat ends after 2 h and a
/// target group's deregistration delay after 1 h (ELB API, `deregistration_delay.timeout_seconds`).
pub const DRAIN_LIMIT: Duration = Duration::from_hours(1);

impl InstanceSettings {
    /// Reads TOML and reports every problem at once.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Problem>> {
        Self::from_table(&toml_table(text)?)
    }

    /// Reads JSON and reports every problem at once.
    pub fn from_json(text: &str) -> Result<Self, Vec<Problem>> {
        Self::from_table(&json_table(text)?)
    }

    /// Compact JSON without what is as by default: it travels in user-data.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        leave_out(&mut value, "jitsi", &serde_json::to_value(Jitsi::default())?);
        leave_out(&mut value, "watch", &serde_json::to_value(Watch::default())?);
        serde_json::to_string(&value)
    }

    fn from_table(table: &Table) -> Result<Self, Vec<Problem>> {
        match read(table, Self::read) {
            (Some(settings), problems) if problems.is_empty() => Ok(settings),
            (_, problems) => Err(problems),
        }
    }

    fn read(table: &mut Section<'_>) -> Option<Self> {
        let deployment =
            table.required("deployment", "the deployment's name", text(checks::deployment_name));
        let region = table.required("region", "the AWS region", text(checks::region));
        let domain = table.required("domain", "the host name people type", text(Domain::parse));
        let vpc_cidr = table.required(
            "vpc_cidr",
            "the VPC's address range, such as \"10.20.0.0/16\"",
            text(ipv4_range),
        );
        let auto_scaling_group = table.required(
            "auto_scaling_group",
            "the Auto Scaling group's name",
            text(checks::aws_name),
        );
        let launch_hook = table.required(
            "launch_hook",
            "the launch lifecycle hook's name",
            text(checks::aws_name),
        );
        let terminate_hook = table.required(
            "terminate_hook",
            "the terminate lifecycle hook's name",
            text(checks::aws_name),
        );
        let drain = table.required("drain", "a time such as \"30m\"", duration(DRAIN_LIMIT));
        let jitsi = table.section("jitsi", Jitsi::read);
        let watch = table.section("watch", Watch::read);
        Some(Self {
            deployment: deployment?,
            region: region?,
            domain: domain?,
            vpc_cidr: vpc_cidr?,
            auto_scaling_group: auto_scaling_group?,
            launch_hook: launch_hook?,
            terminate_hook: terminate_hook?,
            drain: drain?,
            jitsi,
            watch,
        })
    }
}

impl Jitsi {
    /// Reads `[jitsi]`; what is absent or unusable is as by default.
    pub fn read(table: &mut Section<'_>) -> Self {
        Self {
            version: table.optional("version", text(checks::package_version)),
            authentication: table
                .section("authentication", Authentication::read)
                .unwrap_or_default(),
            lobby: table.or("lobby", false, flag),
            apt: table.section("apt", Apt::read),
        }
    }
}

/// The word after `mode =`.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Open,
    Jwt,
    SecureDomain,
}

impl Authentication {
    fn read(table: &mut Section<'_>) -> Option<Self> {
        let modes =
            [("open", Mode::Open), ("jwt", Mode::Jwt), ("secure-domain", Mode::SecureDomain)];
        let mode = if table.has("mode") {
            table.optional("mode", one_of(&modes))
        } else {
            Some(Mode::Open)
        };
        for (key, of) in [
            ("app_id", Mode::Jwt),
            ("secret_parameter", Mode::Jwt),
            ("users_path", Mode::SecureDomain),
        ] {
            if table.has(key) && mode.is_some_and(|mode| mode != of) {
                let name = modes.iter().find(|(_, mode)| *mode == of).map_or("", |(name, _)| name);
                table.problem(key, format!("is for mode = \"{name}\" only"));
            }
        }
        match mode? {
            Mode::Open => Some(Self::Open),
            Mode::Jwt => {
                let app_id = table.required(
                    "app_id",
                    "the issuer (`iss`) of the tokens, such as \"my-app\"",
                    text(checks::app_id),
                );
                let secret_parameter = table.required(
                    "secret_parameter",
                    "the SSM SecureString parameter with the signing secret, such as \"/jitsi/jwt-secret\"",
                    text(checks::parameter),
                );
                Some(Self::Jwt { app_id: app_id?, secret_parameter: secret_parameter? })
            }
            Mode::SecureDomain => {
                let users_path = table.required(
                    "users_path",
                    "the SSM path below which each SecureString is a user, such as \"/jitsi/users\"",
                    text(checks::parameter_path),
                );
                Some(Self::SecureDomain { users_path: users_path? })
            }
        }
    }
}

impl Apt {
    fn read(table: &mut Section<'_>) -> Self {
        let Self { jitsi, prosody } = Self::default();
        Self {
            jitsi: table.section("jitsi", |table| jitsi.read(table)),
            prosody: table.section("prosody", |table| prosody.read(table)),
        }
    }
}

impl Repository {
    /// Reads a repository; what is absent stays as in `self`.
    fn read(self, table: &mut Section<'_>) -> Self {
        Self {
            url: table.or("url", self.url, text(checks::url)),
            suite: table.or("suite", self.suite, text(checks::suite)),
            key_url: table.or("key_url", self.key_url, text(checks::url)),
            key_fingerprint: table.or(
                "key_fingerprint",
                self.key_fingerprint,
                text(checks::fingerprint),
            ),
        }
    }
}

impl Watch {
    /// Reads `[watch]`; what is absent or unusable is as by default.
    pub fn read(table: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            component_interval: table.or(
                "component_interval",
                default.component_interval,
                integer(1..=60, "seconds"),
            ),
            meeting_interval: table.or(
                "meeting_interval",
                default.meeting_interval,
                integer(10..=3600, "seconds"),
            ),
            strikes: table.or("strikes", default.strikes, integer(1..=20, "intervals")),
            media_grace: table.or("media_grace", default.media_grace, integer(0..=3600, "seconds")),
        }
    }
}

/// Removes from `parent[key]` everything equal to `default`, and the whole if nothing is left.
fn leave_out(parent: &mut Value, key: &str, default: &Value) {
    let Some(object) = parent.as_object_mut() else { return };
    let Some(value) = object.get_mut(key) else { return };
    if let Some(defaults) = default.as_object() {
        for (key, default) in defaults {
            leave_out(value, key, default);
        }
    }
    if value == default || value.as_object().is_some_and(serde_json::Map::is_empty) {
        object.remove(key);
    }
}
