//! A deployment on disk: its `jitsi.toml`, certificate and home directory, driven through the built
//! `jitsi-aws` as a user would, with every AWS call it made read from its own call events.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    emulator::{Account, REGION, binaries},
    hints, schema,
};

/// A directory with everything `jitsi-aws` needs.
pub struct Deployment {
    dir: TempDir,
    /// The account it deploys to.
    pub account: Account,
    /// Deployment name.
    pub name: String,
}

/// What a run of `jitsi-aws` gave.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Progress and errors; JSON events one per line with `--json`.
    pub stderr: String,
}

/// One call to AWS as the run told it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Service as the SDK names it.
    pub service: String,
    /// Operation.
    pub operation: String,
}

impl Call {
    fn is_write(&self) -> bool {
        const READS: [&str; 4] = ["Describe", "Get", "List", "Head"];
        !READS.iter().any(|verb| self.operation.starts_with(verb))
    }
}

impl Deployment {
    /// Writes a complete deployment called `name` for `account`.
    ///
    /// # Panics
    /// When the directory cannot be written.
    pub fn new(account: Account, name: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let deployment = Self { dir, account, name: name.into() };
        deployment.write_certificate(&format!("{name}.example.org"));
        let unknown = KeyPair::generate().expect("a key");
        let unknown = authority().self_signed(&unknown).expect("an authority");
        fs::write(deployment.path("authorities.pem"), unknown.pem()).expect("authorities.pem");
        // Any small ELF file stands for the agent: the deployer only carries it.
        fs::copy("/bin/true", deployment.path("agent")).expect("an agent");
        deployment.configure(str::to_owned);
        deployment
    }

    /// The same deployment in another operator's hands: its files, and none of the secrets that the first
    /// one's runs have made.
    ///
    /// # Panics
    /// When the directory cannot be written.
    #[must_use]
    pub fn with_another_operator(&self) -> Self {
        let dir = TempDir::new().expect("a directory");
        for file in ["jitsi.toml", "authorities.pem", "cert.pem", "chain.pem", "key.pem", "agent"] {
            fs::copy(self.path(file), dir.path().join(file)).expect(file);
        }
        Self { dir, account: self.account.clone(), name: self.name.clone() }
    }

    /// A file of the deployment.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Rewrites `jitsi.toml` from the complete one.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, change: impl FnOnce(&str) -> String) {
        let name = &self.name;
        let text = format!(
            "[deployment]\nname = \"{name}\"\nregion = \"{REGION}\"\n\n\
             [site]\ndomain = \"{name}.example.org\"\n\n\
             [certificate]\nmode = \"import\"\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\nchain = \"chain.pem\"\n\n\
             [agent]\nbinary = \"agent\"\n\n\
             [monitoring]\nemails = [\"ops@example.org\", \"boss@example.org\"]\n"
        );
        fs::write(self.path("jitsi.toml"), change(&text)).expect("jitsi.toml");
    }

    /// Makes a fresh certificate, signed by an authority of its own, for `domain`.
    ///
    /// # Panics
    /// When it cannot be made or written.
    pub fn write_certificate(&self, domain: &str) {
        self.write_certificate_until(domain, None);
    }

    /// As [`Deployment::write_certificate`], with an end of its own.
    ///
    /// # Panics
    /// When it cannot be made or written.
    pub fn write_certificate_until(&self, domain: &str, end: Option<SystemTime>) {
        let authority_key = KeyPair::generate().expect("a key");
        let authority = authority();
        let authority_certificate = authority.self_signed(&authority_key).expect("an authority");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key");
        let mut leaf = CertificateParams::new([domain.to_owned()]).expect("parameters");
        if let Some(end) = end {
            let since = end.duration_since(UNIX_EPOCH).expect("later than 1970");
            leaf.not_after = date_time_ymd(1970, 1, 1) + since;
        }
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        fs::write(self.path("cert.pem"), leaf.pem()).expect("cert.pem");
        fs::write(self.path("chain.pem"), authority_certificate.pem()).expect("chain.pem");
        write_private(&self.path("key.pem"), &key.serialize_pem());
    }

    /// `jitsi-aws` with these arguments as the administrator, in this deployment's directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("AWS_ENDPOINT_URL", &self.account.endpoint)
            .env("AWS_ACCESS_KEY_ID", &self.account.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.account.secret_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_SHARED_CREDENTIALS_FILE", self.path("credentials"))
            .env("AWS_CONFIG_FILE", self.path("aws-config"))
            // The emulator speaks HTTP: without this each run would first read all authorities that the machine
            // trusts, which costs an unoptimised program more than anything else it does.
            .env("SSL_CERT_FILE", self.path("authorities.pem"))
            .stdin(Stdio::null());
        if let Some(token) = &self.account.token {
            command.env("AWS_SESSION_TOKEN", token);
        }
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs it with `--json -v`, expecting success.
    ///
    /// # Panics
    /// When it fails.
    pub fn succeed(&self, arguments: &[&str]) -> Run {
        let yes = format!("--yes={}", self.name);
        let run = self.run(&[arguments, &["--json", "--verbose", &yes]].concat());
        assert_eq!(run.code, 0, "jitsi-aws {arguments:?}:\n{}\n{}", run.stdout, run.stderr);
        run
    }
}

impl Run {
    /// Runs a command to its end, and checks what commands it tells to type; what `--json` has it print
    /// must be as published.
    ///
    /// # Panics
    /// When it cannot be run, prints what it must not, or tells a command that would not do what was meant.
    pub fn of(command: &mut Command) -> Self {
        let run: Self = command.output().expect("jitsi-aws runs").into();
        hints::check(command, &run);
        if command.get_args().take_while(|word| *word != "--").any(|word| word == "--json") {
            run.assert_published();
        }
        run
    }

    /// Holds what a run with `--json` printed against the published schema.
    ///
    /// # Panics
    /// When it printed anything else.
    pub fn assert_published(&self) {
        let faults = schema::run(self.code, &self.stdout, &self.stderr);
        assert!(faults.is_empty(), "{}\n\n{}\n{}", faults.join("\n"), self.stdout, self.stderr);
    }

    /// The calls to AWS, in the order they ended, but for those that keep the lease; of a run with
    /// `--json -v`.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_with(|_| true)
    }

    fn calls_with(&self, status: impl Fn(u64) -> bool) -> Vec<Call> {
        let events =
            self.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .filter(|event| event["event"] == "call" && event["purpose"] != "lease")
            .filter(|event| status(event["status"].as_u64().unwrap_or_default()))
            .map(|event| Call {
                service: event["service"].as_str().unwrap_or_default().into(),
                operation: event["operation"].as_str().unwrap_or_default().into(),
            })
            .collect()
    }

    /// The calls that can change something.
    pub fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::is_write).collect()
    }

    /// The calls that did change something: without those that AWS refused for a moment.
    pub fn changes(&self) -> Vec<Call> {
        let done = |status| (200..300).contains(&status);
        self.calls_with(done).into_iter().filter(Call::is_write).collect()
    }

    /// The result document of a run with `--json`.
    ///
    /// # Panics
    /// When stdout is not one JSON document.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("one JSON document on stdout")
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The built `jitsi-aws`.
///
/// # Panics
/// When it has not been built.
pub fn binary() -> PathBuf {
    let path = binaries().join("jitsi-aws");
    assert!(path.exists(), "{} is missing: run scripts/test, or cargo build first", path.display());
    path
}

fn authority() -> CertificateParams {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("a private file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}
