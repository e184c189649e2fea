//! A whole Jitsi site in a network namespace of its own, with the addresses of an EC2 instance:
//! real Prosody and nginx, stand-ins for jicofo and the bridge. Nothing leaves the namespace, and
//! every site has the same ports.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jitsi_aws_tests::standins;
use meeting_probe::{Depth, Mapping, Prober, Report, Target, Tls};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DOMAIN: &str = "meet.example.com";
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 7);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// The stand-ins live five times as fast as the real programs.
const PACE: &str = "0.2";

/// Longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The interface has the private address only; the public one is translated on the way, as EC2's
/// internet gateway does.
const ADDRESS_TRANSLATION: &str = "
table ip ec2 {
  chain out { type nat hook output priority -100
    ip daddr 198.51.100.7 dnat to 10.0.3.7
  }
  chain in { type filter hook input priority 0
  }
}";

/// What differs from a healthy, open site.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    /// Replacements in `jvb.conf`.
    pub(crate) jvb: Vec<(&'static str, &'static str)>,
    /// Further arguments of the bridge.
    pub(crate) jvb_args: Vec<&'static str>,
    /// Whether starting a meeting takes an account.
    pub(crate) secure: bool,
    /// Programs not to start.
    pub(crate) without: Vec<&'static str>,
}

pub(crate) struct Site {
    dir: tempfile::TempDir,
    python: PathBuf,
    plan: Plan,
    programs: HashMap<&'static str, Child>,
}

/// Runs `test` on a site that goes by `plan`, or says loudly why not.
pub(crate) fn on_site(plan: Plan, test: impl AsyncFnOnce(Site) + Send + 'static) {
    let python = match requirements() {
        Ok(python) => python,
        Err(missing) => return skip(&missing),
    };
    // A thread of its own: only it, and what it starts, moves to the new namespace.
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut site = Site::new(python, plan);
            site.start_all().await;
            test(site).await;
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Says loudly that this test did not run; fails it where all must run.
pub(crate) fn skip(missing: &str) {
    // Not `eprintln!`, which the test harness swallows.
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    std::io::stderr().write_all(format!("SKIPPED {name}: {missing}\n").as_bytes()).unwrap();
    assert!(
        std::env::var_os("REQUIRE_SITE_TESTS").is_none(),
        "REQUIRE_SITE_TESTS is set, but {missing}"
    );
}

/// The Python for the stand-ins and everything else a site takes, or what is missing on this machine.
pub(crate) fn requirements() -> Result<PathBuf, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("network namespaces need root".into());
    }
    for program in ["prosody", "nginx", "ip", "nft"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            return Err(format!("{program} is not installed"));
        }
    }
    standins::python()
}

impl Site {
    fn new(python: PathBuf, plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Self { dir, python, plan, programs: HashMap::new() };
        run("ip", &["link", "set", "lo", "up"]);
        run("ip", &["link", "add", "eth0", "type", "veth", "peer", "name", "gateway"]);
        run("ip", &["address", "add", &format!("{PRIVATE}/24"), "dev", "eth0"]);
        run("ip", &["link", "set", "eth0", "up"]);
        run("ip", &["link", "set", "gateway", "up"]);
        run("ip", &["route", "add", "default", "via", "10.0.3.1"]);
        run("nft", &[ADDRESS_TRANSLATION]);

        let names = [DOMAIN.to_owned(), format!("auth.{DOMAIN}")];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        site.write("cert.pem", &certified.cert.pem());
        site.write("key.pem", &certified.signing_key.serialize_pem());
        let authentication = if site.plan.secure { "internal_hashed" } else { "anonymous" };
        let fill = |text: &str| {
            text.replace("@DIR@", site.dir.path().to_str().unwrap())
                .replace("@AUTHENTICATION@", authentication)
                .replace("@JICOFO_AUTHENTICATION@", if site.plan.secure { "true" } else { "false" })
                .replace("@JVB_PASSWORD@", "jvb secret")
                .replace("@FOCUS_PASSWORD@", "focus secret")
        };
        site.write("prosody.cfg.lua", &fill(include_str!("conf/prosody.cfg.lua")));
        site.write("nginx.conf", &fill(include_str!("conf/nginx.conf")));
        site.write("jicofo.conf", &fill(include_str!("conf/jicofo.conf")));
        let mut jvb = fill(include_str!("conf/jvb.conf"));
        for (old, new) in &site.plan.jvb {
            assert!(jvb.contains(old), "{old}");
            jvb = jvb.replace(old, new);
        }
        site.write("jvb.conf", &jvb);
        site.account("auth%2emeet%2eexample%2ecom", "jvb", "jvb secret");
        site.account("auth%2emeet%2eexample%2ecom", "focus", "focus secret");
        site.account("meet%2eexample%2ecom", "probe", "probe secret");
        site
    }

    /// Prosody hashes what it finds in clear.
    fn account(&self, host: &str, user: &str, password: &str) {
        let dir = self.dir.path().join("prosody").join(host).join("accounts");
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join(format!("{user}.dat"));
        fs::write(file, format!("return {{ [\"password\"] = \"{password}\"; }};\n")).unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    async fn start_all(&mut self) {
        for program in ["prosody", "nginx", "jvb", "jicofo"] {
            if !self.plan.without.contains(&program) {
                self.start(program);
            }
        }
        for (program, port) in [("prosody", 5280), ("nginx", 443), ("jicofo", 8888)] {
            if !self.plan.without.contains(&program) {
                until(async || TcpStream::connect(("127.0.0.1", port)).await.is_ok(), program)
                    .await;
            }
        }
        if !self.plan.without.contains(&"jicofo") {
            until(async || request("POST", "8888/conference-request/v1").await.0 == 415, "jicofo")
                .await;
        }
    }

    /// Starts `prosody`, `nginx`, `jvb` or `jicofo`.
    pub(crate) fn start(&mut self, program: &'static str) {
        let dir = self.dir.path();
        let mut command = match program {
            "prosody" => {
                let mut command = Command::new("prosody");
                command.arg("-F").arg("--config").arg(dir.join("prosody.cfg.lua"));
                command
            }
            "nginx" => {
                let mut command = Command::new("nginx");
                command.arg("-c").arg(dir.join("nginx.conf")).arg("-e").arg(dir.join("e.log"));
                command
            }
            _ => {
                let mut command = Command::new(&self.python);
                command.arg(standins::programs().join(program)).args(["--pace", PACE, "--config"]);
                command.arg(dir.join(format!("{program}.conf")));
                if program == "jvb" {
                    command.args(&self.plan.jvb_args);
                }
                command
            }
        };
        let log = fs::File::create(dir.join(format!("{program}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.programs.insert(program, command.spawn().unwrap());
    }

    /// A meeting of `number` people who send media until they are told to leave.
    pub(crate) async fn people(&self, number: u32) -> People {
        let child = tokio::process::Command::new(&self.python)
            .arg(standins::programs().join("people"))
            .args(["--domain", DOMAIN, "--people", &number.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap();
        let lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut people = People { child, lines };
        assert_eq!(people.line().await["event"], "meeting");
        people
    }

    /// Sends a signal to a program of ours.
    pub(crate) fn signal(&self, program: &str, signal: Signal) {
        let pid = i32::try_from(self.programs[program].id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits until a program of ours has ended.
    pub(crate) async fn ended(&mut self, program: &str) -> ExitStatus {
        let child = self.programs.get_mut(program).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{program} does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn probe(&self) -> Report {
        Prober::new(target()).unwrap().hold_meeting(&mut ()).await
    }

    /// Probes until a meeting is held: the first ones after a start may fail.
    pub(crate) async fn until_held(&self) {
        until(async || self.probe().await.held(), "a meeting").await;
    }

    /// Names of the conferences jicofo knows.
    pub(crate) async fn conferences(&self) -> Vec<String> {
        serde_json::from_str(&get("8888/debug/conferences").await.1).unwrap()
    }

    pub(crate) fn log(&self, program: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{program}.log"))).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (name, child) in &mut self.programs {
            let _already_gone = child.kill();
            let _reaped = child.wait();
            if std::thread::panicking() {
                let path = self.dir.path().join(format!("{name}.log"));
                let log = fs::read_to_string(path).unwrap_or_default();
                let from = log.len().saturating_sub(2000);
                eprintln!("== {name}\n{}", log.get(from..).unwrap_or(&log));
            }
        }
    }
}

/// The site as the agent on the instance probes it.
pub(crate) fn target() -> Target {
    let mut target = Target::new(DOMAIN);
    target.connect = Some("127.0.0.1:443".into());
    target.tls = Tls::AcceptAny;
    target.mapping = Some(Mapping { local: PRIVATE.into(), public: PUBLIC.into() });
    target.depth = Depth::Heard;
    target
}

/// Drops what comes in on the bridge's port.
pub(crate) fn block_udp() {
    run("nft", &["add rule ip ec2 in udp dport 10000 drop"]);
}

/// People in a meeting.
pub(crate) struct People {
    child: tokio::process::Child,
    lines: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
}

impl People {
    /// Makes them leave; what they say of the meeting.
    pub(crate) async fn leave(mut self) -> serde_json::Value {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let end = self.line().await;
        self.child.wait().await.unwrap();
        end
    }

    async fn line(&mut self) -> serde_json::Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("people say something").unwrap().expect("people live");
        serde_json::from_str(&line).unwrap()
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

/// Waits for `condition`, which `what` names when it never comes.
pub(crate) async fn until(condition: impl AsyncFn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `GET http://127.0.0.1:{path}`: status and body; 0 without an answer.
pub(crate) async fn get(path: &str) -> (u16, String) {
    request("GET", path).await
}

/// An empty request of any kind.
pub(crate) async fn request(method: &str, path: &str) -> (u16, String) {
    send(method, path, "", "").await
}

/// A request with JSON.
pub(crate) async fn post(path: &str, json: &str) -> (u16, String) {
    send("POST", path, "Content-Type: application/json\r\n", json).await
}

async fn send(method: &str, path: &str, header: &str, body: &str) -> (u16, String) {
    let (port, path) = path.split_once('/').unwrap();
    let Ok(mut tcp) = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await else {
        return (0, String::new());
    };
    let length = body.len();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    );
    let mut answer = String::new();
    let exchange = async {
        tcp.write_all(request.as_bytes()).await?;
        tcp.read_to_string(&mut answer).await
    };
    match tokio::time::timeout(Duration::from_secs(2), exchange).await {
        Ok(Ok(_)) => {}
        _ => return (0, String::new()),
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or(0), body.unwrap_or_default())
}

/// One figure of `/colibri/stats`.
pub(crate) async fn bridge_figure(name: &str) -> serde_json::Value {
    let (_, stats) = get("8080/colibri/stats").await;
    serde_json::from_str::<serde_json::Value>(&stats).map(|s| s[name].clone()).unwrap_or_default()
}
