//! The meeting probe against a whole site: what Jitsi's own health answers say, and what is true.
//! Needs root, Prosody, nginx, nftables and the stand-ins' Python libraries; skipped with a line
//! on stderr without them, failed without them when `REQUIRE_SITE_TESTS` is set.
#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "a test fails by panicking and logs")]

#[path = "probe/site.rs"]
mod site;

use std::{cell::RefCell, thread, time::Duration};

use jitsi_aws_tests::standins;
use meeting_probe::{Auth, Prober, Secret, StepName, is_probe_room};
use nix::sys::signal::Signal;
use serde_json::json;

use site::{Plan, bridge_figure, get, on_site, post, request, until};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_meeting_is_held_and_leaves_nothing_behind() {
    on_site(Plan::default(), async |site| {
        site.until_held().await;
        let prober = Prober::new(site::target()).unwrap();
        for _ in 0..5 {
            let report = prober.hold_meeting(&mut ()).await;
            assert!(report.held(), "{report:?}");
            let steps: Vec<String> =
                report.steps.iter().map(|s| format!("{} {:.1}", s.name, s.took_ms)).collect();
            println!("{:.1} ms: {}", report.took_ms, steps.join(", "));
            assert_eq!(report.bridge[0].address.to_string(), "198.51.100.7:10000");
            until(async || bridge_figure("conferences").await == 0, "the bridge to be free").await;
            assert_eq!(bridge_figure("local_endpoints").await, 0);
        }
        let gone = async || !site.conferences().await.iter().any(|name| is_probe_room(name));
        until(gone, "jicofo to leave").await;
    });
}

#[test]
fn a_token_does_no_harm_where_none_is_asked_for() {
    // Jitsi's token authentication is not among Prosody's stock modules; the way there is.
    on_site(Plan::default(), async |site| {
        site.until_held().await;
        let mut target = site::target();
        target.auth = Auth::Token { app_id: "app".into(), app_secret: Secret::new("secret") };
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert!(report.held(), "{report:?}");
    });
}

#[test]
fn an_account_opens_a_site_that_wants_one() {
    on_site(Plan { secure: true, ..Plan::default() }, async |_site| {
        let mut target = site::target();
        // Without mod_client_proxy: the account itself.
        target.focus = format!("focus@auth.{}/focus", site::DOMAIN);
        target.auth = account("probe secret");
        let prober = Prober::new(target.clone()).unwrap();
        until(async || prober.hold_meeting(&mut ()).await.held(), "a meeting").await;

        target.auth = account("wrong");
        let report = Prober::new(target.clone()).unwrap().hold_meeting(&mut ()).await;
        assert!(report.reason.unwrap().starts_with("Prosody refuses the log-in: not-authorized"));

        target.auth = Auth::Anonymous;
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert_eq!(report.failed_step, Some(StepName::ConferenceRequest));
    });
}

fn account(password: &str) -> Auth {
    Auth::Account { username: "probe".into(), password: Secret::new(password) }
}

#[test]
fn blocked_udp_is_green_for_jitsi() {
    on_site(Plan::default(), async |site| {
        site.until_held().await;
        until(async || get("8888/about/health").await.0 == 200, "jicofo's approval").await;
        site::block_udp();
        let mut target = site::target();
        target.limits.media = seconds(1);
        let report = Prober::new(target).unwrap().hold_meeting(&mut ()).await;
        assert_eq!(report.failed_step, Some(StepName::Media));
        assert_eq!(
            report.reason.unwrap(),
            "198.51.100.7 udp/10000 does not answer: security group, network ACL or firewall"
        );
        assert_eq!(get("8080/about/health").await.0, 200);
        assert_eq!(get("8888/about/health").await, (200, "OK".into()));
    });
}

#[test]
fn a_bridge_that_cannot_hold_a_meeting_is_green_for_jitsi() {
    let rows = [
        ("path", StepName::Encryption, "never settles on a path for media (ICE)"),
        ("encryption", StepName::Encryption, "does not agree on encryption (DTLS)"),
        ("identity", StepName::Encryption, "shows a certificate other than the one it offered"),
        ("channel", StepName::BridgeChannel, "the bridge's channel does not open (SCTP)"),
        ("greeting", StepName::BridgeChannel, "the bridge does not answer on it"),
        ("forwarding", StepName::Audio, "the participants do not hear each other"),
        ("one-direction", StepName::Audio, "one participant does not hear the other"),
        ("loss", StepName::Audio, "audio packets through the bridge"),
    ];
    let meet = |fault, step, words| {
        on_site(Plan { jvb_args: vec!["--fault", fault], ..Plan::default() }, async move |_| {
            let mut target = site::target();
            match step {
                StepName::Encryption => target.limits.encryption = seconds(2),
                StepName::BridgeChannel => target.limits.bridge_channel = seconds(2),
                _ => target.limits.audio = seconds(2),
            }
            let prober = Prober::new(target).unwrap();
            let reason = RefCell::new(None);
            let failed = async || {
                let meeting = prober.hold_meeting(&mut ()).await;
                reason.replace(meeting.reason);
                meeting.failed_step == Some(step)
            };
            until(failed, "the step to fail").await;
            let reason = reason.into_inner().unwrap();
            assert!(reason.contains(words), "{fault}: {reason}");
            assert_eq!(get("8080/about/health").await.0, 200, "{fault}");
        });
    };
    // All at once, each on a site of its own: the bridge takes its time to start.
    thread::scope(|scope| {
        for (fault, step, words) in rows {
            scope.spawn(move || meet(fault, step, words));
        }
    });
}

#[test]
fn a_mapping_of_an_address_on_no_interface_is_green_for_jitsi() {
    let jvb = vec![("local-address=\"10.0.3.7\"", "local-address=\"10.0.9.9\"")];
    on_site(Plan { jvb, ..Plan::default() }, async |site| {
        until(async || site.probe().await.failed_step == Some(StepName::Offer), "an offer").await;
        until(
            async || {
                site.probe().await.reason.unwrap()
                    == "the offer carries no address: the mapping 10.0.3.7 → 198.51.100.7 is wrong"
            },
            "an offer without address",
        )
        .await;
        until(async || get("8888/about/health").await.0 == 200, "jicofo's approval").await;
        assert_eq!(get("8080/about/health").await.0, 200);
    });
}

#[test]
fn a_stale_public_address_is_named() {
    let jvb = vec![("198.51.100.7", "198.51.100.99")];
    on_site(Plan { jvb, ..Plan::default() }, async |site| {
        let words = "the offer carries 198.51.100.99 but not 198.51.100.7: the mapping is wrong";
        until(async || site.probe().await.reason.as_deref() == Some(words), words).await;
    });
}

#[test]
fn without_a_bridge_jicofo_is_green_at_first() {
    on_site(Plan { without: vec!["jvb"], ..Plan::default() }, async |site| {
        assert_eq!(get("8888/about/health").await, (200, "OK".into()));
        until(
            async || site.probe().await.reason.as_deref() == Some("jicofo offers no bridge"),
            "the truth",
        )
        .await;
        until(async || get("8888/about/health").await.0 == 500, "jicofo to notice").await;
        let (_, message) = get("8888/about/health").await;
        assert_eq!(message, "No operational bridges available (total bridge count: 0)");
    });
}

#[test]
fn a_wrong_bridge_password_is_green_for_the_bridge() {
    let jvb = vec![("jvb secret", "wrong")];
    on_site(Plan { jvb, ..Plan::default() }, async |site| {
        until(async || get("8080/about/health").await.0 == 200, "the bridge").await;
        until(async || get("8888/about/health").await.0 == 500, "jicofo to notice").await;
        assert_eq!(get("8080/about/health").await.0, 200);
        assert_eq!(bridge_figure("mucs_joined").await, 0);
        assert_eq!(bridge_figure("muc_clients_configured").await, 1);
        let reason = async || site.probe().await.reason;
        until(async || reason().await.as_deref() == Some("jicofo offers no bridge"), "the truth")
            .await;
        until(async || site.log("jvb").matches("not-authorized").count() > 5, "more tries").await;
    });
}

#[test]
fn a_taken_port_is_green_for_a_while() {
    on_site(Plan { without: vec!["jvb"], ..Plan::default() }, async |mut site| {
        let taken = std::net::UdpSocket::bind("10.0.3.7:10000").unwrap();
        site.start("jvb");
        until(async || get("8080/about/health").await.0 == 200, "the first green").await;
        until(async || get("8080/about/health").await.0 == 500, "the check").await;
        assert_eq!(get("8080/about/health").await.1, "Failed to bind single-port");
        assert!(!site.probe().await.held());
        drop(taken);
    });
}

#[test]
fn draining_does_not_refuse_rooms_but_shutdown_does() {
    on_site(Plan::default(), async |mut site| {
        site.until_held().await;
        assert_eq!(request("POST", "8080/colibri/drain/enable").await.0, 200);
        assert_eq!(get("8080/colibri/drain").await.1, r#"{"drain":true}"#);
        // Told with the next presence.
        until(async || bridge_figure("drain").await == true, "the flag").await;
        site.until_held().await;
        assert_eq!(request("POST", "8080/colibri/drain/disable").await.0, 200);

        assert_eq!(request("POST", "8080/colibri/shutdown").await.0, 415);
        let (status, _) = post("8080/colibri/shutdown", r#"{"graceful-shutdown":"true"}"#).await;
        assert_eq!(status, 200);
        assert_eq!(get("8080/about/health").await.0, 200, "still green");
        assert_eq!(site.ended("jvb").await.code(), Some(0));
        assert_eq!(site.probe().await.reason.unwrap(), "jicofo offers no bridge");
    });
}

#[test]
fn a_meeting_outlives_the_order_to_shut_down() {
    on_site(Plan::default(), async |mut site| {
        site.until_held().await;
        let people = site.people(3).await;
        until(async || bridge_figure("local_endpoints").await == 3, "three people").await;
        let packets = async || bridge_figure("packet_rate_download").await.as_u64().unwrap_or(0);
        // What the probe left behind; people's own is added when they leave.
        let before = bridge_figure("total_bytes_received").await;
        until(async || packets().await > 0, "media").await;
        assert_eq!(bridge_figure("total_bytes_received").await, before, "until somebody leaves");

        post("8080/colibri/shutdown", r#"{"graceful-shutdown":"true"}"#).await;
        until(
            async || site.probe().await.reason.as_deref() == Some("jicofo offers no bridge"),
            "refusal",
        )
        .await;
        assert_eq!(bridge_figure("local_endpoints").await, 3);
        assert_eq!(bridge_figure("shutting_down").await, false);

        let end = people.leave().await;
        assert!(end["packets"].as_u64().unwrap() > 0);
        assert!(end["longest_gap_ms"].as_u64().unwrap() < 2000, "nobody was cut: {end}");
        assert_eq!(site.ended("jvb").await.code(), Some(0));
    });
}

#[test]
fn vanished_browsers_are_counted_for_a_while() {
    on_site(Plan { jvb_args: vec!["--linger", "10"], ..Plan::default() }, async |site| {
        site.until_held().await;
        until(async || bridge_figure("conferences").await == 0, "the conference's end").await;
        assert_ne!(bridge_figure("local_endpoints").await, 0, "still counted");
        until(async || bridge_figure("local_endpoints").await == 0, "the last to be forgotten")
            .await;
    });
}

#[test]
fn the_standins_pass_their_own_tests() {
    let python = match standins::python() {
        Ok(python) => python,
        Err(missing) => return site::skip(&missing),
    };
    let output = std::process::Command::new(python)
        .args(["-m", "unittest"])
        .current_dir(standins::programs())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn prosodys_absence_is_named_and_survived() {
    on_site(Plan::default(), async |mut site| {
        site.until_held().await;
        site.signal("prosody", Signal::SIGTERM);
        site.ended("prosody").await;
        let report = site.probe().await;
        let step = report.failed_step.unwrap();
        assert!(matches!(step, StepName::ConferenceRequest | StepName::LogIn), "{report:?}");
        until(async || get("8888/about/health").await.0 == 500, "jicofo to notice").await;
        assert_eq!(get("8080/about/health").await.0, 200);
        site.start("prosody");
        site.until_held().await;
        until(async || get("8888/about/health").await.0 == 200, "jicofo to recover").await;
    });
}

#[test]
fn a_stopped_program_counts_as_silent() {
    on_site(Plan::default(), async |site| {
        site.until_held().await;
        let mut target = site::target();
        target.limits.conference_request = seconds(1);
        target.limits.log_in = seconds(1);
        target.limits.offer = seconds(1);
        let prober = Prober::new(target).unwrap();
        for (program, words) in [
            ("jicofo", "jicofo, asked for a conference, does not answer within 1s"),
            ("jvb", "jicofo offers no bridge: no offer within 1s"),
        ] {
            site.signal(program, Signal::SIGSTOP);
            let report = prober.hold_meeting(&mut ()).await;
            site.signal(program, Signal::SIGCONT);
            assert_eq!(report.reason.as_deref(), Some(words));
            site.until_held().await;
        }
        site.signal("prosody", Signal::SIGSTOP);
        let report = prober.hold_meeting(&mut ()).await;
        site.signal("prosody", Signal::SIGCONT);
        assert!(report.reason.unwrap().ends_with("does not answer within 1s"));
        site.until_held().await;
    });
}

#[test]
fn an_interrupted_probe_leaves_nobody_behind() {
    on_site(Plan::default(), async |site| {
        site.until_held().await;
        let prober = Prober::new(site::target()).unwrap();
        for stage in ["room", "local_endpoints"] {
            let mut deaf = ();
            let reached = until(
                async || match stage {
                    "room" => site.conferences().await.iter().any(|name| is_probe_room(name)),
                    figure => bridge_figure(figure).await != 0,
                },
                stage,
            );
            // Over before it could be interrupted: again.
            let meetings = async {
                loop {
                    prober.hold_meeting(&mut deaf).await;
                }
            };
            tokio::select! {
                () = meetings => {}
                () = reached => {}
            }
            until(async || bridge_figure("local_endpoints").await == 0, "the bridge").await;
            let gone = async || !site.conferences().await.iter().any(|name| is_probe_room(name));
            until(gone, "the room to be left").await;
        }
        site.until_held().await;
    });
}

#[test]
fn the_bridge_ends_as_the_real_one() {
    on_site(Plan::default(), async |mut site| {
        site.until_held().await;
        site.signal("jvb", Signal::SIGTERM);
        assert_eq!(site.ended("jvb").await.code(), Some(143));
        assert_eq!(site.probe().await.reason.unwrap(), "jicofo offers no bridge", "seen at once");

        site.start("jvb");
        site.until_held().await;
        site.signal("jvb", Signal::SIGKILL);
        site.ended("jvb").await;
        // Prosody keeps its session for smacks_hibernation_time.
        let selector = async |name: &str| {
            let (_, stats) = get("8888/stats").await;
            let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
            stats["bridge_selector"][name].clone()
        };
        assert_eq!(selector("bridge_count").await, 1);
        until(async || selector("bridge_count").await == 0, "jicofo to lose the bridge").await;
        assert_eq!(selector("lost_bridges").await, json!(2));
        site.start("jvb");
        site.until_held().await;
    });
}

#[test]
fn bad_bridge_configurations_do_what_the_real_ones_do() {
    let alive_but_deaf = |jvb: Vec<(&'static str, &'static str)>| {
        on_site(
            Plan { jvb, without: vec!["nginx", "jicofo"], ..Plan::default() },
            async |mut site| {
                until(async || site.log("jvb").contains("SEVERE"), "the complaint").await;
                assert_eq!(get("8080/about/health").await.0, 0);
                site.signal("jvb", Signal::SIGTERM);
                assert_eq!(site.ended("jvb").await.code(), Some(143));
            },
        );
    };
    alive_but_deaf(vec![("interval=10 seconds", "interval=\"soon\"")]);
    alive_but_deaf(vec![("port=10000", "port=\"ten\"")]);
    alive_but_deaf(vec![("port=8080", "port=5280")]);

    let syntax = vec![("videobridge {", "videobridge {{ [")];
    on_site(Plan { jvb: syntax, without: vec!["jicofo"], ..Plan::default() }, async |mut site| {
        assert_eq!(site.ended("jvb").await.code(), Some(1));
    });
    let missing = vec![("PASSWORD=\"jvb secret\",", "")];
    on_site(Plan { jvb: missing, without: vec!["jicofo"], ..Plan::default() }, async |_site| {
        until(async || get("8080/about/health").await.0 == 200, "the bridge").await;
        assert_eq!(bridge_figure("muc_clients_configured").await, 0);
    });
}
