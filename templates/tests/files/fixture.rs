//! Sites to render: one for each mode, and one with every string open to a test.

use jitsi_templates::settings::InstanceSettings;
use jitsi_templates::{
    Discovered, InstallContext, OwnedFile, ProsodyModules, Result, Secret, Secrets, SiteContext,
    UserData, Versions, render_install, render_site, user_data,
};
use serde_json::{Value, json};

/// Everything Prosody 13 and Jitsi's plugins have that the templates know of.
pub(crate) const ALL_MODULES: &[&str] = &[
    "auth_jitsi-anonymous",
    "auth_token",
    "av_moderation_component",
    "bosh",
    "client_proxy",
    "conference_duration",
    "end_conference",
    "features_identity",
    "limits",
    "limits_exception",
    "muc",
    "muc_breakout_rooms",
    "muc_filter_access",
    "muc_hide_all",
    "muc_lobby_rooms",
    "muc_meeting_id",
    "muc_password_whitelist",
    "muc_rate_limit",
    "ping",
    "polls_component",
    "room_metadata_component",
    "smacks",
    "speakerstats_component",
    "token_verification",
    "websocket",
];

/// Everything the files are rendered from.
pub(crate) struct Fixture {
    pub(crate) settings: InstanceSettings,
    pub(crate) discovered: Discovered,
    pub(crate) secrets: Secrets,
    pub(crate) modules: ProsodyModules,
    pub(crate) versions: Versions,
    pub(crate) codename: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) sha256: String,
}

impl Fixture {
    /// The site with `[jitsi]` as given.
    pub(crate) fn new(jitsi: &Value) -> Self {
        let settings = json!({
            "deployment": "jitsi",
            "region": "eu-central-1",
            "domain": "meet.example.org",
            "vpc_cidr": "10.20.0.0/16",
            "auto_scaling_group": "jitsi",
            "launch_hook": "jitsi-launch",
            "terminate_hook": "jitsi-terminate",
            "drain": 3600,
            "jitsi": jitsi,
        });
        Self {
            settings: InstanceSettings::from_json(&settings.to_string()).unwrap(),
            discovered: Discovered {
                instance_id: "i-0123456789abcdef0".into(),
                private_ipv4: "10.20.3.7".parse().unwrap(),
                public_ipv4: "203.0.113.9".parse().unwrap(),
                total_memory: 7_900 << 20,
            },
            secrets: Secrets {
                focus: Secret::new("focus-password"),
                jvb: Secret::new("jvb-password"),
                probe: Secret::new("probe-password"),
                token: Some(Secret::new("token-secret")),
            },
            modules: ALL_MODULES.iter().copied().collect(),
            versions: Versions::from([
                ("jitsi-meet".into(), "2.0.10710-1".into()),
                ("prosody".into(), "13.*".into()),
            ]),
            codename: "noble".into(),
            bucket: "jitsi-agent-123456789012-eu-central-1".into(),
            key: "jitsi-agent".into(),
            sha256: "5e".repeat(32),
        }
    }

    pub(crate) fn open() -> Self {
        Self::new(&json!({}))
    }

    pub(crate) fn jwt() -> Self {
        Self::new(&json!({ "authentication":
            { "mode": "jwt", "app_id": "example-app", "secret_parameter": "/jitsi/token" } }))
    }

    pub(crate) fn secure_domain() -> Self {
        Self::new(&json!({ "authentication":
            { "mode": "secure-domain", "users_path": "/jitsi/users" } }))
    }

    pub(crate) fn lobby() -> Self {
        Self::new(&json!({ "lobby": true }))
    }

    /// A small instance with the fewest modules, Debian's own Prosody and no pins.
    pub(crate) fn least() -> Self {
        let mut fixture = Self::open();
        fixture.modules = ProsodyModules::LEAST.into_iter().collect();
        fixture.discovered.total_memory = 1_910 << 20;
        fixture.versions = Versions::default();
        fixture.codename = "bookworm".into();
        fixture
    }

    pub(crate) fn install(&self) -> Result<Vec<OwnedFile>> {
        render_install(&InstallContext {
            settings: &self.settings,
            codename: &self.codename,
            secrets: &self.secrets,
            versions: &self.versions,
            prosody_repository: self.codename != "bookworm",
        })
    }

    pub(crate) fn site(&self) -> Result<Vec<OwnedFile>> {
        render_site(&SiteContext {
            settings: &self.settings,
            discovered: &self.discovered,
            secrets: &self.secrets,
            prosody_modules: &self.modules,
        })
    }

    pub(crate) fn user_data(&self) -> Result<String> {
        user_data(&UserData {
            bucket: &self.bucket,
            account: "123456789012",
            key: &self.key,
            sha256: &self.sha256,
            settings: &self.settings,
        })
    }
}

/// The text of the one file whose path ends with `end`.
pub(crate) fn text<'a>(files: &'a [OwnedFile], end: &str) -> &'a str {
    let mut found = files.iter().filter(|file| file.path.to_str().unwrap().ends_with(end));
    let file = found.next().unwrap_or_else(|| panic!("no file …{end}"));
    assert!(found.next().is_none(), "more than one file …{end}");
    &file.contents
}
