//! Prosody and nginx together, with the files of each mode: who can connect, who can log in.

use std::path::{Path, PathBuf};
use std::process::Command;

use jitsi_aws_tests::standins::prosody_plugins;
use jitsi_templates::{OwnedFile, ProsodyModules, layout};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::fixture::{DOMAIN, modes, secrets, settings, site};
use crate::machine::Machine;
use crate::xmpp::{Browser, http, service_log_in, tls};
use crate::{have, is_root};

pub(crate) struct Site {
    pub(crate) machine: Machine,
    pub(crate) certificate: CertificateDer<'static>,
}

pub(crate) fn ready() -> bool {
    have(
        &["prosody", "prosodyctl", "nginx", "unshare", "nsenter", "ip"],
        "apt-get install -t bookworm-backports prosody nginx-light iproute2",
    ) && is_prosody_13()
        && is_root()
}

fn is_prosody_13() -> bool {
    let about = Command::new("prosodyctl").arg("about").output().unwrap();
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let versions = about.lines().filter_map(|line| line.strip_prefix("Prosody "));
    let found = versions.map(str::trim).find(|version| version.starts_with(char::is_numeric));
    let is_13 = found.is_some_and(|version| version.starts_with("13."));
    if !is_13 {
        eprintln!(
            "SKIPPED: the files are for Prosody 13, not {found:?}; run: \
             apt-get install -t bookworm-backports prosody"
        );
    }
    is_13
}

/// The mode's files with Prosody and nginx running on them.
pub(crate) fn start(jitsi: &Value) -> Site {
    let plugins = prosody_plugins();
    let debian: PathBuf = layout::PROSODY_PLUGINS[0].into();
    let modules = ProsodyModules::on_disk(&[&debian, &plugins]).unwrap();
    let files = site(&settings(jitsi), &modules);
    let mut machine = Machine::new(&files);
    machine.ok("mkdir", &["-p", layout::JITSI_PLUGINS]);
    machine.ok("cp", &["-r", &format!("{}/.", plugins.display()), layout::JITSI_PLUGINS]);
    for path in layout::UNWANTED {
        machine.ok("rm", &["-f", path]);
    }

    let names = ["", "auth.", "guest."].map(|prefix| format!("{prefix}{DOMAIN}"));
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = signing_key.serialize_pem();
    for (path, text, group) in [
        (layout::NGINX_CERTIFICATE, cert.pem(), "root"),
        (layout::NGINX_KEY, key.clone(), "root"),
        (layout::PROSODY_CERTIFICATE, cert.pem(), "prosody"),
        (layout::PROSODY_KEY, key, "prosody"),
    ] {
        machine.put(Path::new(path), &text, "root", group, 0o640);
    }
    machine.ok("chown", &["root:prosody", "/etc/prosody/certs"]);
    machine.ok("chmod", &["750", "/etc/prosody/certs"]);
    for directory in ["/run/prosody", "/var/lib/prosody", "/var/log/prosody"] {
        machine.ok("install", &["-d", "-o", "prosody", "-g", "prosody", directory]);
    }
    machine.ok("sh", &["-c", "rm -rf /var/lib/prosody/* /var/log/prosody/*"]);

    let check = machine.run("prosodyctl", &["check", "config"]);
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}");
    let auth = format!("auth.{DOMAIN}");
    machine.ok("prosodyctl", &["register", "focus", &auth, secrets().focus.expose()]);
    machine.ok("prosodyctl", &["register", "jvb", &auth, secrets().jvb.expose()]);
    let mut prosody = vec!["-u", "prosody", "--", "env"];
    prosody.extend(environment(&files));
    prosody.extend(["prosody", "-F"]);
    machine.serve("runuser", &prosody, layout::PROSODY_HTTP_PORT);
    // The console is there a moment after the port.
    let roster = format!("prosodyctl shell roster subscribe_both focus@{auth} focus.{DOMAIN}");
    machine.ok("timeout", &["20", "sh", "-c", &format!("until {roster}; do sleep 0.1; done")]);
    machine.ok("nginx", &["-t"]);
    machine.serve("nginx", &["-g", "daemon off;"], 443);
    Site { machine, certificate: cert.der().clone() }
}

/// What the rendered unit tells Prosody.
fn environment(files: &[OwnedFile]) -> Vec<&str> {
    let unit = files.iter().find(|file| file.path.ends_with("prosody.service.d/jitsi-agent.conf"));
    let lines = unit.unwrap().contents.lines();
    lines
        .filter_map(|line| line.strip_prefix("Environment="))
        .map(|v| v.trim_matches('"'))
        .collect()
}

impl Site {
    fn offers(&self, host: &str) -> String {
        Browser::open(&self.machine, &self.certificate, host).1
    }

    pub(crate) fn log_in(
        &self,
        host: &str,
        account: Option<(&str, &str)>,
    ) -> Result<(Browser, String), String> {
        Browser::log_in(&self.machine, &self.certificate, host, account)
    }

    fn service(&self, user: &str, password: &str) -> bool {
        service_log_in(&self.machine, &self.certificate, user, password)
    }

    /// Prosody starts with unknown modules and missing certificates and only logs them.
    pub(crate) fn assert_no_errors(&self) {
        let log = self.machine.ok("cat", &["/var/log/prosody/prosody.log"]);
        assert!(log.contains("info"), "nothing was logged: {log}");
        let bad: Vec<_> = log
            .lines()
            .filter(|line| line.contains("\terror\t") || line.contains("\twarn\t"))
            // What Jitsi's own modules say of those the test had refused.
            .filter(|line| !line.contains("token required"))
            .filter(|line| !line.contains("Filtering unauthorized presence"))
            .collect();
        assert!(bad.is_empty(), "{bad:#?}");
        assert_eq!(self.machine.ok("cat", &["/var/log/nginx/error.log"]), "");
    }
}

#[test]
fn every_mode_starts_and_answers_over_bosh_and_websocket() {
    if !ready() {
        return;
    }
    for (mode, jitsi) in modes() {
        let site = start(&jitsi);
        let body = format!(
            "<body rid='1' to='{DOMAIN}' wait='5' hold='1' ver='1.6' xml:lang='en' \
             xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' \
             xmpp:version='1.0'/>"
        );
        let request = format!(
            "POST /http-bind?room=r HTTP/1.1\r\nHost: any.example\r\nContent-Type: text/xml\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let stream = tls(site.machine.connect(443), &site.certificate, DOMAIN);
        let bosh = http(stream, &request);
        assert!(bosh.contains(" sid=") && bosh.contains("mechanisms"), "{mode}: {bosh}");

        let main = site.offers(DOMAIN);
        assert_eq!(main.contains("ANONYMOUS"), mode != "secure-domain", "{mode}: {main}");
        assert_eq!(main.contains("SCRAM-SHA-1"), mode == "secure-domain", "{mode}: {main}");
        assert!(!main.contains("DIGEST-MD5"), "{mode}: {main}");
        if mode == "secure-domain" {
            assert!(site.offers(&format!("guest.{DOMAIN}")).contains("ANONYMOUS"));
        }
        assert_eq!(site.log_in(DOMAIN, None).is_ok(), matches!(mode, "open" | "lobby"), "{mode}");
        site.assert_no_errors();
    }
}

#[test]
fn services_log_in_with_their_secrets_and_only_with_them() {
    if !ready() {
        return;
    }
    let site = start(&modes()[0].1);
    let secrets = secrets();
    assert!(site.service("focus", secrets.focus.expose()));
    assert!(site.service("jvb", secrets.jvb.expose()));
    assert!(!site.service("focus", secrets.jvb.expose()));
    assert!(!site.service("jvb", "wrong"));
    assert!(!site.service("nobody", secrets.jvb.expose()));

    // Only loopback listens but for visitors and the load balancer: 5222 and 5280 have no password of their
    // own against the network.
    let listening = site.machine.ok("ss", &["-Hlntu"]);
    let public = |line: &&str| line.contains(":443 ") || line.contains("0.0.0.0:8443 ");
    for line in listening.lines().filter(|line| !public(line)) {
        assert!(line.contains("127.0.0.1:"), "{line}");
    }
}

#[test]
fn guests_and_accounts_get_what_secure_domain_says() {
    if !ready() {
        return;
    }
    let site = start(&modes()[2].1);
    site.machine.ok("prosodyctl", &["register", "probe", DOMAIN, secrets().probe.expose()]);
    let probe = site.log_in(DOMAIN, Some(("probe", secrets().probe.expose())));
    assert!(probe.unwrap().1.starts_with(&format!("probe@{DOMAIN}/")));
    assert!(site.log_in(DOMAIN, Some(("probe", "wrong"))).is_err());
    assert!(site.log_in(DOMAIN, None).is_err());

    let (mut guest, _) = site.log_in(&format!("guest.{DOMAIN}"), None).unwrap();
    let answer = guest.join("standup", "guest");
    assert!(answer.contains("not-allowed"), "a guest made a room: {answer}");
    let (mut focus, _) =
        site.log_in(&format!("auth.{DOMAIN}"), Some(("focus", secrets().focus.expose()))).unwrap();
    assert!(focus.join("standup", "focus").contains("affiliation='owner'"));
    assert!(guest.join("standup", "guest").contains("code='110'"));
}

#[test]
fn nobody_but_services_enters_the_brewery() {
    if !ready() {
        return;
    }
    let site = start(&modes()[0].1);
    let brewery = format!("jvbbrewery@internal.auth.{DOMAIN}");
    let auth = format!("auth.{DOMAIN}");
    let (mut anonymous, _) = site.log_in(DOMAIN, None).unwrap();
    assert!(!anonymous.gets_into(&brewery), "made it");
    let mut services = Vec::new();
    for (user, password) in [("jvb", secrets().jvb), ("focus", secrets().focus)] {
        let (mut service, _) = site.log_in(&auth, Some((user, password.expose()))).unwrap();
        let answer = service.join_room(&brewery, user);
        assert!(answer.contains("code='110'"), "{user}: {answer}");
        services.push(service);
    }
    assert!(!anonymous.gets_into(&brewery), "entered it");
}

#[test]
fn the_lobby_opens_with_the_first_moderator_but_not_for_the_probe() {
    if !ready() {
        return;
    }
    let site = start(&modes()[3].1);
    let auth = format!("auth.{DOMAIN}");
    let (mut focus, _) = site.log_in(&auth, Some(("focus", secrets().focus.expose()))).unwrap();
    let probe_room = format!("{}{}", meeting_probe::ROOM_PREFIX, "0f".repeat(16));
    for (room, second_gets_in) in [("standup", false), (probe_room.as_str(), true)] {
        focus.join(room, "focus");
        let (mut first, jid) = site.log_in(DOMAIN, None).unwrap();
        first.join(room, "first");
        let bare = jid.split('/').next().unwrap();
        focus.send(&format!(
            "<iq xmlns='jabber:client' type='set' id='owner' to='{room}@conference.{DOMAIN}'>\
             <query xmlns='http://jabber.org/protocol/muc#admin'>\
             <item affiliation='owner' jid='{bare}'/></query></iq>"
        ));
        let done = focus.until("id='owner'");
        assert!(done.contains("type='result'"), "{done}");
        let (mut second, _) = site.log_in(DOMAIN, None).unwrap();
        let answer = second.join(room, "second");
        assert_eq!(!answer.contains("type='error'"), second_gets_in, "{room}: {answer}");
        assert_eq!(!answer.contains("registration-required"), second_gets_in, "{room}: {answer}");
    }
    site.assert_no_errors();
}
