//! Whole probes against a scripted site in the same process: every way a meeting can fail has
//! its own words, takes no longer than allowed, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bridge;
mod server;

use std::net::IpAddr;
use std::time::Duration;

use meeting_probe::{
    Auth, Depth, Failure, Limits, Mapping, Observer, Outcome, Prober, Report, Secret, Step,
    StepName, Target, Tls, is_probe_room,
};

use bridge::Broken;
use server::{DOMAIN, Offer, Script, Site, ok, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn target(site: &Site) -> Target {
    let mut target = Target::new(DOMAIN);
    target.connect = Some(site.address.to_string());
    target.tls = Tls::AcceptAny;
    target.depth = Depth::Heard;
    target
}

async fn probe(site: &Site) -> Report {
    Prober::new(target(site)).unwrap().hold_meeting(&mut ()).await
}

async fn failed(script: Script) -> Report {
    let report = probe(&start(script).await).await;
    assert_eq!(report.outcome, Outcome::Failed);
    report
}

fn reason(report: &Report) -> (&str, Option<StepName>) {
    (report.reason.as_deref().unwrap_or_default(), report.failed_step)
}

#[tokio::test]
async fn a_meeting_is_held_and_left() {
    #[derive(Default)]
    struct Heard(Vec<String>);
    impl Observer for Heard {
        fn started(&mut self, step: StepName) {
            self.0.push(format!("{step}?"));
        }
        fn finished(&mut self, step: &Step, failure: Option<&Failure>) {
            assert_eq!(failure, None);
            self.0.push(format!("{}!", step.name));
        }
    }
    let site = start(Script::default()).await;
    let mut heard = Heard::default();
    let report = Prober::new(target(&site)).unwrap().hold_meeting(&mut heard).await;

    assert_eq!(report.reason, None);
    assert!(report.held() && is_probe_room(&report.room));
    assert_eq!(report.bridge.len(), 1);
    assert_eq!(report.bridge[0].address, site.bridge);
    assert!(report.bridge[0].round_trip_ms.is_some());
    let audio = report.audio.as_ref().unwrap();
    assert!(audio.packets >= 50 && audio.lost == 0 && audio.round_trip_ms > 0.0, "{audio:?}");
    let channel = report.steps.iter().find(|step| step.name == StepName::BridgeChannel).unwrap();
    assert_eq!(channel.detail, "SCTP, bridge 2.3.7");
    let steps = [
        "resolve",
        "connect",
        "conference request",
        "log in",
        "join",
        "offer",
        "media",
        "accept",
        "encryption",
        "bridge channel",
        "audio",
        "leave",
    ];
    assert_eq!(heard.0, steps.map(|step| [format!("{step}?"), format!("{step}!")]).concat());
    assert_eq!(report.steps.len(), steps.len());

    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);

    let seen = site.seen.lock().unwrap();
    assert_eq!(seen.bodies, [format!(r#"{{"room":"{}@conference.{DOMAIN}"}}"#, report.room)]);
    assert_eq!(seen.heads.len(), 3);
    for head in &seen.heads {
        assert!(head.to_lowercase().contains(&format!("host: {DOMAIN}\r\n")), "{head}");
    }
    for head in &seen.heads[1..] {
        let first = format!("GET /xmpp-websocket?room={} HTTP/1.1\r\n", report.room);
        assert!(head.starts_with(&first), "{head}");
        assert!(head.to_lowercase().contains("sec-websocket-protocol: xmpp\r\n"), "{head}");
    }
    assert_eq!(seen.presences(None), 2);
    assert_eq!(seen.presences(Some("unavailable")), 2, "both have left");
    assert_eq!(seen.stanzas.iter().filter(|s| s.name() == "close").count(), 2);
}

#[tokio::test]
async fn a_token_goes_with_every_connection() {
    let site = start(Script::default()).await;
    let mut target = target(&site);
    target.auth = Auth::Token { app_id: "app".into(), app_secret: Secret::new("s3cret") };
    let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
    assert!(report.held(), "{report:?}");

    let seen = site.seen.lock().unwrap();
    assert!(seen.heads[0].contains("authorization: Bearer eyJ"), "{}", seen.heads[0]);
    for head in &seen.heads[1..] {
        let first = format!("GET /xmpp-websocket?room={}&token=eyJ", report.room);
        assert!(head.starts_with(&first), "{head}");
    }
    assert!(!serde_json::to_string(&report).unwrap().contains("eyJ"));
}

#[tokio::test]
async fn with_an_account_jicofo_is_asked_over_xmpp() {
    let site =
        start(Script { mechanisms: "<mechanism>PLAIN</mechanism>", ..Script::default() }).await;
    let mut target = target(&site);
    target.auth = Auth::Account { username: "probe".into(), password: Secret::new("secret") };
    let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
    assert!(report.held(), "{report:?}");
    assert_eq!(report.steps[2].name, StepName::LogIn);
    assert_eq!(report.steps[3].name, StepName::ConferenceRequest);

    let seen = site.seen.lock().unwrap();
    assert_eq!(seen.bodies.len(), 0, "not over HTTP");
    let focus = "http://jitsi.org/protocol/focus";
    let request = seen.stanzas.iter().find_map(|s| s.get_child("conference", focus)).unwrap();
    assert_eq!(request.attr("room"), Some(&*format!("{}@conference.{DOMAIN}", report.room)));
    assert!(request.attr("machine-uid").is_some());
    let logout = seen.stanzas.iter().find_map(|s| s.get_child("logout", focus)).unwrap();
    assert_eq!(logout.attr("session-id"), Some("s1"));
    let nicks: Vec<_> = seen.stanzas.iter().filter(|s| s.name() == "presence").collect();
    assert_ne!(nicks[0].attr("to"), nicks[1].attr("to"), "one account, two participants");
}

#[tokio::test]
async fn refused_requests_are_explained() {
    let answer = |status: &str, body: &str| {
        let length = body.len();
        Some(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let with = |request| failed(Script { request, ..Script::default() });
    let step = Some(StepName::ConferenceRequest);

    let report = with(answer("502 Bad Gateway", "<html>")).await;
    let words = "the conference request was answered with HTTP 502 (<html>)";
    assert_eq!(reason(&report), (words, step));
    assert_eq!(report.hint.as_deref(), Some("jicofo does not run or does not answer"));

    let report = with(answer("503 No\r\nServer: awselb/2.0", "")).await;
    assert!(report.hint.unwrap().contains("no healthy target"));

    let report = with(Some(ok("<!DOCTYPE html>"))).await;
    assert_eq!(
        reason(&report),
        ("the answer to the conference request is not jicofo's: <!DOCTYPE html>", step)
    );
    let report = with(Some(ok(r#"{"ready":false,"focusJid":"f"}"#))).await;
    assert_eq!(reason(&report), ("jicofo is not ready: it could not join the room", step));
}

#[tokio::test]
async fn what_no_jitsi_site_sends_is_bounded_and_said() {
    let of = |said: String| -> &'static str { said.leak() };
    let nested = format!("{}{}", "<a>".repeat(30_000), "</a>".repeat(30_000));
    let scripts = [
        (
            Script { request: Some(ok(&"x".repeat(70_000))), ..Script::default() },
            "64 KiB in answer to the conference request",
        ),
        (
            Script { mechanisms: of("x".repeat(300_000)), ..Script::default() },
            "256 KiB in one message",
        ),
        (Script { mechanisms: of(nested), ..Script::default() }, "64 elements inside each other"),
        (Script { offer: Offer::Flood, ..Script::default() }, "1 MiB in one meeting"),
    ];
    for (script, limit) in scripts {
        let report = failed(script).await;
        let words = format!("the site sends more than a Jitsi site does: over {limit}");
        assert_eq!(report.reason, Some(words));
        assert!(report.hint.unwrap().contains("DNS record"));
    }
    let painted = ok(&format!("\u{1b}[2J{}", "long ".repeat(200))).replace("200 OK", "500 No");
    let report = failed(Script { request: Some(painted), ..Script::default() }).await;
    let reason = report.reason.unwrap();
    assert!(!reason.contains('\u{1b}') && reason.ends_with("long …"), "{reason}");
    assert!(reason.chars().count() <= 402, "{reason}");
}

#[tokio::test]
async fn refused_participants_are_explained() {
    let report = failed(Script { websocket: Some(502), ..Script::default() }).await;
    assert_eq!(
        reason(&report),
        ("the XMPP WebSocket was refused with HTTP 502", Some(StepName::LogIn))
    );
    let report = failed(Script { log_in: Some("not-authorized"), ..Script::default() }).await;
    assert_eq!(
        reason(&report),
        ("Prosody refuses the log-in: not-authorized", Some(StepName::LogIn))
    );
    let report = failed(Script { join: Some("registration-required"), ..Script::default() }).await;
    assert_eq!(
        reason(&report),
        ("the room refuses a participant: registration-required", Some(StepName::Join))
    );
}

#[tokio::test]
async fn bad_offers_are_explained() {
    let with = |offer| failed(Script { offer, ..Script::default() });
    let step = Some(StepName::Offer);
    let report = with(Offer::BridgeNotAvailable).await;
    assert_eq!(reason(&report), ("jicofo offers no bridge", step));
    let report = with(Offer::WithoutCandidate).await;
    assert_eq!(
        reason(&report),
        ("the offer carries no address: the bridge's address mapping is wrong", step)
    );
    let report = with(Offer::Kick).await;
    assert_eq!(reason(&report), ("a participant was removed from the room (full)", step));
    let report = with(Offer::Close).await;
    assert_eq!(report.failed_step, step);
    assert!(report.reason.unwrap().starts_with("the connection to Prosody failed"));
}

#[tokio::test]
async fn the_known_mapping_is_compared_with_the_offer() {
    let site = start(Script::default()).await;
    let local: IpAddr = [10, 0, 3, 7].into();
    let mut target = target(&site);
    target.mapping = Some(Mapping { local, public: [3, 68, 1, 2].into() });
    let report = Prober::new(target.clone()).unwrap().hold_meeting(&mut ()).await;
    assert_eq!(
        report.reason.unwrap(),
        "the offer carries 127.0.0.1 but not 3.68.1.2: the mapping is wrong"
    );
    target.mapping = Some(Mapping { local, public: [127, 0, 0, 1].into() });
    assert!(Prober::new(target).unwrap().hold_meeting(&mut ()).await.held());
}

#[tokio::test]
async fn a_bridge_that_cannot_be_reached_is_named() {
    let site = start(Script { bridge: Broken::Deaf, ..Script::default() }).await;
    let mut target = target(&site);
    target.limits.media = Duration::from_millis(150);
    let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
    let port = site.bridge.port();
    assert_eq!(
        report.reason.unwrap(),
        format!("127.0.0.1 udp/{port} does not answer: security group, network ACL or firewall")
    );
    assert_eq!(report.failed_step, Some(StepName::Media));
    assert_eq!(report.bridge[0].round_trip_ms, None);
    assert_eq!(site.seen.lock().unwrap().presences(Some("unavailable")), 2, "left all the same");

    let report = failed(Script { bridge: Broken::Impostor, ..Script::default() }).await;
    assert!(report.reason.unwrap().ends_with("is not signed with the bridge's password"));
}

/// Everything before the broken thing works, and it alone is named.
#[tokio::test]
async fn each_fault_of_the_bridge_has_its_own_step_and_words() {
    let cases = [
        (
            Broken::Path,
            StepName::Encryption,
            "answers, but the bridge never settles on a path for media (ICE)",
        ),
        (
            Broken::Encryption,
            StepName::Encryption,
            "the bridge is reached, but does not agree on encryption (DTLS)",
        ),
        (
            Broken::Identity,
            StepName::Encryption,
            "the bridge shows a certificate other than the one it offered: ",
        ),
        (
            Broken::Channel,
            StepName::BridgeChannel,
            "media is encrypted, but the bridge's channel does not open (SCTP)",
        ),
        (
            Broken::Greeting,
            StepName::BridgeChannel,
            "the bridge's channel is open, but the bridge does not answer on it",
        ),
        (
            Broken::Forwarding,
            StepName::Audio,
            "the participants do not hear each other through the bridge: none of ",
        ),
        (
            Broken::OneDirection,
            StepName::Audio,
            "one participant does not hear the other through the bridge: none of ",
        ),
        (Broken::Network, StepName::Audio, " audio packets through the bridge "),
    ];
    for (broken, step, words) in cases {
        let site = start(Script { bridge: broken, ..Script::default() }).await;
        let mut target = target(&site);
        // Enough for what works before, on a busy machine too.
        let limit = ms(1500);
        match step {
            StepName::Encryption => target.limits.encryption = limit,
            StepName::BridgeChannel => target.limits.bridge_channel = limit,
            _ => target.limits.audio = limit,
        }
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert_eq!(report.failed_step, Some(step), "{broken:?}: {report:?}");
        let reason = report.reason.unwrap();
        assert!(reason.contains(words), "{broken:?}: {reason}");
        assert!(report.hint.is_some(), "{broken:?}");
        assert_eq!(report.audio, None);
        assert_eq!(site.seen.lock().unwrap().presences(Some("unavailable")), 2, "{broken:?}");
    }
}

#[tokio::test]
async fn without_udp_a_visitor_joins_and_hears_nobody() {
    let tried = async |relays: Option<&'static str>| {
        let script = Script::default();
        let relays = relays.unwrap_or(script.relays);
        let site = start(Script { relays, ..script }).await;
        let mut target = target(&site);
        target.udp_blocked = true;
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert_eq!((report.failed_step, report.held()), (Some(StepName::Media), false));
        assert!(report.hint.unwrap().contains("peer to peer"));
        assert_eq!(report.bridge.len(), 0, "it was not asked");
        report.reason.unwrap()
    };
    assert_eq!(
        tried(None).await,
        "a visitor whose network drops UDP joins, but hears and sees nobody: the bridge speaks UDP \
         only, and the site has no relay (TURN)"
    );
    let relays = "<iq xmlns='jabber:client' type='result' id='@ID@'>\
                  <services xmlns='urn:xmpp:extdisco:2'>\
                  <service type='turn' host='t.example.com' port='3478' transport='udp'/>\
                  <service type='turns' host='t.example.com' port='443' transport='tcp'/>\
                  </services></iq>";
    let reason = tried(Some(relays)).await;
    assert!(reason.ends_with("not tried here (turns:t.example.com:443)"), "{reason}");
}

#[tokio::test]
async fn some_loss_is_told_and_no_failure() {
    let site = start(Script { bridge: Broken::SomePackets, ..Script::default() }).await;
    let report = probe(&site).await;
    assert!(report.held(), "{report:?}");
    let audio = report.audio.unwrap();
    assert!(audio.lost > 0 && audio.loss_percent() < 20.0, "{audio:?}");
}

#[tokio::test]
async fn what_is_not_accepted_is_explained() {
    let report = failed(Script { accept: Some("bad-request"), ..Script::default() }).await;
    assert_eq!(
        reason(&report),
        ("jicofo refuses a participant's answer to its offer: bad-request", Some(StepName::Accept))
    );
    let report = failed(Script { offer: Offer::WithoutChannel, ..Script::default() }).await;
    assert_eq!(
        reason(&report),
        ("jicofo's offer does not do: it has no bridge channel (SCTP)", Some(StepName::Offer))
    );
}

#[tokio::test]
async fn silence_is_bounded_everywhere() {
    let limits = Limits { offer: ms(120), conference_request: ms(120), ..Limits::default() };
    for (script, words) in [
        (
            Script { request: None, ..Script::default() },
            "jicofo, asked for a conference, does not answer within 120ms",
        ),
        (
            Script { offer: Offer::Never, ..Script::default() },
            "jicofo offers no bridge: no offer within 120ms",
        ),
    ] {
        let site = start(script).await;
        let mut target = target(&site);
        target.limits = limits;
        let report = Prober::new(target.clone()).unwrap().hold_meeting(&mut ()).await;
        assert_eq!(report.reason.as_deref(), Some(words));
        assert!(report.took_ms >= 120.0, "the words name the limit that ended it: {report:?}");

        target.limits = Limits { total: ms(100), ..Limits::default() };
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert!(report.reason.unwrap().starts_with("the whole probe took longer than 100ms"));
        assert!(report.failed_step.is_some());
    }
}

#[tokio::test]
async fn an_interrupted_probe_closes_its_connections() {
    let site = start(Script { offer: Offer::Never, ..Script::default() }).await;
    let prober = Prober::new(target(&site)).unwrap();
    let joined = async {
        while site.seen.lock().unwrap().presences(None) < 2 {
            tokio::task::yield_now().await;
        }
    };
    let mut deaf = ();
    tokio::select! {
        report = prober.hold_meeting(&mut deaf) => panic!("{report:?}"),
        () = joined => {}
    }
    while site.seen.lock().unwrap().open > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_way_to_the_site_is_checked() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut target = Target::new(DOMAIN);
    target.connect = Some(closed.to_string());
    target.tls = Tls::AcceptAny;
    let report = Prober::new(target.clone()).unwrap().hold_meeting(&mut ()).await;
    assert_eq!(report.failed_step, Some(StepName::Connect));
    assert!(report.reason.unwrap().contains("no connection to 127.0.0.1:"));

    // The scripted site's certificate is its own, as the agent's nginx's is.
    let site = start(Script::default()).await;
    target.connect = Some(site.address.to_string());
    target.tls = Tls::Verify;
    let report = Prober::new(target.clone()).unwrap().hold_meeting(&mut ()).await;
    assert_eq!(report.failed_step, Some(StepName::Connect));
    assert!(report.reason.unwrap().contains("invalid peer certificate"));

    for wrong in ["no port", ":443", "http://x:443", "a b:1"] {
        target.connect = Some(wrong.into());
        assert!(matches!(Prober::new(target.clone()).err(), Some(Failure::Setup(_))), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_no_https_is_told_from_a_bad_certificate() {
    let hint = |connect: std::net::SocketAddr, limit: Duration| async move {
        let mut target = Target::new(DOMAIN);
        target.connect = Some(connect.to_string());
        target.limits.connect = limit;
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert_eq!(report.failed_step, Some(StepName::Connect));
        format!("{}; {}", report.reason.unwrap(), report.hint.unwrap_or_default())
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = hint(closed, Duration::from_mins(1)).await;
    assert!(told.contains("refused; nothing listens"), "{told}");

    // The system takes the connection, and nobody ever reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let told = hint(silent.local_addr().unwrap(), ms(50)).await;
    assert!(told.contains("other than TLS"), "{told}");

    for (answer, words) in
        [("HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"), ("", "hangs up")]
    {
        let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = plain.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = plain.accept().await.unwrap();
            let mut heard = [0; 4_096];
            let _some = stream.read(&mut heard).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (told, ()) = tokio::join!(hint(address, Duration::from_mins(1)), serve);
        assert!(told.contains(words) && !told.contains("certificate"), "{told}");
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
