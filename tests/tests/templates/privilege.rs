//! What the programs may do on the machine: their units as systemd judges them, their secrets by mode
//! and owner, and the instance's metadata by a real attempt of each program's user.

use std::fs;
use std::path::Path;
use std::process::Command;

use jitsi_templates::{OwnedFile, layout};
use serde_json::json;

use crate::fixture::{DOMAIN, least_modules, settings, site};
use crate::machine::Machine;
use crate::{have, is_root};

/// The most a unit may be exposed by `systemd-analyze security`, of 10. As packaged: nginx 9.6, the
/// bridge 9.3, jicofo and Prosody 9.2.
const MOST: [(&str, f32); 5] = [
    ("nginx", 3.0),
    ("jitsi-videobridge2", 2.0),
    ("jicofo", 2.0),
    ("prosody", 2.0),
    ("jitsi-agent", 4.0),
];

fn files() -> Vec<OwnedFile> {
    site(&settings(&json!({})), &least_modules())
}

/// Judged offline: drop-ins over the units of Debian's packages and of Jitsi's.
#[test]
fn units_are_exposed_no_more_than_they_need() {
    if !have(
        &["systemd-analyze", "nginx", "prosody"],
        "apt-get install systemd nginx-light prosody",
    ) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let put = |path: &Path, text: &str| {
        let path = root.path().join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for file in files().iter().filter(|file| file.path.starts_with("/etc/systemd/system")) {
        put(&file.path, &file.contents);
    }
    for (path, unit) in jitsi_templates::agent_units().unwrap() {
        put(Path::new(path), &unit);
    }
    let bridge = "sandbox/packages/jitsi-videobridge2/root/lib/systemd/system";
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join(bridge);
    for (unit, folder) in [
        ("nginx", Path::new("/lib/systemd/system")),
        ("prosody", Path::new("/lib/systemd/system")),
        ("jitsi-videobridge2", &bridge),
    ] {
        let name = format!("{unit}.service");
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        put(&Path::new("/usr/lib/systemd/system").join(name), &text);
    }
    for (unit, most) in MOST {
        let judged = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--root={}", root.path().display()))
            .arg(format!("{unit}.service"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&judged.stdout);
        let last = text.lines().last().unwrap_or_default();
        let exposed = last.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        let exposed: f32 = exposed
            .and_then(|figure| figure.parse().ok())
            .unwrap_or_else(|| panic!("{unit}: {text}{}", String::from_utf8_lossy(&judged.stderr)));
        println!("{unit}: {exposed}");
        assert!(exposed <= most, "{unit}: {text}");
    }
}

#[test]
fn each_program_reads_its_own_secrets_only() {
    if !have(&["unshare", "nsenter", "ip", "runuser", "prosody"], "apt-get install prosody")
        || !is_root()
    {
        return;
    }
    let machine = Machine::new(&files());
    machine.put(Path::new(layout::PROSODY_KEY), "key", "root", "prosody", 0o640);
    machine.put(Path::new(layout::NGINX_KEY), "key", "root", "root", 0o600);
    let prosody = format!("/etc/prosody/conf.avail/{DOMAIN}.cfg.lua");
    let secrets = [
        ("/etc/jitsi/videobridge/jvb.conf", "jvb"),
        ("/etc/jitsi/jicofo/jicofo.conf", "jicofo"),
        (prosody.as_str(), "prosody"),
        (layout::PROSODY_KEY, "prosody"),
        (layout::NGINX_KEY, "root"),
    ];
    for (path, owner) in secrets {
        for user in layout::SERVICE_USERS {
            let read = machine.run("runuser", &["-u", user, "--", "cat", path]);
            assert_eq!(read.status.success(), user == owner, "{user} reads {path}");
        }
    }
}

/// A metadata service where a real one is, in a network of the test's own.
#[test]
fn jitsis_programs_get_no_answer_from_the_metadata_service_and_root_does() {
    let programs = ["unshare", "nsenter", "ip", "nft", "runuser", "prosody"];
    if !have(&programs, "apt-get install nftables prosody") || !is_root() {
        return;
    }
    let machine = Machine::new(&files());
    machine.ok("ip", &["address", "add", "169.254.169.254/32", "dev", "lo"]);
    let service = machine.inside(|| std::net::TcpListener::bind(("169.254.169.254", 80))).unwrap();
    std::thread::spawn(move || while service.accept().is_ok() {});
    let reaches = |user: &str| {
        let connect = ["-u", user, "--", "bash", "-c", "exec 3<>/dev/tcp/169.254.169.254/80"];
        machine.run("runuser", &connect).status.success()
    };
    for user in layout::SERVICE_USERS {
        assert!(reaches(user), "{user} reaches it before");
    }
    // Twice: it is loaded again whenever it changes.
    for _ in 0..2 {
        machine.ok("nft", &["-f", layout::METADATA_RULES]);
        for user in layout::SERVICE_USERS {
            assert!(!reaches(user), "{user} reaches it");
        }
        assert!(reaches("root"), "the agent does not");
    }
}
