//! An instance in a folder: files, scripts in place of programs, loopback servers in place of the
//! metadata service, AWS and the bridge.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jitsi_templates::layout;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Clock, Server};

pub(crate) struct Instance {
    root: TempDir,
    pub(crate) metadata: Metadata,
    pub(crate) aws: Aws,
    pub(crate) bridge: Bridge,
}

/// What user-data would have written, with the shortest intervals.
pub(crate) fn config() -> String {
    json!({
        "deployment": "team", "region": "eu-central-1", "domain": "meet.example.com",
        "vpc_cidr": "10.0.0.0/16", "auto_scaling_group": "team", "launch_hook": "team-launch",
        "terminate_hook": "team-terminate", "drain": 600,
        "watch": { "component_interval": 1 }
    })
    .to_string()
}

impl Instance {
    /// Packages are installed; nothing is configured and no service runs.
    pub(crate) fn new() -> Self {
        let instance = Self {
            root: tempfile::tempdir().expect("a folder"),
            metadata: Metadata::new(),
            aws: Aws::new(),
            bridge: Bridge::new(),
        };
        instance.file("/etc/jitsi-agent/config.json", &config());
        instance.file("/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
        instance.file("/proc/meminfo", "MemTotal: 8061000 kB\n");
        instance.file("/etc/jitsi-agent/tls/site.crt", "certificate");
        instance.file("/etc/jitsi-agent/tls/site.key", "key");
        for module in "auth_jitsi-anonymous bosh client_proxy limits muc muc_hide_all \
            muc_meeting_id ping smacks websocket"
            .split_whitespace()
        {
            instance.file(&format!("/usr/lib/prosody/modules/mod_{module}.lua"), "");
        }
        instance.script("dpkg-query", "shift 3; for p; do echo \"$p installed hold 1\"; done");
        // The unit for installing is the same program again.
        let install = format!(
            "exec '{}' --root '{}' install",
            binary().display(),
            instance.root.path().display()
        );
        let unit = format!("[ \"$1 $2\" = 'start jitsi-agent-install' ] && {install}");
        instance.script("systemctl", &format!("{unit}\n[ \"$1\" != is-failed ]"));
        instance.script("prosodyctl", "while read -r _; do echo 'prosody> | OK'; done");
        instance.script("nginx", "exit 0");
        instance
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("the file");
    }

    /// A program that notes its arguments and runs `body`.
    pub(crate) fn script(&self, name: &str, body: &str) {
        let calls = self.path(&format!("/calls/{name}"));
        fs::create_dir_all(self.path("/calls")).expect("the folder");
        self.file(
            &format!("/scripts/{name}"),
            &format!("#!/bin/sh\necho \"$@\" >> '{}'\n{body}\n", calls.display()),
        );
        let script = self.path(&format!("/scripts/{name}"));
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Arguments of each call of a script.
    pub(crate) fn calls_of(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(&format!("/calls/{name}"))).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often `systemctl` was called so.
    pub(crate) fn systemctl(&self, arguments: &str) -> usize {
        self.calls_of("systemctl").iter().filter(|call| call.starts_with(arguments)).count()
    }

    pub(crate) fn forget_systemctl(&self) {
        fs::remove_file(self.path("/calls/systemctl")).expect("there were calls");
    }

    /// The generated secrets.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let text = fs::read(self.path("/var/lib/jitsi-agent/secrets.json")).expect("secrets");
        let kept: Value = serde_json::from_slice(&text).expect("JSON");
        let secrets = kept["secrets"].as_object().expect("an object");
        secrets.values().map(|secret| secret.as_str().expect("text").to_owned()).collect()
    }

    /// Runs a command in a network without anything and with no metadata service named: what it prints.
    /// Root alone may make such a network.
    pub(crate) fn agent_nowhere(&self, arguments: &[&str]) -> Option<String> {
        nix::unistd::geteuid().is_root().then(|| {
            let mut command = self.command(arguments);
            command.env_remove("AWS_EC2_METADATA_SERVICE_ENDPOINT");
            let mut apart = Command::new("unshare");
            apart.arg("--net").arg(command.get_program()).args(command.get_args()).env_clear();
            apart.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let output = apart.output().expect("unshare runs");
            assert!(!output.status.success(), "{arguments:?} needs an instance");
            String::from_utf8(output.stderr).expect("text")
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let endpoints = json!({
            "videobridge": self.bridge.server.address,
            "nginx": nobody(), "prosody": nobody(), "jicofo": nobody(),
        });
        let path = std::env::var("PATH").expect("PATH");
        let mut command = Command::new(binary());
        command
            .args(["--root", self.root.path().to_str().expect("text")])
            .args(["--endpoints", &endpoints.to_string()])
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("/scripts").display()))
            .env("AWS_ENDPOINT_URL", self.aws.server.url())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.metadata.server.url())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Runs a command to its end: exit code, and everything it printed.
    pub(crate) fn agent(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().expect("the agent runs");
        let quiet = output.status.success();
        let errors =
            if quiet { String::new() } else { String::from_utf8(output.stderr).expect("text") };
        let text = String::from_utf8(output.stdout).expect("text") + &errors;
        (output.status.code().expect("no signal"), text)
    }

    /// Starts `jitsi-agent run`.
    pub(crate) fn run_agent(&self) -> Agent {
        let mut child = self.command(&["run"]).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stderr = child.stderr.take().expect("piped");
        let log = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut bytes) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Agent { child, log, reader: Some(reader) }
    }

    /// Asks the running agent.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.try_get(path).expect("the agent answers")
    }

    /// The status alone, of an answer that may have no body.
    pub(crate) fn status_of(&self, path: &str) -> u16 {
        let text = self.ask(path).expect("the agent answers");
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        let text = self.ask(path)?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(text.split("\r\n\r\n").nth(1)?).ok()?))
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.path(layout::AGENT_SOCKET)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    pub(crate) fn wait_for_phase(&self, limit: Duration, phase: &str) {
        let deadline = Instant::now() + limit;
        loop {
            let seen = self.try_get("/status").map(|(_, status)| status["phase"].clone());
            if seen.as_ref().is_some_and(|seen| seen == phase) {
                return;
            }
            assert!(Instant::now() < deadline, "the agent is in phase {seen:?}");
            // Nothing tells when the phase changes; asked often enough this costs no time.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A running agent; killed with its test.
pub(crate) struct Agent {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Agent {
    /// Ends it as systemd does.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        self.child.wait().expect("it ends")
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }

    /// Waits until it has said so.
    pub(crate) fn wait_for_log(&self, limit: Duration, words: &str) {
        let deadline = Instant::now() + limit;
        while !self.log.lock().unwrap().contains(words) {
            assert!(Instant::now() < deadline, "not said: {words}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything it said; complete once it has ended.
    pub(crate) fn log(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends with the agent");
        }
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built agent, beside the folder this test was built in; `JITSI_AGENT` names another one.
fn binary() -> PathBuf {
    if let Some(other) = std::env::var_os("JITSI_AGENT") {
        return other.into();
    }
    let test = std::env::current_exe().expect("a path of our own");
    let path = test.ancestors().nth(2).expect("built by cargo").join("jitsi-agent");
    assert!(path.exists(), "{} is missing: run scripts/test, or cargo build first", path.display());
    path
}

/// An address nobody listens on: port 1 belongs to tcpmux, which no machine has.
fn nobody() -> &'static str {
    "127.0.0.1:1"
}

/// The instance metadata service, version 2 only.
pub(crate) struct Metadata {
    server: Server,
    items: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Metadata {
    fn new() -> Self {
        let items = [
            ("instance-id", "i-0123456789abcdef0"),
            ("placement/availability-zone", "eu-central-1a"),
            ("instance-type", "t3.medium"),
            ("local-ipv4", "10.0.3.7"),
            ("public-ipv4", "198.51.100.7"),
            ("autoscaling/target-lifecycle-state", "InService"),
            (
                "iam/info",
                r#"{"InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/jitsi-aws/team-instance"}"#,
            ),
        ];
        let items = items.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let items = Arc::new(Mutex::new(BTreeMap::from(items)));
        let known = Arc::clone(&items);
        let server = Server::new(move |request| {
            if request.starts_with("PUT /latest/api/token") {
                return (200, "token".to_owned());
            }
            if !request.to_ascii_lowercase().contains("x-aws-ec2-metadata-token: token") {
                return (401, String::new());
            }
            let path = request.split(' ').nth(1).unwrap_or_default();
            let item = path.strip_prefix("/latest/meta-data/").unwrap_or_default();
            match known.lock().unwrap().get(item) {
                Some(value) => (200, value.clone()),
                None => (404, String::new()),
            }
        });
        Self { server, items }
    }

    pub(crate) fn set(&self, item: &str, value: &str) {
        self.items.lock().unwrap().insert(item.to_owned(), value.to_owned());
    }

    pub(crate) fn unset(&self, item: &str) {
        self.items.lock().unwrap().remove(item);
    }
}

/// The Auto Scaling API's calls for hooks and tags and SNS's for mail; anything else is refused.
pub(crate) struct Aws {
    server: Server,
    tag: Arc<Mutex<Option<String>>>,
    nothing_waits: Arc<AtomicBool>,
    no_topic: Arc<AtomicBool>,
    pub(crate) clock: Clock,
}

impl Aws {
    fn new() -> Self {
        let nothing_waits = Arc::<AtomicBool>::default();
        let idle = Arc::clone(&nothing_waits);
        let no_topic = Arc::<AtomicBool>::default();
        let missing = Arc::clone(&no_topic);
        let clock = Clock::default();
        let judge = clock.clone();
        let tag = Arc::<Mutex<Option<String>>>::default();
        let kept_tag = Arc::clone(&tag);
        let server = Server::with_clock(clock.clone(), move |request| {
            if judge.refuses(request) {
                return (
                    403,
                    "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>\
                     Signature expired</Message></Error></ErrorResponse>"
                        .to_owned(),
                );
            }
            if let Some(answer) = tags(request, &mut kept_tag.lock().unwrap()) {
                return (200, answer);
            }
            let action = ["CompleteLifecycleAction", "RecordLifecycleActionHeartbeat", "Publish"]
                .into_iter()
                .find(|action| request.contains(&format!("Action={action}&")));
            match action {
                Some("Publish") if missing.load(Ordering::SeqCst) => (
                    404,
                    "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does \
                     not exist</Message></Error></ErrorResponse>"
                        .to_owned(),
                ),
                Some(action) if action != "Publish" && idle.load(Ordering::SeqCst) => (
                    400,
                    "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>No \
                     active Lifecycle Action found with instance ID i-0123456789abcdef0</Message>\
                     </Error></ErrorResponse>"
                        .to_owned(),
                ),
                Some(action) => {
                    (200, format!("<{action}Response><{action}Result/></{action}Response>"))
                }
                None => (400, String::new()),
            }
        });
        Self { server, tag, nothing_waits, no_topic, clock }
    }

    /// The value of the group's one tag.
    pub(crate) fn tag(&self) -> Option<String> {
        self.tag.lock().unwrap().clone()
    }

    /// What launches before left in it.
    pub(crate) fn set_tag(&self, value: Option<String>) {
        *self.tag.lock().unwrap() = value;
    }

    /// Lets there be no topic.
    pub(crate) fn without_topic(&self) {
        self.no_topic.store(true, Ordering::SeqCst);
    }

    /// Whether the hooks wait for anything.
    pub(crate) fn nothing_waits(&self, nothing: bool) {
        self.nothing_waits.store(nothing, Ordering::SeqCst);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.server.calls()
    }

    pub(crate) fn wait_for(&self, limit: Duration, wanted: impl Fn(&str) -> bool) {
        self.server.wait_for(limit, wanted);
    }

    pub(crate) fn wait_for_another(&self, limit: Duration, wanted: impl Fn(&str) -> bool) {
        self.server.wait_for_another(limit, wanted);
    }
}

/// The answer to a request about the group's tags.
fn tags(request: &str, tag: &mut Option<String>) -> Option<String> {
    let given = |name: &str| {
        let value = request.split('&').find_map(|part| part.strip_prefix(&format!("{name}=")))?;
        Some(value.trim().replace('+', " ").replace("%20", " ").replace("%3A", ":"))
    };
    if request.contains("Action=CreateOrUpdateTags&") {
        assert_eq!(given("Tags.member.1.ResourceId").as_deref(), Some("team"));
        assert_eq!(given("Tags.member.1.PropagateAtLaunch").as_deref(), Some("false"));
        *tag = given("Tags.member.1.Value");
        return Some("<CreateOrUpdateTagsResponse/>".to_owned());
    }
    if request.contains("Action=DeleteTags&") {
        *tag = None;
        return Some("<DeleteTagsResponse/>".to_owned());
    }
    request.contains("Action=DescribeTags&").then(|| {
        let found = tag.as_ref().map_or_else(String::new, |value| {
            format!(
                "<member><ResourceId>team</ResourceId><ResourceType>auto-scaling-group</ResourceType>\
                 <Key>jitsi-aws:failed-launches</Key><Value>{value}</Value>\
                 <PropagateAtLaunch>false</PropagateAtLaunch></member>"
            )
        });
        format!(
            "<DescribeTagsResponse><DescribeTagsResult><Tags>{found}</Tags></DescribeTagsResult>\
             </DescribeTagsResponse>"
        )
    })
}

/// A bridge's HTTP server.
pub(crate) struct Bridge {
    pub(crate) server: Server,
    people: Arc<AtomicU32>,
}

impl Bridge {
    fn new() -> Self {
        let people = Arc::<AtomicU32>::default();
        let inside = Arc::clone(&people);
        let server = Server::new(move |request| {
            let people = inside.load(Ordering::SeqCst);
            match request.split(' ').nth(1) {
                Some("/colibri/stats") => {
                    let conferences = u32::from(people > 0);
                    let stats = json!({ "conferences": conferences, "local_endpoints": people,
                        "endpoints": 7, "mucs_joined": 1 });
                    (200, stats.to_string())
                }
                Some("/about/health" | "/colibri/shutdown") => (200, String::new()),
                _ => (404, String::new()),
            }
        });
        Self { server, people }
    }

    /// Lets so many people be in a meeting.
    pub(crate) fn people(&self, people: u32) {
        self.people.store(people, Ordering::SeqCst);
    }
}
