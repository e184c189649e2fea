//! The AWS emulator (moto) on a free loopback port: a few servers per test binary, one account per test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::Builder;

/// Where every test deploys.
pub const REGION: &str = "eu-central-1";

/// A running emulator; it ends when this is dropped.
pub struct Emulator {
    process: Child,
    endpoint: String,
}

/// An account of the emulator, with an administrator's credentials.
#[derive(Clone, Debug)]
pub struct Account {
    /// Endpoint of all services.
    pub endpoint: String,
    /// Access key of the administrator.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Session token of the administrator.
    pub token: Option<String>,
    /// Account id.
    pub id: String,
}

impl Emulator {
    /// A server that other tests of the binary use, too, each with accounts of its own. There is one per
    /// processor, given in turn: the emulator is one Python process, which never uses more than one.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Vec<OnceLock<Emulator>>> = LazyLock::new(|| {
            (0..available_parallelism().map_or(1, usize::from)).map(|_| OnceLock::new()).collect()
        });
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        SHARED[NEXT.fetch_add(1, Ordering::Relaxed) % SHARED.len()].get_or_init(Self::start)
    }

    /// Starts a server of its own, for tests that change the server itself. AWS's manners are drawn
    /// from `MANNERS_SEED`, else from the seed the emulator names.
    ///
    /// # Panics
    /// When the emulator is not installed or does not start.
    pub fn start() -> Self {
        Self::spawn(&[])
    }

    /// As [`Emulator::start`], with AWS's manners of this seed; `off` leaves them out.
    ///
    /// # Panics
    /// When the emulator is not installed or does not start.
    pub fn with_manners(seed: &str) -> Self {
        Self::spawn(&["--manners", seed])
    }

    fn spawn(options: &[&str]) -> Self {
        let python = binaries().with_file_name("venv").join("bin/python");
        assert!(python.exists(), "{} is missing: run scripts/test", python.display());
        let images = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/amis.json"));
        // It ends when our end of its stdin closes: when the test binary dies, however it dies.
        let mut process = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/emulator.py"))
            .args(options)
            .env("MOTO_AMIS_PATH", images)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // Whatever name it is called by is no bucket: clients with an endpoint of their own say the path.
            .env("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the emulator starts");
        let mut endpoint = String::new();
        BufReader::new(process.stdout.take().expect("stdout is piped"))
            .read_line(&mut endpoint)
            .expect("the emulator says its address");
        assert!(endpoint.starts_with("http://"), "the emulator said {endpoint:?}");
        Self { process, endpoint: endpoint.trim().to_owned() }
    }

    /// Address of all services.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An account nobody else uses.
    ///
    /// # Panics
    /// When the emulator does not answer.
    pub async fn account(&self) -> Account {
        static NEXT: AtomicU64 = AtomicU64::new(100_000_000_001);
        let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let root = Account {
            endpoint: self.endpoint.clone(),
            access_key: "test".into(),
            secret_key: "test".into(),
            token: None,
            id: id.clone(),
        };
        let sts = aws_sdk_sts::Client::new(&root.sdk());
        let answer = sts
            .assume_role()
            .role_arn(format!("arn:aws:iam::{id}:role/admin"))
            .role_session_name("test")
            .send()
            .await
            .expect("the emulator gives an account");
        let credentials = answer.credentials().expect("credentials");
        Account {
            access_key: credentials.access_key_id().into(),
            secret_key: credentials.secret_access_key().into(),
            token: Some(credentials.session_token().into()),
            ..root
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Account {
    /// Configuration for clients of the test's own.
    pub fn sdk(&self) -> SdkConfig {
        let credentials =
            Credentials::new(&self.access_key, &self.secret_key, self.token.clone(), None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                credentials,
            ))
            .http_client(Builder::new().build_http())
            .build()
    }
}

/// Sends the emulator itself a word, by its `/moto-api`.
///
/// # Panics
/// When it does not agree.
pub fn post(endpoint: &str, path: &str, kind: &str, body: &str) {
    ask(endpoint, "POST", path, kind, body);
}

/// Reads what the emulator itself tells.
///
/// # Panics
/// When it does not agree.
pub fn get(endpoint: &str, path: &str) -> String {
    ask(endpoint, "GET", path, "text/plain", "")
}

fn ask(endpoint: &str, method: &str, path: &str, kind: &str, body: &str) -> String {
    let address = endpoint.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("the emulator listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("the emulator reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the emulator answers");
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Where cargo puts the binaries of this build: `target/debug`.
///
/// # Panics
/// When the test binary is not where cargo puts it.
pub fn binaries() -> PathBuf {
    let own = std::env::current_exe().expect("a path of our own");
    let deps = own.parent().filter(|dir| dir.ends_with("deps")).expect("run by cargo");
    deps.parent().expect("a build directory").to_owned()
}
