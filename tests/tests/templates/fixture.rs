//! A site to render, in each mode.

use std::net::Ipv4Addr;

use jitsi_templates::settings::InstanceSettings;
use jitsi_templates::{
    Discovered, InstallContext, OwnedFile, ProsodyModules, Secret, Secrets, SiteContext, Versions,
    render_install, render_site,
};
use serde_json::{Value, json};

/// The site's public name.
pub(crate) const DOMAIN: &str = "meet.example.org";

/// `MemTotal` of a t3.small, in bytes: the least a site runs on.
pub(crate) const MEMORY: u64 = 1_910 << 20;

/// Settings with `[jitsi]` as given.
pub(crate) fn settings(jitsi: &Value) -> InstanceSettings {
    let settings = json!({
        "deployment": "jitsi",
        "region": "eu-central-1",
        "domain": DOMAIN,
        "vpc_cidr": "127.0.0.0/8",
        "auto_scaling_group": "jitsi",
        "launch_hook": "jitsi-launch",
        "terminate_hook": "jitsi-terminate",
        "drain": 3600,
        "jitsi": jitsi,
    });
    InstanceSettings::from_json(&settings.to_string()).unwrap()
}

/// `[jitsi]` of each mode, by name.
pub(crate) fn modes() -> [(&'static str, Value); 4] {
    [
        ("open", json!({})),
        (
            "jwt",
            json!({ "authentication":
                { "mode": "jwt", "app_id": "app", "secret_parameter": "/jitsi/token" } }),
        ),
        (
            "secure-domain",
            json!({ "authentication": { "mode": "secure-domain", "users_path": "/jitsi/users" } }),
        ),
        ("lobby", json!({ "lobby": true })),
    ]
}

/// The modules an open site needs at least.
pub(crate) fn least_modules() -> ProsodyModules {
    ProsodyModules::LEAST.into_iter().collect()
}

/// Secrets as the agent makes them.
pub(crate) fn secrets() -> Secrets {
    Secrets {
        focus: Secret::new("Jn3kYb0Zr5qWv8TtXe1Lf6Hd"),
        jvb: Secret::new("b7Uq2Mz9Rc4Gs1Px6Ka8Wd3E"),
        probe: Secret::new("t5Nv0Lh7Yj3Fo9Qi2Zu4Cb8S"),
        token: Some(Secret::new("a secret out of SSM: \"]]--\\${x}")),
    }
}

/// The files of the site.
pub(crate) fn site(settings: &InstanceSettings, modules: &ProsodyModules) -> Vec<OwnedFile> {
    render_site(&SiteContext {
        settings,
        discovered: &Discovered {
            instance_id: "i-0123456789abcdef0".into(),
            private_ipv4: Ipv4Addr::new(10, 20, 3, 7),
            public_ipv4: Ipv4Addr::new(203, 0, 113, 9),
            total_memory: MEMORY,
        },
        secrets: &secrets(),
        prosody_modules: modules,
    })
    .unwrap()
}

/// The files for the package manager.
pub(crate) fn install(settings: &InstanceSettings) -> Vec<OwnedFile> {
    let versions = Versions::from([
        ("jitsi-meet".into(), "2.0.10710-1".into()),
        ("prosody".into(), "13.*".into()),
    ]);
    render_install(&InstallContext {
        settings,
        codename: "bookworm",
        secrets: &secrets(),
        versions: &versions,
        prosody_repository: true,
    })
    .unwrap()
}
