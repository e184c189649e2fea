//! user-data, run by Python on a file system of its own against a metadata service and a bucket
//! that misbehave first.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use jitsi_templates::{UserData, layout, user_data};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::settings;
use crate::{have, is_root};

/// Notes what it is told; fails as long as it finds that it should.
const AGENT: &[u8] = b"#!/bin/sh\necho \"$@\" >> \"$FILES/told\"\ncp /etc/jitsi-agent/config.json \"$FILES/config\"\n\
    [ \"$(wc -l < \"$FILES/told\")\" -gt \"${FAILURES:-0}\" ]; exit\n\x00\xff";
/// SHA-256 of [`AGENT`], by sha256sum.
const SHA256: &str = "0c5daaa40f32aa728a5b35cc5a6885ff2ce9f03a2844f42e000371071e94af6f";
const ACCOUNT: &str = "123456789012";
const KEY: &str = "agents/0.1.0 +x/jitsi-agent";

/// What the servers saw: method and path, then the head's lines.
type Requests = Arc<Mutex<Vec<String>>>;
/// Gives the whole answer to a request for the agent, by its number from 0.
type Bucket = fn(usize, &str) -> Vec<u8>;

fn good(_: usize, _: &str) -> Vec<u8> {
    answer("200 OK", AGENT)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// Metadata service and bucket on one port.
fn serve(bucket: Bucket) -> (u16, Requests) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        let mut fetched = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut byte = [0];
            while !head.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(char::from(byte[0]));
            }
            let path = head.split(' ').nth(1).unwrap_or_default();
            let credentials = json!({ "AccessKeyId": "AKIDEXAMPLE",
                "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "Token": "session/+=" });
            let reply = match path {
                "/latest/api/token" if head.starts_with("PUT ") => answer("200 OK", b"imds-token"),
                _ if path.starts_with("/latest/") && !head.contains("imds-token") => {
                    answer("401 Unauthorized", b"")
                }
                "/latest/meta-data/iam/security-credentials/" => answer("200 OK", b"jitsi-role"),
                "/latest/meta-data/iam/security-credentials/jitsi-role" => {
                    answer("200 OK", credentials.to_string().as_bytes())
                }
                _ => {
                    fetched += 1;
                    bucket(fetched - 1, &head)
                }
            };
            seen.lock().unwrap().push(head);
            let _ = stream.write_all(&reply);
        }
    });
    (port, requests)
}

struct Run {
    output: Output,
    /// `/etc`, `/usr/local` and what the agent was told, as the script left them.
    files: TempDir,
    requests: Vec<String>,
    port: u16,
}

impl Run {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
            + &String::from_utf8_lossy(&self.output.stderr)
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.files.path().join(path.trim_start_matches('/'))).ok()
    }

    fn fetches(&self) -> Vec<&String> {
        self.requests.iter().filter(|head| head.starts_with("GET /bucket/")).collect()
    }
}

/// Runs the script; its waits between attempts take no time.
fn run(bucket: Bucket) -> Option<Run> {
    run_with_failures(bucket, 0)
}

/// The same, with an agent that fails so often.
fn run_with_failures(bucket: Bucket, failures: u32) -> Option<Run> {
    if !have(&["python3", "unshare"], "apt-get install python3 util-linux") || !is_root() {
        return None;
    }
    let (port, requests) = serve(bucket);
    let settings = settings(&json!({}));
    let data = UserData {
        bucket: "bucket",
        account: ACCOUNT,
        key: KEY,
        sha256: SHA256,
        settings: &settings,
    };
    let files = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = files.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("script", &user_data(&data).unwrap());
    write(
        "python/sitecustomize.py",
        "import time\ntime.sleep = lambda seconds: print('waited', seconds)\n",
    );
    for directory in ["etc", "usr/local/bin"] {
        std::fs::create_dir_all(files.path().join(directory)).unwrap();
    }
    let mounts = "mount --bind \"$FILES/usr/local\" /usr/local && \
         mount -t tmpfs none /mnt && mkdir /mnt/work /mnt/upper && \
         mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work none /etc && \
         /usr/bin/python3 \"$FILES/script\"; code=$?; \
         cp -a /mnt/upper/. \"$FILES/etc/\"; exit $code";
    let endpoint = format!("http://127.0.0.1:{port}");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", mounts])
        .env("FILES", files.path())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("FAILURES", failures.to_string())
        .env("PYTHONPATH", files.path().join("python"))
        .env("AWS_ENDPOINT_URL", &endpoint)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint)
        .env("http_proxy", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let requests = requests.lock().unwrap().clone();
    Some(Run { output, files, requests, port })
}

/// The signature AWS's own signer makes for the request.
fn signature(port: u16, time: SystemTime) -> String {
    let credentials = Credentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        Some("session/+=".into()),
        None,
        "test",
    );
    let mut options = SigningSettings::default();
    options.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    options.percent_encoding_mode = PercentEncodingMode::Single;
    options.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("s3")
        .time(time)
        .settings(options)
        .build()
        .unwrap()
        .into();
    let uri = format!("http://127.0.0.1:{port}/bucket/agents/0.1.0%20%2Bx/jitsi-agent");
    let headers = [("x-amz-expected-bucket-owner", ACCOUNT)];
    let request =
        SignableRequest::new("GET", uri, headers.into_iter(), SignableBody::Bytes(b"")).unwrap();
    sign(request, &parameters).unwrap().signature().to_owned()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
        .unwrap_or_else(|| panic!("no {name} in {head}"))
        .1
}

#[test]
fn it_fetches_checks_installs_and_starts() {
    let Some(run) = run(good) else { return };
    assert!(run.output.status.success(), "{}", run.text());
    assert_eq!(run.read(layout::AGENT_BINARY).unwrap(), AGENT);
    let config = String::from_utf8(run.read(layout::AGENT_CONFIG).unwrap()).unwrap();
    assert_eq!(config, settings(&json!({})).to_json().unwrap());
    assert_eq!(run.read("told").unwrap(), b"enable\n");
    assert_eq!(run.read("config"), run.read(layout::AGENT_CONFIG), "there before the agent");
    for (path, mode) in [(layout::AGENT_BINARY, 0o755), (layout::AGENT_CONFIG, 0o600)] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = run.files.path().join(path.trim_start_matches('/'));
        let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{}", path.display());
    }
}

#[test]
fn its_signature_is_the_one_aws_expects() {
    let Some(run) = run(good) else { return };
    let head = run.fetches()[0];
    let date = header(head, "x-amz-date");
    let authorization = header(head, "authorization");
    // The signer's own clock is set to the second of the request.
    let now = SystemTime::now();
    let found = (0..60)
        .map(|ago| signature(run.port, now - Duration::from_secs(ago)))
        .any(|signature| authorization.ends_with(&format!("Signature={signature}")));
    assert!(found, "{date}: {authorization}");
    assert!(authorization.contains(
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-expected-bucket-owner;x-amz-security-token,"
    ));
    assert_eq!(header(head, "x-amz-expected-bucket-owner"), ACCOUNT);
    assert_eq!(header(head, "x-amz-security-token"), "session/+=");
}

#[test]
fn it_tries_again_after_what_may_pass() {
    let bucket: Bucket = |number, _| match number {
        0 => answer("503 Slow Down", b"<Error/>"),
        1 => b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\ncut off".to_vec(),
        2 => answer("200 OK", b"another file"),
        3 => Vec::new(),
        _ => answer("200 OK", AGENT),
    };
    let Some(run) = run(bucket) else { return };
    assert!(run.output.status.success(), "{}", run.text());
    assert_eq!(run.fetches().len(), 5);
    assert_eq!(run.read(layout::AGENT_BINARY).unwrap(), AGENT);
    let text = run.text();
    for part in
        ["attempt 1: <HTTPError 503", "attempt 2: IncompleteRead", "SHA-256 is", "waited 16"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn an_agent_that_could_not_be_started_is_started_again() {
    let Some(run) = run_with_failures(good, 2) else { return };
    assert!(run.output.status.success(), "{}", run.text());
    assert_eq!(run.read("told").unwrap(), b"enable\nenable\nenable\n");
    assert!(run.text().contains("attempt 2: CalledProcessError"), "{}", run.text());
}

#[test]
fn a_wrong_clock_is_corrected_by_the_servers() {
    let bucket: Bucket = |number, _| match number {
        0 => b"HTTP/1.1 403 Forbidden\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
               Content-Length: 0\r\n\r\n"
            .to_vec(),
        _ => answer("200 OK", AGENT),
    };
    let Some(run) = run(bucket) else { return };
    assert!(run.output.status.success(), "{}", run.text());
    assert!(header(run.fetches()[1], "x-amz-date").starts_with("21000101T0000"));
}

#[test]
fn it_gives_up_and_says_so() {
    let Some(run) = run(|_, _| answer("403 Forbidden", b"")) else { return };
    assert_eq!(run.output.status.code(), Some(1));
    assert_eq!(run.fetches().len(), 30);
    assert!(run.text().contains("giving up"), "{}", run.text());
    assert_eq!(run.read(layout::AGENT_BINARY), None);
    assert_eq!(run.read("told"), None);
    assert!(!run.text().contains("wJalrXUtnFEMI"), "the role's secret is shown");
}
