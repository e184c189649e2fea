//! All of a site's programs on the files of each mode: Prosody and nginx as they are, stand-ins for
//! jicofo and the bridge. Who can hold a meeting, and who cannot.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jitsi_aws_tests::standins;
use jitsi_templates::layout;
use meeting_probe::{Auth, Prober, Report, Secret, StepName, Target, Tls};
use serde_json::{Value, json};

use crate::fixture::{DOMAIN, modes, secrets};
use crate::have;
use crate::meeting::{self, Site};
use crate::xmpp::Browser;

/// The first meetings after a start fail, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The addresses the files name, the public one translated on the way as EC2 does.
const ADDRESSES: &str = "
set -e
ip link add eth0 type veth peer name gateway
ip address add 10.20.3.7/24 dev eth0
ip link set eth0 up
ip link set gateway up
ip route add default via 10.20.3.1
nft 'table ip ec2 { chain out { type nat hook output priority -100; ip daddr 203.0.113.9 dnat to 10.20.3.7; }; }'
";

/// The mode's site with all programs running; `None` says why on stderr.
fn start(mode: &str) -> Option<Site> {
    if !meeting::ready() || !have(&["nft", "curl"], "apt-get install nftables curl") {
        return None;
    }
    let python = match standins::python() {
        Ok(python) => python,
        Err(missing) => {
            eprintln!("SKIPPED: {missing}");
            return None;
        }
    };
    let (_, jitsi) = modes().into_iter().find(|(name, _)| *name == mode).unwrap();
    let mut site = meeting::start(&jitsi);
    site.machine.ok("sh", &["-c", ADDRESSES]);
    for (program, config, port) in [
        ("jvb", "/etc/jitsi/videobridge/jvb.conf", layout::VIDEOBRIDGE_PORT),
        ("jicofo", "/etc/jitsi/jicofo/jicofo.conf", layout::JICOFO_PORT),
    ] {
        let path = standins::programs().join(program);
        let (python, path) = (python.display(), path.display());
        let run =
            format!("exec {python} {path} --pace 0.2 --config {config} 2> /var/log/{program}");
        site.machine.serve("sh", &["-c", &run], port);
    }
    Some(site)
}

impl Site {
    fn probe(&self, auth: Auth) -> Report {
        self.machine.inside(move || {
            let mut target = Target::new(DOMAIN);
            target.connect = Some(format!("127.0.0.1:{}", layout::INSIDE_PORT));
            target.tls = Tls::AcceptAny;
            target.auth = auth;
            let prober = Prober::new(target).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(prober.hold_meeting(&mut ()))
        })
    }

    fn until_held(&self, auth: &Auth) {
        let start = Instant::now();
        loop {
            let report = self.probe(auth.clone());
            if report.held() {
                return;
            }
            let logs = ["prosody/prosody.log", "jicofo"]
                .map(|log| self.machine.ok("tail", &["-n", "30", &format!("/var/log/{log}")]));
            assert!(start.elapsed() < PATIENCE, "{report:#?}\n{}", logs.join("\n"));
        }
    }

    /// A visitor's log-in with `token` in the address, and entering `room` while jicofo is in it.
    fn enter(&self, token: Option<&str>, room: &str) -> Result<String, String> {
        let query = token.map(|token| format!("&token={token}")).unwrap_or_default();
        let (mut browser, jid) = Browser::log_in_with(
            &self.machine,
            &self.certificate,
            DOMAIN,
            &format!("?room={room}{query}"),
            None,
        )?;
        self.request(room);
        let answer = browser.join(room, &jid[..8]);
        if answer.contains("type='error'") { Err(answer) } else { Ok(answer) }
    }

    /// Asks jicofo for `room` over HTTP, as browsers do.
    fn request(&self, room: &str) {
        let body = json!({ "room": format!("{room}@conference.{DOMAIN}") }).to_string();
        let url = format!("https://{DOMAIN}/conference-request/v1");
        let resolve = format!("{DOMAIN}:443:127.0.0.1");
        let header = "Content-Type: application/json";
        let answer = self
            .machine
            .ok("curl", &["-sk", "--resolve", &resolve, "-H", header, "-d", &body, &url]);
        assert!(
            answer.contains("\"ready\": true") || answer.contains("\"ready\":true"),
            "{answer}"
        );
    }
}

fn token(app_id: &str, secret: &str) -> Auth {
    Auth::Token { app_id: app_id.into(), app_secret: Secret::new(secret) }
}

fn account(password: &str) -> Auth {
    Auth::Account { username: "probe".into(), password: Secret::new(password) }
}

fn secret() -> String {
    secrets().token.unwrap().expose().to_owned()
}

/// A token with these claims, signed by other means than the probe's.
fn sign(claims: &Value) -> String {
    const SIGN: &str = "
import base64, hashlib, hmac, sys
encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b'=')
signed = encode(b'{\"alg\":\"HS256\",\"typ\":\"JWT\"}') + b'.' + encode(sys.argv[1].encode())
mac = hmac.new(sys.argv[2].encode(), signed, hashlib.sha256).digest()
print((signed + b'.' + encode(mac)).decode(), end='')";
    let output =
        Command::new("python3").args(["-c", SIGN, &claims.to_string(), &secret()]).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

fn claims(room: &str, seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    json!({ "iss": "app", "aud": "app", "sub": DOMAIN, "room": room, "exp": now + seconds })
}

#[test]
fn anybody_meets_in_an_open_site_with_or_without_a_lobby() {
    for mode in ["open", "lobby"] {
        let Some(site) = start(mode) else { return };
        site.until_held(&Auth::Anonymous);
        let (mut first, jid) = site.log_in(DOMAIN, None).unwrap();
        site.request("standup");
        first.join("standup", &jid[..8]);
        // jicofo makes the first a moderator; with a lobby, the room is closed from then on.
        first.until("affiliation='owner'");
        let second = site.enter(None, "standup");
        assert_eq!(second.is_ok(), mode == "open", "{second:?}");
        if let Err(refusal) = second {
            assert!(refusal.contains(&format!("lobby.{DOMAIN}")), "{refusal}");
        }
        site.assert_no_errors();
    }
}

#[test]
fn only_a_token_for_the_room_opens_a_token_site() {
    let Some(site) = start("jwt") else { return };
    site.until_held(&token("app", &secret()));

    for auth in [token("app", "wrong"), token("another", &secret()), Auth::Anonymous] {
        let report = site.probe(auth);
        assert_eq!(report.failed_step, Some(StepName::LogIn), "{report:#?}");
        assert!(report.reason.as_ref().unwrap().contains("refuses the log-in"), "{report:#?}");
    }

    let mut late = claims("standup", 60);
    late["nbf"] = json!(claims("", 3_600)["exp"]);
    let mut foreign = claims("standup", 60);
    foreign["aud"] = json!("somebody");
    for (what, refused) in [
        ("none", None),
        ("garbage", Some("a.b.c".to_owned())),
        ("expired", Some(sign(&claims("standup", -60)))),
        ("not yet valid", Some(sign(&late))),
        ("another audience", Some(sign(&foreign))),
    ] {
        let answer = site.enter(refused.as_deref(), "standup");
        assert!(answer.as_ref().unwrap_err().contains("<failure"), "{what}: {answer:?}");
    }
    let answer = site.enter(Some(&sign(&claims("another", 60))), "standup").unwrap_err();
    assert!(answer.contains("not-allowed") && answer.contains("match"), "{answer}");
    // Jitsi's module says the token it refused, and browsers have it in their address.
    let logs = site.machine.ok("sh", &["-c", "cat /var/log/prosody/* /var/log/nginx/*"]);
    assert!(logs.contains("Token [token] not allowed to join"), "{logs}");
    assert!(!logs.contains("eyJ"), "{logs}");
    site.enter(Some(&sign(&claims("*", 60))), "standup").unwrap();
    site.enter(Some(&sign(&claims("standup", 60))), "standup").unwrap();
}

#[test]
fn only_an_account_opens_a_room_of_a_secure_domain_and_guests_follow() {
    let Some(site) = start("secure-domain") else { return };
    let password = secrets().probe.expose().to_owned();
    site.machine.ok("prosodyctl", &["register", "probe", DOMAIN, &password]);
    site.until_held(&account(&password));

    let report = site.probe(account("wrong"));
    assert!(report.reason.unwrap().starts_with("Prosody refuses the log-in: not-authorized"));
    // Over HTTP jicofo is not told who asks: that way is closed.
    let report = site.probe(Auth::Anonymous);
    assert_eq!(report.failed_step, Some(StepName::ConferenceRequest));

    let ask = format!(
        "<iq xmlns='jabber:client' type='set' id='ask' to='focus.{DOMAIN}'>\
         <conference xmlns='http://jitsi.org/protocol/focus' machine-uid='m' \
         room='standup@conference.{DOMAIN}'/></iq>"
    );
    let (mut guest, nick) = site.log_in(&format!("guest.{DOMAIN}"), None).unwrap();
    guest.send(&ask);
    let answer = guest.until("id='ask'");
    assert!(answer.contains("not-authorized"), "a guest opened a room: {answer}");
    let (mut host, _) = site.log_in(DOMAIN, Some(("probe", &password))).unwrap();
    host.send(&ask);
    let answer = host.until("id='ask'");
    assert!(answer.contains("ready='true'"), "{answer}");
    guest.send(&ask);
    let answer = guest.until("id='ask'");
    assert!(answer.contains("ready='true'"), "{answer}");
    assert!(host.join("standup", "host").contains("code='110'"));
    assert!(guest.join("standup", &nick[..8]).contains("code='110'"));
    site.assert_no_errors();
}
