//! The built agent against an instance made of loopback servers and scripts: what it tells AWS, what
//! it answers, what it leaves behind. Real services are the sandbox's business.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;
mod server;

use std::time::Duration;

use instance::Instance;
use serde_json::{Value, json};

/// Far more than any of these takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_boot_that_fails_for_good_is_abandoned_with_its_reason() {
    let instance = Instance::new();
    instance.file("/etc/os-release", "ID=fedora\nPRETTY_NAME=\"Fedora Linux 44\"\n");
    instance.script("dpkg-query", "exit 1");
    let mut agent = instance.run_agent();
    instance.aws.wait_for(PATIENCE, |call| {
        call.contains("Action=CompleteLifecycleAction")
            && call.contains("LifecycleHookName=team-launch")
            && call.contains("LifecycleActionResult=ABANDON")
            && call.contains("InstanceId=i-0123456789abcdef0")
    });
    let (status, public) = instance.get("/healthz");
    assert_eq!((status, public), (503, json!({ "status": "unready", "missing": ["boot"] })));
    let missing = instance.get("/status").1["missing"].to_string();
    assert!(missing.contains("Fedora Linux 44 is not supported"), "{missing}");
    assert!(agent.stop().success(), "SIGTERM is a clean end");
    let log = agent.log();
    assert!(log.contains("boot failed in install"), "{log}");
    assert!(log.contains("next: launch Debian 13"), "{log}");
    assert!(
        log.contains("mailed: Jitsi team: i-0123456789abcdef0 gave up in phase install"),
        "{log}"
    );
    let calls = instance.aws.calls();
    let at = |action: &str| calls.iter().position(|call| call.contains(action)).unwrap();
    let mail = &calls[at("Action=Publish&")];
    assert!(at("Action=Publish&") < at("Action=CompleteLifecycleAction"), "mail before the end");
    assert!(
        mail.contains("TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Ateam&"),
        "{mail}"
    );
    assert!(mail.contains("Fedora%20Linux%2044%20is%20not%20supported"), "{mail}");
}

#[test]
fn an_instance_nobody_can_be_mailed_about_is_abandoned_all_the_same() {
    let failing = || {
        let instance = Instance::new();
        instance.file("/etc/os-release", "ID=fedora\n");
        instance.script("dpkg-query", "exit 1");
        instance
    };
    let abandoned = |call: &str| call.contains("LifecycleActionResult=ABANDON");
    let instance = failing();
    instance.aws.without_topic();
    let mut agent = instance.run_agent();
    instance.aws.wait_for(PATIENCE, abandoned);
    agent.kill();
    assert!(agent.log().contains("no mail: there is no topic yet"), "{}", agent.log());

    let instance = failing();
    instance.metadata.unset("iam/info");
    let mut agent = instance.run_agent();
    instance.aws.wait_for(PATIENCE, abandoned);
    agent.kill();
    assert!(
        agent.log().contains("no mail: no instance profile names the account"),
        "{}",
        agent.log()
    );
}

#[test]
fn launches_that_fail_the_same_way_are_mailed_once_and_wait_longer_each_time() {
    let failing = || {
        let instance = Instance::new();
        instance.file("/etc/os-release", "ID=fedora\n");
        instance.script("dpkg-query", "exit 1");
        instance
    };
    let mails = |instance: &Instance| {
        instance.aws.calls().iter().filter(|call| call.contains("Action=Publish&")).count()
    };
    // The first two end at once, for the cause may be mended meanwhile; only the first is mailed.
    let mut before = None;
    for (launch, mailed) in [("1 ", 1), ("2 ", 0)] {
        let instance = failing();
        instance.aws.set_tag(before);
        let mut agent = instance.run_agent();
        instance.aws.wait_for(PATIENCE, |call| call.contains("LifecycleActionResult=ABANDON"));
        agent.kill();
        let tag = instance.aws.tag().unwrap();
        assert!(tag.starts_with(launch), "{tag}");
        assert_eq!(mails(&instance), mailed, "launch {launch}");
        before = Some(tag);
    }

    let third = failing();
    third.aws.set_tag(before);
    let mut agent = third.run_agent();
    agent.wait_for_log(PATIENCE, "launch 3 that fails this way: trying on for 10 min");
    agent.wait_for_log(PATIENCE, "trying again in 60 s");
    third.aws.wait_for(PATIENCE, |call| call.contains("Action=RecordLifecycleActionHeartbeat"));
    agent.kill();
    assert!(third.aws.tag().unwrap().starts_with("3 "));
    assert_eq!(mails(&third), 0, "mailed before");
    assert!(!third.aws.calls().iter().any(|call| call.contains("CompleteLifecycleAction")));
    assert!(agent.log().contains("aws autoscaling suspend-processes"), "{}", agent.log());

    // Another cause is another matter.
    let other = failing();
    other.aws.set_tag(Some("7 0123456789ab".to_owned()));
    let mut agent = other.run_agent();
    other.aws.wait_for(PATIENCE, |call| call.contains("LifecycleActionResult=ABANDON"));
    agent.kill();
    assert!(other.aws.tag().unwrap().starts_with("1 "));
    assert_eq!(mails(&other), 1);
}

#[test]
fn while_services_do_not_come_up_the_hook_hears_heartbeats_and_visitors_503() {
    let instance = Instance::new();
    let mut agent = instance.run_agent();
    instance.wait_for_phase(PATIENCE, "prove");
    instance.aws.wait_for(PATIENCE, |call| call.contains("Action=RecordLifecycleActionHeartbeat"));
    let (status, public) = instance.get("/healthz");
    assert_eq!(status, 503);
    assert_eq!(public["status"], "unready");
    assert_eq!(instance.status_of("/ready"), 503);
    assert!(!instance.aws.calls().iter().any(|call| call.contains("CompleteLifecycleAction")));
    agent.kill();

    // Killed without a chance to say anything, the next one goes on where nothing is left to do.
    instance.forget_systemctl();
    let mut agent = instance.run_agent();
    instance.wait_for_phase(PATIENCE, "prove");
    assert_eq!(instance.systemctl("restart"), 0, "nothing had changed");
    assert!(agent.stop().success());
    for secret in instance.secrets() {
        assert!(!agent.log().contains(&secret), "a secret in the log");
    }
}

#[test]
fn a_dying_instance_refuses_new_rooms_waits_for_people_and_tells_the_hook() {
    let instance = Instance::new();
    instance.bridge.people(2);
    instance.metadata.set("autoscaling/target-lifecycle-state", "Terminated");
    // As AWS does: the hook begins only when the target group has let go.
    instance.aws.nothing_waits(true);
    let mut agent = instance.run_agent();
    instance.bridge.server.wait_for(PATIENCE, |call| {
        call.starts_with("POST /colibri/shutdown")
            && call.contains(r#"{"graceful-shutdown":"true"}"#)
    });
    instance.bridge.server.wait_for_another(PATIENCE, |call| call.contains("/colibri/stats"));
    assert_eq!(instance.systemctl("stop nginx"), 0, "people are still inside");
    assert_eq!(instance.get("/healthz").0, 503);

    instance.bridge.people(0);
    let told = |call: &str| {
        call.contains("Action=CompleteLifecycleAction")
            && call.contains("LifecycleHookName=team-terminate")
            && call.contains("LifecycleActionResult=CONTINUE")
    };
    instance.aws.wait_for(PATIENCE, told);
    assert_eq!(instance.systemctl("stop nginx"), 1);
    instance.aws.nothing_waits(false);
    instance.aws.wait_for_another(PATIENCE, told);
    agent.wait_for_log(PATIENCE, "told the hook team-terminate: CONTINUE");
    agent.kill();
    assert!(agent.log().contains("drained: everybody has left"));
    assert_eq!(instance.systemctl("restart"), 0, "a dying instance starts nothing");

    // A successor of the killed process knows that the hook has heard already.
    let before = instance.aws.calls().len();
    let mut agent = instance.run_agent();
    instance.wait_for_phase(PATIENCE, "done");
    assert!(agent.stop().success());
    let later = instance.aws.calls().split_off(before);
    assert!(!later.iter().any(|call| told(call)), "{later:?}");
}

#[test]
fn a_clock_an_hour_off_delays_no_answer_to_aws() {
    for ahead in [3600, -3600] {
        let instance = Instance::new();
        instance.aws.clock.set_ahead(ahead);
        let mut agent = instance.run_agent();
        instance.aws.wait_for(PATIENCE, |call| {
            call.contains("Action=RecordLifecycleActionHeartbeat&")
                && !instance.aws.clock.refuses(call)
        });
        agent.kill();
        assert!(!agent.log().contains("Signature expired"), "{}", agent.log());
    }
}

#[test]
fn a_recommendation_to_leave_is_said_and_ends_nothing() {
    let instance = Instance::new();
    let recommendation = json!({ "noticeTime": "2026-11-20T21:38:00Z" }).to_string();
    instance.metadata.set("events/recommendations/rebalance", &recommendation);
    let mut agent = instance.run_agent();
    instance.wait_for_phase(PATIENCE, "prove");
    agent.wait_for_log(PATIENCE, "recommends to leave it: serving on");

    // What EC2 or the group then do is an end like any other.
    let end = json!({ "action": "terminate", "time": "2026-11-20T21:40:00Z" }).to_string();
    instance.metadata.set("spot/instance-action", &end);
    instance.wait_for_phase(PATIENCE, "done");
    agent.kill();
    let log = agent.log();
    assert_eq!(log.matches("recommends to leave it").count(), 1, "{log}");
    assert!(log.contains("draining: EC2 takes the spot instance back in 110 s"), "{log}");
}

#[test]
fn a_second_configure_changes_nothing_and_a_new_address_only_the_bridge() {
    let instance = Instance::new();
    let configure = || instance.agent(&["configure"]);
    let (code, first) = configure();
    assert_eq!(code, 0);
    assert!(first.contains("jvb.conf") && first.contains("restarted  nginx"), "{first}");
    assert_eq!(configure(), (0, "nothing to do\n".to_owned()));
    instance.metadata.set("public-ipv4", "198.51.100.99");
    let (code, changed) = configure();
    assert_eq!(code, 0);
    assert_eq!(changed, "wrote      /etc/jitsi/videobridge/jvb.conf\nrestarted  videobridge\n");
}

#[test]
fn an_instance_without_a_public_address_says_so() {
    let instance = Instance::new();
    instance.metadata.unset("public-ipv4");
    let (code, said) = instance.agent(&["configure"]);
    assert_eq!(code, 1);
    assert!(said.contains("the instance has no public IPv4 address"), "{said}");
}

/// The link-local address belongs to the machine the test runs on, which is none of the agent's.
#[test]
fn a_folder_is_no_instance_and_no_metadata_service_is_looked_for() {
    let instance = Instance::new();
    for command in ["install", "configure", "probe", "doctor"] {
        let Some(said) = instance.agent_nowhere(&[command]) else {
            eprintln!("SKIPPED: networks of their own need root");
            return;
        };
        assert!(said.contains(" is no instance's root"), "{command}: {said}");
    }
}

#[test]
fn status_without_an_agent_names_the_next_step() {
    let instance = Instance::new();
    let (code, said) = instance.agent(&["status"]);
    assert_eq!(code, 1);
    assert!(said.contains("next: sudo systemctl status jitsi-agent"), "{said}");
}

#[test]
fn a_bad_configuration_is_reported_whole() {
    let instance = Instance::new();
    let mut config: Value = serde_json::from_str(&instance::config()).unwrap();
    config["domain"] = json!("localhost");
    config["drain"] = json!("soon");
    instance.file("/etc/jitsi-agent/config.json", &config.to_string());
    let (code, said) = instance.agent(&["configure"]);
    assert_eq!(code, 1);
    assert!(said.contains("domain") && said.contains("drain"), "{said}");
}

#[test]
fn render_writes_every_file_and_nothing_else() {
    let instance = Instance::new();
    let out = tempfile::tempdir().unwrap();
    let (code, said) = instance.agent(&["render", "--out", out.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let text = std::fs::read_to_string(out.path().join("etc/jitsi/videobridge/jvb.conf")).unwrap();
    assert!(text.contains("198.51.100.7"));
    assert!(out.path().join("etc/nginx/sites-available/meet.example.com.conf").exists());
    assert!(instance.calls_of("systemctl").is_empty());
}
